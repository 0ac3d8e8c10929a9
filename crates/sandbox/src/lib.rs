//! Runs programs of an unpacked tree: tools of the build, and maintainer scripts in a sandbox.
//! Needs no root, no daemon and no program of the host. An ordinary user's sandbox has the
//! users that `newuidmap` gives, where that is installed; else owners are only noted.

mod configure;
mod helper;
mod identity;
mod job;
mod materialise;
mod namespace;
mod normalise;
mod owners;
mod scan;
mod scripts;
mod supervisor;
mod sys;
mod tools;

pub use {
    configure::{ConfigureError, configure},
    helper::helper_main,
    job::Network,
    materialise::{MaterialiseError, Ownership, materialise},
    namespace::{Sandbox, SandboxError, SandboxOutput, set_helper},
    sys::end_with_us,
    tools::{ToolsError, ToolsTree},
};
