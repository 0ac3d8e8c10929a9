//! Unified kernel images: a PE program (systemd's stub) with the kernel, its command line and
//! its initrd in sections of its own. Source: UAPI.5,
//! <https://uapi-group.org/specifications/specs/unified_kernel_image/>, and Microsoft's
//! "PE Format".

mod dump;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    dump::dump,
    reader::{Program, ReadPeError, Section, read},
    writer::{NewSection, WriteUkiError, write},
};
