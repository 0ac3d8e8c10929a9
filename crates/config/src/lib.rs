//! The definition (`lifeboat.yaml`) and the node configuration: their types, their strict
//! parser, their JSON schema, and the files that a node renders from them. No I/O.
//!
//! ```
//! let definition = lifeboat_config::parse("lifeboat.yaml", b"image: {kubernetes: 1.36}").unwrap();
//! assert_eq!(definition.image.kubernetes.resolved(), "1.36.3");
//!
//! let findings = lifeboat_config::parse("lifeboat.yaml", b"image:\n  kubernets: 1.36\n").unwrap_err();
//! assert_eq!(
//!     findings.0[0].to_string(),
//!     "lifeboat.yaml:2:3: image.kubernets: unknown key \"kubernets\"; did you mean \"kubernetes\"?"
//! );
//! ```

pub mod bundle;
pub mod check;
pub mod convert;
pub mod definition;
mod finding;
mod fold;
pub mod k3os;
pub mod k3s;
pub mod layers;
pub mod network_config;
mod parse;
pub mod render;
mod schema;
mod unit;
mod untyped;
pub mod userdata;
mod yaml;

pub use definition::{
    Definition,
    image::ImageConfig,
    machine::MachineConfig,
    node::NodeConfig,
    types::{
        Base, Boot, Cni, CommandLine, Encoding, Hostname, Kernel, KubernetesVersion, Mode, Owner,
        PortForward, Runtime, Size,
    },
};
pub use finding::{Finding, Findings, Place, Severity, nearest};
pub use layers::{Effective, NativeInput, effective};
pub use parse::{
    finding_at, parse, parse_node, parse_node_with_warnings, parse_with_warnings, read,
};
pub use schema::{page::reference_page, schema};
pub use untyped::untyped;
