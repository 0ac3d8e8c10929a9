//! CRI-O's read-only image store, in the layout of the containers-storage library (driver
//! `overlay`), in which all images are unpacked already.
//!
//! In the payload it lies in `images/`, and the node's `storage.conf` names it as an additional
//! image store: nothing is copied and nothing is written, neither at boot nor later. What it
//! holds:
//!
//! | | |
//! | --- | --- |
//! | `overlay/ID/diff` | the files of a layer |
//! | `overlay/ID/link`, `overlay/l/LINK` | its short name, and a link of that name to the files: what mounts name, as their options have a limit |
//! | `overlay/ID/lower` | the short names of the layers below, the nearest first |
//! | `overlay-layers/layers.json` | the layers' digests and sizes |
//! | `overlay-images/images.json` | the images' names and topmost layers |
//! | `overlay-images/ID/` | manifests and configuration of an image |
//!
//! The library wants its lock files to be there even in a store that it cannot write to.
//! Archives by which a layer could be pushed again (`tar-split`) are left out: nobody pushes
//! from a node, and the library does without.

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{ReadStoreError, Store, StoredImage, read};
pub(crate) use writer::add;
