//! Volumes that carry configuration: found by the label in their superblock, and read here. No
//! module of the kernel, no mount and no udev is needed for ISO 9660 and FAT, and a broken
//! volume cannot harm more than this process.

mod fat;
mod iso;
#[cfg(test)]
mod tests;
pub(crate) mod udf;

use std::{
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use fs_err as fs;

pub(crate) use {fat::Fat, iso::Iso};

/// The largest file that is read from a volume.
pub(crate) const MOST_BYTES: u64 = 4 << 20;

/// What bytes are read from.
pub(crate) trait Medium {
    /// Exactly `length` bytes from `offset`.
    fn exactly(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
}

impl Medium for std::fs::File {
    fn exactly(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

#[cfg(test)]
impl Medium for Vec<u8> {
    fn exactly(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..offset.checked_add(length)?))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Why a file of a volume cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// The medium fails, or ends before the volume does.
    #[error("the medium cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not a volume of this kind.
    #[error("not a volume of this kind")]
    Other,
    /// Its structures contradict each other.
    #[error("the volume is broken: {0}")]
    Broken(&'static str),
    /// A file that is too large.
    #[error("`{0}` is larger than 4 MiB, which is the most that is read")]
    TooLarge(String),
}

/// A volume that was opened.
pub(crate) enum Volume<M: Medium> {
    /// ISO 9660, with Rock Ridge or Joliet names.
    Iso(Iso<M>),
    /// FAT12, FAT16 or FAT32.
    Fat(Fat<M>),
}

impl<M: Medium> Volume<M> {
    /// Recognises a volume by its superblock.
    pub(crate) fn open(medium: M) -> Result<Self, VolumeError> {
        match Iso::open(medium) {
            Ok(iso) => Ok(Self::Iso(iso)),
            Err((medium, VolumeError::Other)) => Fat::open(medium).map(Self::Fat),
            Err((_, error)) => Err(error),
        }
    }
}

impl<M: Medium> Volume<M> {
    /// The label.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Iso(iso) => &iso.label,
            Self::Fat(fat) => &fat.label,
        }
    }

    /// The content of a file; none if there is no such file. Case does not matter.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        match self {
            Self::Iso(iso) => iso.read(path),
            Self::Fat(fat) => fat.read(path),
        }
    }
}

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    /// Whether it is a CD-ROM drive; those come first.
    not_cdrom: bool,
    /// Its name below /dev.
    pub name: String,
    /// Its node.
    pub path: PathBuf,
}

impl Device {
    /// Whether it is a CD-ROM drive.
    pub(crate) fn is_cdrom(&self) -> bool {
        !self.not_cdrom
    }
}

/// The block devices that may carry a volume: CD-ROM drives, then disks and partitions.
pub(crate) fn devices(system: &Path) -> Vec<Device> {
    let mut all: Vec<Device> = fs::read_dir(system.join("sys/class/block"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            !["loop", "ram", "zram", "dm-", "md", "nbd"]
                .iter()
                .any(|kind| name.starts_with(kind))
        })
        .map(|name| Device {
            not_cdrom: !name.starts_with("sr"),
            // The kernel writes `!` where a name has a slash.
            path: system.join("dev").join(name.replace('!', "/")),
            name,
        })
        .collect();
    all.sort();
    all
}

/// Opens the volume on a device, if it has one of these kinds.
pub(crate) fn open(device: &Device) -> Option<Volume<std::fs::File>> {
    let file = std::fs::File::open(&device.path).ok()?;
    Volume::open(file).ok()
}
