//! A Kubernetes version as one verified, signed image.

mod build;
mod erofs;
pub mod go;
pub mod images;
pub mod key;
mod libraries;
mod manifest;
mod oci;
mod pause;
pub mod store;
pub mod verity;

pub use {
    build::{BuildError, Cni, Payload, PayloadSpec, Runtime, build},
    ed25519_dalek::{SigningKey, VerifyingKey},
    erofs::ErofsError,
    libraries::LibrariesError,
    manifest::{Description, Manifest, OpenError, VerifiedPayload, dump, open, seal},
    oci::{ReadImagesError, Reason, SourceError},
};

/// The version of Kubernetes that this program builds.
pub const KUBERNETES: &str = "1.36.3";
