//! The initrd: one static program and the kernel modules it needs to reach the root.

mod list;
mod module;
#[cfg(test)]
mod tests;

use std::io;

use lifeboat_archive::{Content, Inode, Kind, Tree, TreeError};

pub use {
    list::{MODULES, Need, Wanted, When},
    module::{ModuleError, Modules},
};

use crate::cpio::{self, WriteCpioError};

/// How hard zstd tries: 15 takes five times as long for one hundredth less, 19 ten times for a
/// tenth.
const LEVEL: i32 = 12;

/// An initrd that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// A kernel module cannot be had.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// Two things want the same path.
    #[error("the initrd's files do not fit together")]
    Tree(#[from] TreeError),
    /// The archive cannot be written.
    #[error("the initrd cannot be written")]
    Cpio(#[from] WriteCpioError),
    /// It cannot be compressed or stored.
    #[error("the initrd cannot be written")]
    Io(#[from] io::Error),
}

/// The tree of an initrd: `/init`, modules with their `load.list`, mount points.
pub(crate) fn tree(
    root: &Tree,
    kernel: &str,
    wanted: &[Wanted],
    init: Content,
) -> Result<Tree, InitrdError> {
    let mut tree = Tree::new();
    for folder in ["dev", "proc", "run", "sys", "sysroot", "tmp"] {
        tree.mkdir(folder, 0o755)?;
    }
    // Without it the kernel starts init with no standard output.
    tree.insert(
        b"dev/console",
        Inode::new(Kind::CharDevice { major: 5, minor: 1 }, 0o600),
    )?;
    tree.insert(
        b"dev/null",
        Inode::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666),
    )?;
    tree.insert(b"init", Inode::new(Kind::File(init), 0o755))?;
    let chosen = Modules::new(root, kernel).choose(wanted)?;
    for module in &chosen {
        let path = format!("lib/modules/{kernel}/{}", module.path);
        tree.write(path, 0o644, &module.bytes)?;
    }
    tree.write(
        format!("lib/modules/{kernel}/load.list"),
        0o644,
        list::text(&chosen),
    )?;
    Ok(tree)
}

/// Writes a tree as the kernel takes it: cpio in zstd.
pub(crate) fn write(tree: &Tree, path: &std::path::Path) -> Result<(), InitrdError> {
    let mut bytes = Vec::new();
    cpio::write(tree, &mut bytes)?;
    let mut encoder = zstd::Encoder::new(fs_err::File::create(path)?, LEVEL)?;
    // The kernel's decoder takes windows of up to 8 MiB only.
    encoder.window_log(23)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    io::copy(&mut &bytes[..], &mut encoder)?;
    encoder.finish()?.sync_all()?;
    Ok(())
}
