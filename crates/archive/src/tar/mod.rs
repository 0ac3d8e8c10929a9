//! Tar archives: POSIX ustar and pax (POSIX.1-2008, `pax`), and what GNU tar adds to them.

mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    format::TarError,
    reader::{Member, Node, Reader, Source, Streamed, read_tar},
    writer::write_tar,
};
