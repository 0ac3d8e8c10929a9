//! The manifest's fields and the trailer's layout.

use ed25519_dalek::SIGNATURE_LENGTH;
use lifeboat_archive::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian::U64};

use crate::verity::{HashArea, Parameters};

/// The schema that this version writes and reads.
pub(super) const SCHEMA: &str = "lifeboat.payload/1";
/// The trailer's first bytes.
pub(super) const MAGIC: [u8; 16] = *b"LIFEBOATPAYLOAD1";
/// More than any manifest has; a file that claims more is not read.
pub(super) const MANIFEST_LIMIT: u64 = 1 << 20;

/// What a payload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `lifeboat.payload/1`.
    pub schema: String,
    /// `kubernetes-1.36.3-containerd`.
    pub name: String,
    /// Kubernetes' version, `1.36.3`.
    pub kubernetes: String,
    /// The container runtime, `containerd`.
    pub runtime: String,
    /// The pod network, `flannel` or `bridge`.
    pub cni: String,
    /// Root hash of the file system.
    pub root_hash: Digest,
    /// Salt of the hash tree.
    pub salt: Digest,
    /// UUID of the hash tree.
    pub uuid: Uuid,
    /// Blocks of the file system, of 4096 bytes.
    pub data_blocks: u64,
    /// Where the hash tree's superblock is, in bytes.
    pub hash_offset: u64,
    /// The pause image, for the runtime's configuration.
    pub sandbox_image: String,
    /// Names of all container images that are ready to run.
    pub images: Vec<String>,
    /// Programs in `bin/`.
    pub programs: Vec<String>,
}

impl Manifest {
    /// The hash tree that the manifest speaks of.
    pub fn hash_area(&self) -> HashArea {
        HashArea {
            data_blocks: self.data_blocks,
            offset: self.hash_offset,
            parameters: Parameters {
                salt: self.salt.0,
                uuid: self.uuid.into_bytes(),
            },
            root_hash: self.root_hash,
        }
    }
}

/// The last block of a payload file, but for the zeroes behind.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Trailer {
    pub(super) magic: [u8; 16],
    pub(super) manifest_offset: U64,
    pub(super) manifest_size: U64,
    pub(super) signature: [u8; SIGNATURE_LENGTH],
}
