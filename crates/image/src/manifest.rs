//! What is in an image, for programs: `manifest.json`.

use lifeboat_archive::Digest;
use serde::{Deserialize, Serialize};

use crate::package::Packages;

/// The document's schema.
pub const SCHEMA: &str = "lifeboat.image/1";

/// One file beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Its digest; the raw disk has none, as nearly all of it is empty.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Digest>,
}

/// A description of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The image's version.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// dm-verity's root hash of the root file system.
    pub root_hash: Digest,
    /// The kernel's command line.
    pub command_line: String,
    /// The payload that is on the state partition.
    pub payload: Option<String>,
    /// The files.
    pub artifacts: Vec<Artifact>,
    /// The packages.
    pub packages: Packages,
}

impl Manifest {
    /// Size in bytes of a file.
    pub fn size_of(&self, name: &str) -> Option<u64> {
        self.artifacts
            .iter()
            .find(|artifact| artifact.name == name)
            .map(|artifact| artifact.size)
    }
}
