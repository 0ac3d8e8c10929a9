//! Writes a tree as an erofs image with `mkfs.erofs` of the tools tree.

use std::{io, path::Path, process::Stdio, thread};

use lifeboat_archive::{TarError, Tree, no_room, write_tar};
use lifeboat_sandbox::{ToolsTree, end_with_us};

/// Measured on a payload of 316 MB, in seconds of processor and bytes: lz4 in clusters of 4 KiB
/// 0.8 s and 173 MB, lz4 in clusters of 64 KiB 0.8 s and 151 MB, lz4hc level 6 6.7 s and
/// 124 MB, level 9 12.5 s and 123.5 MB, level 12 44 s and 123 MB. All are read equally fast.
const COMPRESSION: &str = "lz4hc,6";

/// The image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    /// The tool could not be started.
    #[error("mkfs.erofs of the tools tree cannot write")]
    Io(#[from] io::Error),
    /// A file of the tree could not be read.
    #[error("a file for the image cannot be read")]
    Tar(#[from] TarError),
    /// The tool failed.
    #[error("mkfs.erofs failed: {0}")]
    Tool(String),
}

/// Writes `tree` to a new file at `path`. `name` gives the file system its UUID.
pub(crate) fn write(
    tools: &ToolsTree,
    tree: &Tree,
    path: &Path,
    name: &str,
) -> Result<(), ErofsError> {
    let uuid = crate::verity::Parameters::of(format!("erofs {name}")).uuid;
    let mut command = tools.command("mkfs.erofs");
    let mut child = end_with_us(&mut command)
        .args(["--quiet", "--tar=f", "-T0", "-C65536"])
        .arg(format!("-z{COMPRESSION}"))
        .arg(format!("-U{}", uuid::Uuid::from_bytes(uuid)))
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let (written, output) = thread::scope(|scope| {
        let writer = scope.spawn(|| stdin.map_or(Ok(()), |stdin| write_tar(tree, stdin)));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let output = output?;
    if !output.status.success() {
        if let Some(error) = no_room(path) {
            return Err(error.into());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(ErofsError::Tool(text.trim().to_owned()));
    }
    written.map_err(|_| io::Error::other("the writer of the archive failed"))??;
    Ok(())
}
