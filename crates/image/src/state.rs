//! The state partition: an ext4 file system that can grow while it is mounted.

use std::{io, path::Path};

use fs_err as fs;
use lifeboat_archive::{TarError, Tree};
use lifeboat_sandbox::ToolsTree;

use crate::tool::{self, ToolError};

/// What mkfs.ext4 would take from its configuration, spelt out: the host's must not matter.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,\
    flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum,\
    metadata_csum_seed,orphan_file";
/// Blocks of 4 KiB for which the group descriptors are reserved: 4 TiB. Beyond, the kernel goes
/// on with `meta_bg` by itself.
const RESERVED_BLOCKS: u64 = 1 << 30;
/// MiB of journal. A file system of the first size would get a small one that cannot grow, and
/// etcd waits for each commit.
const JOURNAL: u64 = 64;
/// Room that the first boot has before the partition is grown.
const SLACK: u64 = 192 << 20;

/// A state partition that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteStateError {
    /// mkfs.ext4 failed.
    #[error("the state partition cannot be made")]
    Tool(#[from] ToolError),
    /// mkfs.ext4 reads archives with a library that it loads when it needs it.
    #[error("the build's tools lack libarchive: add the package libarchive13t64 to them")]
    NoArchiveLibrary,
    /// What goes into it cannot be put into an archive.
    #[error("the content of the state partition cannot be read")]
    Tar(#[from] TarError),
    /// The file cannot be written.
    #[error("the state partition cannot be written")]
    Io(#[from] io::Error),
}

/// The size of a partition that holds `tree`: what the files need, the journal, slack.
pub(crate) fn size(tree: &Tree) -> u64 {
    let block = |size: u64| size.next_multiple_of(4096) + 4096;
    let files: u64 = tree
        .iter()
        .map(|(_, _, inode)| match &inode.kind {
            lifeboat_archive::Kind::File(content) => block(content.size()),
            _ => 4096,
        })
        .sum();
    // Inode tables take 1.6 % at 256 bytes for each 16 KiB.
    (files + files / 50 + (JOURNAL << 20) + SLACK).next_multiple_of(64 << 20)
}

/// Makes the sparse file `path` of `size` bytes.
pub(crate) fn write(
    tools: &ToolsTree,
    tree: &Tree,
    time: i64,
    size: u64,
    path: &Path,
) -> Result<(), WriteStateError> {
    if !tools
        .path()
        .join("usr/lib/x86_64-linux-gnu/libarchive.so.13")
        .exists()
    {
        return Err(WriteStateError::NoArchiveLibrary);
    }
    fs::File::create(path)?.set_len(size)?;
    let id = crate::id("state file system", b"");
    let mut command = tools.command("mkfs.ext4");
    command
        .env("SOURCE_DATE_EPOCH", time.to_string())
        .env("E2FSPROGS_FAKE_TIME", time.to_string())
        .args([
            "-q", "-F", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-L", "state",
        ])
        .args([
            "-U",
            &id.to_string(),
            "-O",
            FEATURES,
            "-J",
            &format!("size={JOURNAL}"),
            "-E",
        ])
        .arg(format!(
            "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0,\
             hash_seed={id},resize={RESERVED_BLOCKS}"
        ))
        .args(["-d", "-"])
        .arg(path);
    tool::run_with_tree("mkfs.ext4", command, path, tree)
}
