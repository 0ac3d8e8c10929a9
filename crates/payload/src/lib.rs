//! A Kubernetes version as one verified, signed image: programs, CNI plugins, and container
//! images that are unpacked already.
//!
//! [`build`] makes one from the Go modules in `kubernetes/` on the user's machine; a node
//! [`open`]s it, which checks the signature, has the kernel verify each block that is read
//! ([`verity::HashArea::table`]), mounts it, and makes its images known to the container
//! runtime ([`store::seed`]). Never mounts anything itself.
//!
//! A payload file is laid out as the reader of [`Manifest`] says; inside of its file system are
//!
//! | | |
//! | --- | --- |
//! | `bin/` | kubeadm, kubectl, kubelet, containerd, its shim, ctr; crun is the system's own |
//! | `cni/` | bridge, firewall, flannel, host-local, loopback, portmap |
//! | `containerd/` | containerd's data folder, see [`store`] |

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
