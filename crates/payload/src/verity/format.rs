//! The superblock and the places of the levels.

use lifeboat_archive::Digest;
use sha2::{Digest as _, Sha256};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

/// Bytes of a block of data, and of a block of hashes.
pub const BLOCK_SIZE: u64 = 4096;
/// [`BLOCK_SIZE`] as a length of memory.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of a hash.
pub(crate) const HASH: usize = 32;
/// Hashes in a block.
pub(crate) const FAN_OUT: u64 = (BLOCK / HASH) as u64;

const SIGNATURE: [u8; 8] = *b"verity\0\0";
const ALGORITHM: &[u8] = b"sha256";

/// What the maker of a tree chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Hashed before each block.
    pub salt: [u8; 32],
    /// Names the tree, for people.
    pub uuid: [u8; 16],
}

impl Parameters {
    /// Salt and UUID that follow from a name, so that they are the same in each build.
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        let salt = Digest::of_parts([&b"verity salt"[..], name.as_ref()]).0;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&Digest::of_parts([&b"verity uuid"[..], name.as_ref()]).0[..16]);
        // RFC 9562, section 5.8: version 8, for UUIDs that are made in one's own way.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self { salt, uuid }
    }
}

/// All that the kernel needs to open a verity device, besides the devices themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashArea {
    /// Blocks of data.
    pub data_blocks: u64,
    /// Where the superblock is, in bytes from the beginning of the hash device; the levels
    /// begin one block later.
    pub offset: u64,
    /// Salt and UUID.
    pub parameters: Parameters,
    /// The hash of the highest block.
    pub root_hash: Digest,
}

impl HashArea {
    /// The parameters of a device mapper target `verity` over a data device and a hash device
    /// (each a path or `major:minor`). The target's length is `data_blocks * 8` sectors.
    /// Format: <https://docs.kernel.org/admin-guide/device-mapper/verity.html>.
    pub fn table(&self, data_device: &str, hash_device: &str) -> String {
        format!(
            "1 {data_device} {hash_device} {BLOCK_SIZE} {BLOCK_SIZE} {} {} sha256 {} {}",
            self.data_blocks,
            self.offset / BLOCK_SIZE + 1,
            self.root_hash,
            Digest(self.parameters.salt),
        )
    }
}

/// A superblock that is not one, or not of the kind that is used here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SuperblockError {
    /// Fewer bytes than a superblock has.
    #[error("a verity superblock has 512 bytes, here are {0}")]
    Short(usize),
    /// It begins with something else.
    #[error("no verity superblock here")]
    Signature,
    /// A valid field with a value that is not used here.
    #[error("the verity superblock has {field} {found}, only {wanted} is supported")]
    Unsupported {
        /// The field's name.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value that is supported.
        wanted: &'static str,
    },
}

/// `struct verity_sb` of cryptsetup's `lib/verity/verity.c`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Superblock {
    signature: [u8; 8],
    version: U32,
    hash_type: U32,
    uuid: [u8; 16],
    algorithm: [u8; 32],
    data_block_size: U32,
    hash_block_size: U32,
    data_blocks: U64,
    salt_size: U16,
    _padding: [u8; 6],
    salt: [u8; 256],
    _rest: [u8; 168],
}

/// The block that holds the superblock.
pub(crate) fn write_superblock(data_blocks: u64, parameters: &Parameters) -> Vec<u8> {
    let mut algorithm = [0; 32];
    algorithm[..ALGORITHM.len()].copy_from_slice(ALGORITHM);
    let mut salt = [0; 256];
    salt[..32].copy_from_slice(&parameters.salt);
    let superblock = Superblock {
        signature: SIGNATURE,
        version: 1.into(),
        hash_type: 1.into(),
        uuid: parameters.uuid,
        algorithm,
        data_block_size: 4096.into(),
        hash_block_size: 4096.into(),
        data_blocks: data_blocks.into(),
        salt_size: 32.into(),
        _padding: [0; 6],
        salt,
        _rest: [0; 168],
    };
    let mut block = superblock.as_bytes().to_vec();
    block.resize(BLOCK, 0);
    block
}

/// Reads a superblock: how many blocks of data there are, and the parameters.
///
/// # Errors
/// If it is none, or one with another hash, block size or length of salt.
pub fn read_superblock(bytes: &[u8]) -> Result<(u64, Parameters), SuperblockError> {
    let Ok((superblock, _)) = Superblock::ref_from_prefix(bytes) else {
        return Err(SuperblockError::Short(bytes.len()));
    };
    if superblock.signature != SIGNATURE {
        return Err(SuperblockError::Signature);
    }
    let unsupported = |field, found: String, wanted| {
        Err(SuperblockError::Unsupported {
            field,
            found,
            wanted,
        })
    };
    let algorithm = superblock.algorithm.split(|byte| *byte == 0).next();
    if algorithm != Some(ALGORITHM) {
        let found = String::from_utf8_lossy(&superblock.algorithm).into_owned();
        return unsupported("hash", found, "sha256");
    }
    let salt_size = superblock.salt_size.get().into();
    for (field, found, wanted, text) in [
        ("version", superblock.version.get(), 1, "1"),
        ("hash type", superblock.hash_type.get(), 1, "1"),
        (
            "data blocks of",
            superblock.data_block_size.get(),
            4096,
            "4096",
        ),
        (
            "hash blocks of",
            superblock.hash_block_size.get(),
            4096,
            "4096",
        ),
        ("a salt of", salt_size, 32, "32"),
    ] {
        if found != wanted {
            return unsupported(field, found.to_string(), text);
        }
    }
    let mut salt = [0; 32];
    salt.copy_from_slice(&superblock.salt[..32]);
    let uuid = superblock.uuid;
    Ok((superblock.data_blocks.get(), Parameters { salt, uuid }))
}

/// Blocks of each level, the lowest (over the data) first. One block of data has no level: its
/// hash is the root hash.
pub(crate) fn levels(data_blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(FAN_OUT);
        levels.push(blocks);
    }
    levels
}

/// Bytes of superblock and levels for so many blocks of data.
pub fn tree_size(data_blocks: u64) -> u64 {
    (1 + levels(data_blocks).iter().sum::<u64>()) * BLOCK_SIZE
}

/// Hashes blocks with a salt.
pub(crate) struct Salted(Sha256);

impl Salted {
    pub(crate) fn new(salt: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(salt))
    }

    pub(crate) fn hash(&self, block: &[u8]) -> [u8; HASH] {
        self.0.clone().chain_update(block).finalize().into()
    }
}
