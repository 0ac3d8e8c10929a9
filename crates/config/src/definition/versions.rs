//! The Kubernetes versions that this Lifeboat knows: data of `bundles/kubernetes.yaml`.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

/// A Kubernetes minor version and its newest known patch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownVersion {
    /// The minor version: 36 of `1.36`.
    pub minor: u32,
    /// The newest known patch, meant where only the minor is named.
    pub patch: u32,
    /// The patch that can be built from the pinned Go modules, if one can.
    #[serde(default)]
    pub modules: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    default: u32,
    versions: Vec<KnownVersion>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_bytes!("../../../../bundles/kubernetes.yaml");
    crate::read("bundles/kubernetes.yaml", text).unwrap_or_else(|findings| {
        // A test reads the same bytes: a broken table never leaves the workshop.
        unreachable!("the embedded table of versions: {findings}")
    })
});

/// The known versions, oldest first.
pub fn known_versions() -> &'static [KnownVersion] {
    &TABLE.versions
}

/// The minor version that is built where none is named.
pub(crate) fn default_minor() -> u32 {
    TABLE.default
}
