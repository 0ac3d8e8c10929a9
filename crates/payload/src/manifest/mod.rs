//! What a payload file says of itself, and whether its maker signed that.
//!
//! A payload file is an erofs image from its first byte, then the hash tree over it, then the
//! manifest as JSON filled up with zeroes to a whole block, then one block with the trailer.
//! The trailer says where the manifest is and carries an Ed25519 signature (RFC 8032) of the
//! manifest's bytes; the manifest carries the root hash of all the rest. All numbers are
//! little-endian.

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    format::Manifest,
    reader::{OpenError, VerifiedPayload, dump, open},
    writer::{Description, seal},
};
