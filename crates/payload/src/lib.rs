//! A Kubernetes version as one verified, signed image.

pub mod key;
mod manifest;
pub mod verity;

pub use {
    ed25519_dalek::{SigningKey, VerifyingKey},
    manifest::{Description, Manifest, OpenError, VerifiedPayload, dump, open, seal},
};
