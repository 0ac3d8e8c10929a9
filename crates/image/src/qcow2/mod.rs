//! QEMU's disk images: a writer of sparse, uncompressed images and a reader.
//! Source: QEMU `docs/interop/qcow2.rst`, version 3.
//!
//! Clusters that hold only zeros are left out whatever the source's holes are, so that the
//! same disk gives the same file on every file system.

mod dump;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    dump::dump,
    reader::{Qcow2, ReadQcow2Error},
    writer::write,
};
