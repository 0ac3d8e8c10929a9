//! The definition: what the user's one file says.
//!
//! Each key has a default, so that an empty file is a whole definition. The doc comments of the
//! fields are the reference page and the descriptions of the JSON schema.

mod access;
pub(crate) mod formats;
pub mod image;
pub mod k3os;
pub mod kubeadm;
pub mod machine;
pub mod network;
pub mod node;
pub(crate) mod rules;
pub mod system;
pub mod types;
mod versions;

pub use versions::{KnownVersion, known_versions};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{image::ImageConfig, machine::MachineConfig, node::NodeConfig};

/// What to build and boot. Every key has a default; an empty file builds and boots a
/// single-node cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Definition {
    /// What the image holds.
    pub image: ImageConfig,
    /// The settings of the node that boots it; never part of the image.
    pub node: NodeConfig,
    /// The virtual machine that `lifeboat up` makes.
    pub machine: MachineConfig,
}

/// Why a key that users of k3OS or readers of other pages may write is not taken at a path.
pub(crate) fn reserved_keys(path: &str, key: &str) -> Option<String> {
    let why = match (path, key) {
        ("", "cluster") => "several machines in one cluster are not made by this version",
        _ => return None,
    };
    Some(format!("{key:?} is not taken: {why}"))
}
