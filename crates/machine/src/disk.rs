//! The disk of a machine: a layer over the built one.

use std::{
    io,
    path::{Path, PathBuf},
    process::Output,
};

use fs_err as fs;

use crate::Tools;

/// Why a machine's disk cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The built disk cannot be linked or copied; the source names the files.
    #[error("the disk of the machine cannot be made")]
    Io(#[from] io::Error),
    /// `qemu-img` failed.
    #[error("qemu-img cannot make the disk of the machine: {0}")]
    QemuImg(String),
    /// The wanted size does not hold the image.
    #[error("a disk of {wanted} MiB does not hold the image of {needed} MiB")]
    TooSmall {
        /// The wanted size in MiB.
        wanted: u64,
        /// The image's size in MiB.
        needed: u64,
    },
}

impl DiskError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooSmall { needed, .. } => Some(format!(
                "set `machine.disk` to at least {}G",
                needed.div_ceil(1024)
            )),
            Self::Io(_) | Self::QemuImg(_) => None,
        }
    }
}

/// Makes `disk.qcow2` of `size_mib` in `folder` over `built` (raw, or qcow2 by its name),
/// which is linked into the folder: removing it elsewhere does not harm the machine. The paths
/// inside are relative, so the folder may move.
///
/// # Errors
/// [`DiskError`] if the disk is too small, or cannot be made.
pub fn create_disk(
    tools: &dyn Tools,
    built: &Path,
    folder: &Path,
    size_mib: u64,
) -> Result<(), DiskError> {
    let format = match built.extension() {
        Some(extension) if extension == "qcow2" => "qcow2",
        _ => "raw",
    };
    let base = format!("base.{format}");
    link_or_copy(built, &folder.join(&base))?;
    let needed = if format == "raw" {
        fs::metadata(built)?.len()
    } else {
        let mut info = tools.command("qemu-img");
        info.args(["info", "--output=json", &base]);
        let output = run(info, folder)?;
        let info: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| DiskError::QemuImg(error.to_string()))?;
        info["virtual-size"].as_u64().unwrap_or(0)
    };
    let needed = needed.div_ceil(1 << 20);
    if size_mib < needed {
        return Err(DiskError::TooSmall {
            wanted: size_mib,
            needed,
        });
    }
    let mut create = tools.command("qemu-img");
    create.args(["create", "-q", "-f", "qcow2", "-F", format, "-b", &base]);
    create.args(["disk.qcow2", &format!("{size_mib}M")]);
    run(create, folder)?;
    Ok(())
}

/// Links `from` to `to`, shares its blocks, or copies it: whatever the file systems allow.
///
/// # Errors
/// If none of them works; the error names the file.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    let from: PathBuf = fs::canonicalize(from)?;
    if fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    let source = fs::File::open(&from)?;
    let target = fs::File::create(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    drop(target);
    copy_data(
        source.file(),
        &fs::File::create(to)?,
        source.metadata()?.len(),
    )
}

/// Copies what is data, and leaves holes holes: a built disk is mostly holes.
fn copy_data(source: &std::fs::File, target: &fs::File, length: u64) -> io::Result<()> {
    use rustix::{
        fs::{SeekFrom, copy_file_range, seek},
        io::Errno,
    };
    target.set_len(length)?;
    let mut at = 0;
    loop {
        let start = match seek(source, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        at = seek(source, SeekFrom::Hole(start))?;
        let (mut from, mut to) = (start, start);
        while from < at {
            let chunk = usize::try_from(at - from).unwrap_or(usize::MAX);
            match copy_file_range(source, Some(&mut from), target, Some(&mut to), chunk) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    copy_bytes(source, target, from, at)?;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn copy_bytes(source: &std::fs::File, target: &fs::File, mut at: u64, end: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = vec![0; 1 << 20];
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let count = source.read_at(&mut buffer[..wanted], at)?;
        if count == 0 {
            break;
        }
        target.file().write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

fn run(mut command: std::process::Command, folder: &Path) -> Result<Output, DiskError> {
    let output = command
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(DiskError::QemuImg(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_bytes_and_the_holes() {
        use std::os::unix::fs::{FileExt as _, MetadataExt as _};
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = fs::File::create(&from).unwrap();
        file.set_len(8 << 20).unwrap();
        file.file().write_all_at(b"middle", 4 << 20).unwrap();
        let source = fs::File::open(&from).unwrap();
        let target = fs::File::create(&to).unwrap();
        copy_data(source.file(), &target, 8 << 20).unwrap();
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() * 512 < 4 << 20);
    }
}
