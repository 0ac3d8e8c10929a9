//! Debian package archives: what they offer, whether it is signed, which packages belong
//! together, and their files as a tree. Never touches a disk image or runs a program.

mod cache;
mod digest;
mod tree;

pub use {
    cache::{Cache, CacheError, Entry, Lock},
    digest::{Digest, ParseDigestError},
    tree::{Content, Inode, InodeId, Kind, Tree, TreeError, TreePath},
};
