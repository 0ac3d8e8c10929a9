//! The state partition: grown to the disk's size, mounted on /var.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::mount::MountFlags;

use super::{disk::Disk, gpt};
use crate::sys;

/// Why there is no state partition.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk has none.
    #[error("disk `{0}` has no partition of the type of /var with the label `state`")]
    None(String),
    /// It cannot be mounted, and checking it did not help.
    #[error("cannot mount the state partition `{device}` (ext4): {source}; {check}")]
    Mount {
        /// Its device.
        device: String,
        /// The first error.
        source: io::Error,
        /// What the check said.
        check: String,
    },
}

/// What was done to the size, for the report.
pub type Grown = Result<Option<u64>, io::Error>;

/// Grows and mounts the state partition of `disk` at `target`. A partition or file system that
/// cannot grow is used as it is.
///
/// # Errors
/// [`StateError`].
pub fn mount(disk: &Disk, root: &Path, target: &Path) -> Result<Grown, StateError> {
    let partition = disk
        .state()
        .ok_or_else(|| StateError::None(disk.name.clone()))?
        .clone();
    let device = disk
        .partition(partition.number)
        .ok_or_else(|| StateError::None(disk.name.clone()))?;
    let grown = grow_partition(disk, partition.number);
    if let Err(source) = mount_ext4(&device, target) {
        let check = check(root, &device);
        mount_ext4(&device, target).map_err(|_| StateError::Mount {
            device: device.display().to_string(),
            source,
            check,
        })?;
    }
    let grown = grown.and_then(|()| grow_file_system(&device, target));
    Ok(grown)
}

/// Where the state partition is read from when /var is in memory.
const DISK: &str = "/run/lifeboat/disk";
/// What of it a boot in memory has: the payloads, and which one is chosen.
const PAYLOADS: &str = "lib/lifeboat/payloads";
const CHOICE: &str = "lib/lifeboat/payload";

/// Mounts a /var in memory at `target`, with the payloads of the disk's state partition. Nothing
/// is written to the disk, not even its journal, and nothing else is read from it.
///
/// # Errors
/// If there is no memory for it. That the payloads cannot be had is the inner error.
pub fn mount_in_memory(disk: &Disk, target: &Path) -> io::Result<io::Result<()>> {
    rustix::mount::mount(
        "tmpfs",
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=0755,size=60%"),
    )?;
    Ok(bind_payloads(disk, target))
}

fn bind_payloads(disk: &Disk, target: &Path) -> io::Result<()> {
    let Some(device) = disk
        .state()
        .and_then(|partition| disk.partition(partition.number))
    else {
        return Ok(()); // A medium that has none.
    };
    let place = Path::new(DISK);
    super::make_folder(place, 0o700)?;
    rustix::mount::mount(
        &device,
        place,
        "ext4",
        MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC,
        Some(c"noload"),
    )?;
    let (from, to) = (place.join(PAYLOADS), target.join(PAYLOADS));
    if !from.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(&to)?;
    rustix::mount::mount_bind(&from, &to)?;
    if let Ok(choice) = fs_err::read(place.join(CHOICE)) {
        fs_err::write(target.join(CHOICE), choice)?;
    }
    Ok(())
}

fn mount_ext4(device: &Path, target: &Path) -> io::Result<()> {
    rustix::mount::mount(
        device,
        target,
        "ext4",
        MountFlags::NOATIME,
        Some(c"commit=15"),
    )?;
    Ok(())
}

/// Makes the last partition reach the end of the disk, in the table and in the kernel.
fn grow_partition(disk: &Disk, number: u32) -> io::Result<()> {
    let Some(growth) = gpt::plan_growth(&disk.table, number, disk.sectors()?) else {
        return Ok(());
    };
    let file = File::options().read(true).write(true).open(disk.device())?;
    for (offset, bytes) in [&growth.backup, &growth.primary] {
        file.write_all_at(bytes, *offset)?;
        file.sync_all()?;
    }
    let partition = growth.partition;
    sys::resize_partition(
        &file,
        number,
        partition.first * gpt::SECTOR,
        (partition.last - partition.first + 1) * gpt::SECTOR,
    )
}

/// Grows the mounted file system to its partition. Returns the new size in bytes.
fn grow_file_system(device: &Path, target: &Path) -> io::Result<Option<u64>> {
    let size = rustix::fs::seek(File::open(device)?, rustix::fs::SeekFrom::End(0))?;
    let now = rustix::fs::statvfs(target)?;
    // statvfs leaves out what the file system itself uses, some percent at most.
    if now.f_blocks * now.f_frsize + size / 16 >= size {
        return Ok(None);
    }
    sys::resize_ext4(&File::open(target)?, size / now.f_frsize)?;
    Ok(Some(size))
}

/// Lets the root's own e2fsck repair what it can without questions.
fn check(root: &Path, device: &Path) -> String {
    let program = PathBuf::from("/usr/sbin/e2fsck");
    if !root.join("usr/sbin/e2fsck").exists() {
        return "there is no e2fsck to check it".to_owned();
    }
    // The device's node is needed inside.
    let dev = root.join("dev");
    if rustix::mount::mount_bind("/dev", &dev).is_err() {
        return "it could not be checked".to_owned();
    }
    let root = root.to_owned();
    let mut command = Command::new(&program);
    command.arg("-p").arg(device);
    let result = crate::child::in_root(&mut command, &root).output();
    // A lazy unmount always succeeds on what was just mounted.
    let _ = rustix::mount::unmount(&dev, rustix::mount::UnmountFlags::DETACH);
    match result {
        Ok(output) => format!(
            "e2fsck: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stdout).trim()
        ),
        Err(error) => format!("e2fsck could not run: {error}"),
    }
}
