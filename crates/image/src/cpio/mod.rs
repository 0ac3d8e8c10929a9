//! Archives of the kernel's initial file system (cpio "newc").
//! Source: kernel `Documentation/driver-api/early-userspace/buffer-format.rst`.

mod dump;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use {
    dump::dump,
    reader::{ReadCpioError, read},
    writer::{WriteCpioError, write},
};
