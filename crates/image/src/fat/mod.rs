//! FAT32 and FAT16 volumes: a formatter that writes a volume with its files in one go, and a
//! reader. Source: Microsoft FAT specification (August 2005), and UEFI 2.10, 13.3.
//!
//! Same files, same bytes: times and the serial number come from the plan, files lie in the
//! order of their paths, each in one piece.

mod dump;
mod format;
mod name;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use lifeboat_archive::Content;

pub(crate) use writer::civil;

pub use {
    dump::dump,
    format::Width,
    reader::{Entry, Fat, ReadFatError},
    writer::{WriteFatError, write},
};

/// A file of a volume that is to be written; folders above it are made.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, with `/` between names.
    pub path: String,
    /// Its bytes, fewer than 4 GiB.
    pub content: Content,
}

/// A volume that is to be written.
#[derive(Clone, Debug)]
pub struct Volume {
    /// At most 11 characters of capital ASCII letters, digits, space and `_`.
    pub label: String,
    /// What the volume is called by `blkid`.
    pub serial: u32,
    /// Size in bytes, a multiple of 512.
    pub size: u64,
    /// The time of all files, in seconds since 1970 (UTC); the format begins in 1980.
    pub time: i64,
    /// The files.
    pub files: Vec<File>,
}
