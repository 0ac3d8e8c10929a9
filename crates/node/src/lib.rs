//! What runs on a node: the init of the initrd, provisioning, the console, the status, and the
//! files of the image that belong to them. Only [`sources`] is of use on a workstation.
//!
//! ```
//! use lifeboat_node::{Content, files};
//!
//! let unit = files()
//!     .into_iter()
//!     .find(|file| file.path == "/usr/lib/systemd/system/kubelet.service")
//!     .unwrap();
//! assert!(matches!(unit.content, Content::File(_)));
//! ```

mod apply;
mod boot;
mod child;
mod console;
pub mod datasource;
mod files;
pub mod init;
mod provision;
pub mod report;
pub mod sources;
mod status;
mod sys;

pub use apply::{
    Applied, AppliedStep, ApplyError, How, RunError, apply, confirm, rehearse, revert,
    run as run_commands,
};
pub use boot::{Failure, Payload, source::Source};
pub use console::run as console;
pub use files::{Content, ImageFile, files};
pub use provision::{ProvisionError, prepare, provision};
pub use status::{Status, read as status};
