//! The OS image: erofs root, verity, initrd, UKI, disk.
//!
//! [`build()`] makes it from a tree of configured packages; the modules named after formats read
//! and write them, and [`inspect()`] shows any of them. Nothing here needs privileges, and no
//! tree is laid out on a disk.
//!
//! ```
//! use lifeboat_image::gpt::{self, Layout, kinds};
//! use uuid::Uuid;
//!
//! let mut layout = Layout::new(Uuid::from_u128(1));
//! let offset = layout.add(kinds::ESP, Uuid::from_u128(2), "esp", 0, 32 << 20);
//! let table = layout.finish();
//! assert_eq!(offset, 1 << 20);
//! assert_eq!(gpt::write(&table)?.head.len() as u64, 34 * gpt::SECTOR);
//! # Ok::<(), gpt::PlanTableError>(())
//! ```

mod build;
pub mod cpio;
mod disk;
mod extents;
pub mod fat;
mod finish;
pub mod gpt;
mod identity;
mod initrd;
mod inspect;
mod manifest;
mod package;
pub mod qcow2;
mod root;
pub mod source;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tool;
pub mod uki;

pub use {
    build::{BuildError, Image, ImageInputs, Stage, build},
    disk::{AssembleError, DiskSizes, Part},
    extents::{Extent, Extents},
    finish::{Additions, FinishError, Root, Units, finish},
    initrd::{InitrdError, MODULES, ModuleError, Modules, Need, Wanted, When},
    inspect::{InspectError, inspect},
    manifest::{Artifact, Manifest, SCHEMA},
    package::{Component, InstalledPackage, PackageError, Packages},
    root::{WriteRootError, partition_ids},
    state::WriteStateError,
    tool::ToolError,
};

pub(crate) use disk::stable_id as id;

/// Packages of the tools tree that a build runs programs of.
pub const TOOL_PACKAGES: &[&str] = &["e2fsprogs", "erofs-utils", "libarchive13t64"];

/// Packages of the image without which it cannot be built.
pub const IMAGE_PACKAGES: &[&str] = &["systemd-boot-efi"];
