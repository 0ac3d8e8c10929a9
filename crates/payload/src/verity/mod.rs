//! dm-verity's hash tree, format version 1, as `veritysetup` writes it.
//!
//! Fixed here: SHA-256 and blocks of 4096 bytes for data and hashes. The tree stands in the same
//! file behind the data: one block with the superblock, then the levels, the highest first. The
//! writer takes salt and UUID from its caller, so the same data gives the same bytes.
//! Format: <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>.

mod dump;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    dump::dump,
    format::{BLOCK_SIZE, HashArea, Parameters, SuperblockError, read_superblock, tree_size},
    reader::{VerifyError, verify},
    writer::{HashTree, append, build},
};
