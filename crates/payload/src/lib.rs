//! A Kubernetes version as one verified, signed image: programs, CNI plugins, and container
//! images that are unpacked already.
//!
//! [`build`] makes one on the user's machine, from the Go modules in `kubernetes/` or from the
//! packages of Kubernetes' own repository; a node
//! [`open`]s it, which checks the signature, has the kernel verify each block that is read
//! ([`verity::HashArea::table`]), mounts it, and makes its images known to the container
//! runtime ([`store::seed`]). Never mounts anything itself.
//!
//! A payload file is laid out as the reader of [`Manifest`] says; inside of its file system are
//!
//! | | |
//! | --- | --- |
//! | `bin/` | kubeadm, kubectl, kubelet; containerd, its shim and ctr, or crio, pinns and crictl; crun and conmon are the system's own unless CRI-O's package brings them |
//! | `cni/` | bridge, firewall, flannel, host-local, loopback, portmap |
//! | `containerd/` | containerd's data folder, see [`store`] |
//! | `images/` | CRI-O's image store, see [`containers_storage`] |

mod build;
pub mod containers_storage;
mod contents;
mod erofs;
pub mod go;
pub mod images;
pub mod key;
mod libraries;
mod manifest;
mod oci;
pub mod packages;
mod pause;
pub mod store;
pub mod verity;

pub use {
    build::{BuildError, Cni, Payload, PayloadSpec, Runtime, Source, build},
    ed25519_dalek::{SigningKey, VerifyingKey},
    erofs::ErofsError,
    libraries::LibrariesError,
    manifest::{Description, Manifest, OpenError, VerifiedPayload, dump, open, seal},
    oci::{ReadImagesError, Reason, SourceError},
};

/// The version of Kubernetes that this program builds.
pub const KUBERNETES: &str = "1.36.3";
