//! Reads the configuration formats of other systems and says what became of every key.
//!
//! ```
//! use lifeboat_config::convert::{Format, Status, convert};
//! let converted = convert(Format::Ignition, "config.ign", br#"{"ignition": {"version": "3.4.0"}}"#);
//! assert_eq!(converted.report[0].path, "ignition.version");
//! assert_eq!(converted.report[0].status, Status::Translated);
//! ```

mod butane;
mod cloud_init;
mod combustion;
mod guess;
mod ignition;
pub(crate) mod json;
mod k3os;
mod kubeadm;
pub(crate) mod native;
pub(crate) mod report;
mod script;
mod shapes;
pub(crate) mod tree;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

pub use guess::guess;
pub use report::{Entry, Status};

/// A configuration format of another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Ignition, spec 3.0 to 3.6 (Fedora `CoreOS`, Flatcar, openSUSE `MicroOS`).
    Ignition,
    /// Butane, the YAML that is compiled to Ignition; Container Linux Config is recognised.
    Butane,
    /// cloud-init's user data: cloud-config, also as a MIME multi-part message.
    CloudInit,
    /// combustion's script.
    Combustion,
    /// kubeadm's YAML documents.
    Kubeadm,
    /// One configuration file of k3OS.
    K3os,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [
        Self::Ignition,
        Self::Butane,
        Self::CloudInit,
        Self::Combustion,
        Self::Kubeadm,
        Self::K3os,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignition => "ignition",
            Self::Butane => "butane",
            Self::CloudInit => "cloud-init",
            Self::Combustion => "combustion",
            Self::Kubeadm => "kubeadm",
            Self::K3os => "k3os",
        }
    }
}

/// What a conversion gives.
#[derive(Clone, PartialEq, Serialize)]
pub struct Converted {
    /// The file as the user named it.
    #[serde(skip)]
    pub file: String,
    /// The node configuration: keys of [`crate::NodeConfig`].
    #[serde(rename = "config")]
    pub node: Map<String, Json>,
    /// What became of every key of the input, in the order of the document.
    pub report: Vec<Entry>,
}

/// Without the values of the node configuration, which may be secrets.
impl fmt::Debug for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converted")
            .field("file", &self.file)
            .field("node", &self.node.keys().collect::<Vec<_>>())
            .field("report", &self.report)
            .finish()
    }
}

impl Converted {
    /// The node configuration as YAML: a file for `/var/lib/lifeboat/config.d`, or what stands
    /// under `node` of a definition.
    pub fn yaml(&self) -> String {
        crate::render::yaml(&Json::Object(self.node.clone()))
    }

    /// Whether the input breaks the rules of its format: [`Self::node`] must not be used then.
    pub fn is_invalid(&self) -> bool {
        self.report
            .iter()
            .any(|entry| entry.status == Status::Invalid)
    }
}

/// Converts a file. `file` is its name in messages. Nothing is fetched, no other file is read.
pub fn convert(format: Format, file: &str, bytes: &[u8]) -> Converted {
    match format {
        Format::Ignition => ignition::convert(file, bytes),
        Format::Butane => butane::convert(file, bytes),
        Format::CloudInit => cloud_init::convert(file, bytes),
        Format::Combustion => combustion::convert(file, bytes),
        Format::Kubeadm => kubeadm::convert(file, bytes),
        Format::K3os => k3os::convert(file, bytes),
    }
}
