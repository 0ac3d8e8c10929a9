//! The OS image: erofs root, verity, initrd, UKI, disk.

pub mod cpio;
mod extents;
pub mod fat;
pub mod gpt;
pub mod qcow2;
pub mod source;
#[cfg(test)]
mod testing;
pub mod uki;

pub use extents::{Extent, Extents};
