//! The bundle catalogue and the package sets of every image: data of `bundles/*.yaml`, carried
//! in the program.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::LazyLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::types::{
    BundleName, Date, Kernel, Mode, ModuleLine, NodePath, Owner, PackageName, SysctlName,
    SysctlValue,
};

/// A named, versioned, dated set of packages, units and settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The name that a definition uses.
    pub name: BundleName,
    /// Its own version, raised with each change.
    pub version: u32,
    /// The day from which it must have been looked at again.
    pub expires: Date,
    /// Whether it is to be used.
    pub status: Status,
    /// What it is for, in one line.
    pub description: String,
    /// The Debian packages, installed without recommendations, each with its reason.
    pub packages: Vec<PackageReason>,
    /// Packages that must not be in the image, each with its reason; checked after solving.
    #[serde(default)]
    pub without: Vec<PackageReason>,
    /// What becomes of systemd units.
    #[serde(default)]
    pub units: Units,
    /// TCP ports of the node that `lifeboat up` forwards.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Files in the image, written over those of the packages.
    #[serde(default)]
    pub files: Vec<BundleFile>,
    /// Kernel modules that are loaded at boot.
    #[serde(default)]
    pub modules: Vec<ModuleLine>,
    /// Kernel settings.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"type": "string", "format": "sysctl"}))]
    pub sysctls: BTreeMap<SysctlName, SysctlValue>,
    /// What holds on a node that has it.
    #[serde(default)]
    pub checks: Checks,
}

/// Whether a bundle is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not finished.
    Wip,
    /// In use.
    Active,
    /// Still there, but going.
    Deprecated,
}

/// A package and why it is there, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageReason {
    /// The package's name.
    pub name: PackageName,
    /// The reason.
    pub why: String,
}

/// What becomes of systemd units, whatever their packages' presets say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// Enabled.
    pub enable: Vec<String>,
    /// Disabled: started only when something asks.
    pub disable: Vec<String>,
    /// Masked: never started.
    pub mask: Vec<String>,
}

/// A TCP port of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What listens, for the list of forwarded ports.
    pub name: String,
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The scheme of its address: https, http or tcp.
    pub scheme: String,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Where it is in the image.
    pub path: NodePath,
    /// Its content.
    pub content: String,
    /// Its octal mode.
    #[serde(default = "crate::definition::image::file_mode")]
    pub mode: Mode,
    /// Its owner.
    #[serde(default = "crate::definition::image::root")]
    pub owner: Owner,
}

/// What holds on a node that has the bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Files that the built image must have; the build fails without one.
    pub files: Vec<NodePath>,
    /// Units that are active once the node is Ready.
    pub active: Vec<String>,
    /// Addresses that answer.
    pub http: Vec<HttpCheck>,
}

/// A page that the node serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// The node's port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// http or https; its certificate is not checked.
    pub scheme: String,
    /// The path.
    pub path: String,
    /// Text that the page holds.
    pub contains: String,
}

/// The packages of every image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseSet {
    /// The packages besides Debian's essential ones, installed without recommendations.
    pub packages: Vec<PackageReason>,
    /// Packages that must not come in as a dependency.
    pub without: Vec<PackageReason>,
    /// The kernel's package by flavour.
    pub kernels: Kernels,
    /// What becomes of units.
    pub units: Units,
}

/// The kernel's package by flavour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// For virtual machines.
    pub cloud: PackageName,
    /// For everything.
    pub generic: PackageName,
}

impl BaseSet {
    /// The kernel's package.
    pub fn kernel(&self, kernel: Kernel) -> &PackageName {
        match kernel {
            Kernel::Cloud => &self.kernels.cloud,
            Kernel::Generic => &self.kernels.generic,
        }
    }
}

/// The embedded files by name.
pub(crate) const FILES: [(&str, &[u8]); 3] = [
    (
        "bundles/cockpit.yaml",
        include_bytes!("../../../../bundles/cockpit.yaml"),
    ),
    (
        "bundles/guest.yaml",
        include_bytes!("../../../../bundles/guest.yaml"),
    ),
    (
        "bundles/storage.yaml",
        include_bytes!("../../../../bundles/storage.yaml"),
    ),
];

pub(crate) const BASE: (&str, &[u8]) = (
    "bundles/base.yaml",
    include_bytes!("../../../../bundles/base.yaml"),
);

/// All bundles, by name.
pub fn catalogue() -> &'static [Bundle] {
    static CATALOGUE: LazyLock<Vec<Bundle>> = LazyLock::new(|| {
        FILES
            .iter()
            .map(|(name, text)| embedded(name, text))
            .collect()
    });
    &CATALOGUE
}

/// The bundle of a name.
pub fn find(name: &str) -> Option<&'static Bundle> {
    catalogue()
        .iter()
        .find(|bundle| bundle.name.as_str() == name)
}

/// The packages of every image.
pub fn base() -> &'static BaseSet {
    static SET: LazyLock<BaseSet> = LazyLock::new(|| embedded(BASE.0, BASE.1));
    &SET
}

fn embedded<T: serde::de::DeserializeOwned + JsonSchema>(name: &str, text: &[u8]) -> T {
    // A test reads the same bytes: a broken file never leaves the workshop.
    crate::read(name, text).unwrap_or_else(|findings| unreachable!("embedded file: {findings}"))
}
