//! The root file system: erofs with a dm-verity hash tree.

use std::{io, path::Path};

use fs_err as fs;
use lifeboat_archive::{Digest, TarError, Tree};
use lifeboat_payload::verity;
use lifeboat_sandbox::ToolsTree;
use uuid::Uuid;

use crate::tool::{self, ToolError};

/// The file system in the folder that [`write`] makes.
pub(crate) const EROFS: &str = "root.erofs";
/// The hash tree beside it.
pub(crate) const VERITY: &str = "root.verity";
/// The root hash as text.
pub(crate) const HASH: &str = "roothash";

/// Level 9 makes a node's root 6 % smaller and takes six times as long, which whoever changes a
/// line of a file waits for at each build (187 MB of packages: 108 MB in 1.0 s against 102 MB in
/// 5.9 s; level 0 is 112 MB in 0.5 s).
const COMPRESSION: [&str; 3] = ["-zlz4hc,1", "-C65536", "-Eztailpacking"];

/// A root file system that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteRootError {
    /// mkfs.erofs failed.
    #[error("the root file system cannot be made")]
    Tool(#[from] ToolError),
    /// The tree cannot be put into an archive.
    #[error("the root tree cannot be read")]
    Tar(#[from] TarError),
    /// A file of the result cannot be written.
    #[error("the root file system cannot be written")]
    Io(#[from] io::Error),
}

/// Makes the folder `path` with the file system and its hash tree.
pub(crate) fn write(
    tools: &ToolsTree,
    tree: &Tree,
    time: i64,
    path: &Path,
) -> Result<(), WriteRootError> {
    fs::create_dir(path)?;
    let erofs = path.join(EROFS);
    let mut command = tools.command("mkfs.erofs");
    command
        .args(["--quiet", "--tar=f", "--mkfs-time"])
        .args(COMPRESSION)
        .arg(format!("-T{time}"))
        .arg(format!("-U{}", crate::id("root file system", b"")))
        .args(["-L", "lifeboat"])
        .arg(&erofs);
    tool::run_with_tree::<WriteRootError>("mkfs.erofs", command, &erofs, tree)?;
    let file = fs::File::options().read(true).write(true).open(&erofs)?;
    let block = verity::BLOCK_SIZE;
    let size = file.metadata()?.len().next_multiple_of(block);
    file.set_len(size)?;
    let parameters = verity::Parameters::of("lifeboat root");
    let tree = verity::build(file.file(), size / block, &parameters)?;
    fs::write(path.join(VERITY), &tree.bytes)?;
    fs::write(path.join(HASH), tree.root_hash.to_string())?;
    file.sync_all().map_err(WriteRootError::from)
}

/// The ids of the root's and the hash tree's partitions: the halves of the root hash.
/// Source: Discoverable Partitions Specification, "root-verity".
pub fn partition_ids(root_hash: &Digest) -> (Uuid, Uuid) {
    let (first, last) = root_hash.0.split_at(16);
    let id = |half: &[u8]| Uuid::from_slice(half).unwrap_or_default();
    (id(first), id(last))
}
