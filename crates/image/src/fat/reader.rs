//! Volumes to files.

use std::io;

use zerocopy::FromBytes as _;

use super::{
    Width,
    format::{
        Boot, Boot32, BootEnd, DELETED, DIRECTORY, FAT16_CLUSTERS, FAT32_CLUSTERS, LONG_NAME,
        LongRecord, Record, SECTOR, VOLUME_LABEL, checksum,
    },
};
use crate::source::Source;

/// A volume that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFatError {
    /// The medium cannot be read, or ends too early.
    #[error("the FAT volume cannot be read")]
    Io(#[from] io::Error),
    /// Not a FAT volume, or one of a kind that is not supported.
    #[error("not a FAT16 or FAT32 volume: {0}")]
    Format(&'static str),
    /// A chain of clusters that leaves the volume or never ends.
    #[error("`{0}` has a broken chain of clusters")]
    Chain(String),
    /// No such file.
    #[error("no file `{0}` on the FAT volume")]
    Missing(String),
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, with `/` between names.
    pub path: String,
    /// Size in bytes; 0 for a folder.
    pub size: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
    cluster: u32,
}

/// An open volume.
#[derive(Debug)]
pub struct Fat<'a, S: ?Sized> {
    source: &'a S,
    /// Which kind.
    pub width: Width,
    /// The label in the boot sector.
    pub label: String,
    /// The serial number.
    pub serial: u32,
    /// Bytes in a cluster.
    pub cluster: u64,
    /// How many clusters there are.
    pub clusters: u64,
    table: Vec<u8>,
    root_offset: u64,
    root_size: u64,
    data_offset: u64,
    root_cluster: u32,
}

impl<'a, S: Source + ?Sized> Fat<'a, S> {
    /// Reads the boot sector and the allocation table.
    ///
    /// # Errors
    /// [`ReadFatError`] if they cannot be read or are not supported.
    pub fn open(source: &'a S) -> Result<Self, ReadFatError> {
        let sector = source.bytes(0, SECTOR)?;
        let short = |_| ReadFatError::Format("the boot sector is too short");
        let (boot, rest) =
            Boot::read_from_prefix(&sector).map_err(|error| short(error.to_string()))?;
        let (more, _) = Boot32::read_from_prefix(rest).map_err(|error| short(error.to_string()))?;
        if sector[510..] != [0x55, 0xaa] {
            return Err(ReadFatError::Format("no boot signature"));
        }
        if u64::from(boot.sector.get()) != SECTOR {
            return Err(ReadFatError::Format("sectors of other than 512 bytes"));
        }
        let in_cluster = u64::from(boot.cluster_sectors);
        if !in_cluster.is_power_of_two() || boot.tables == 0 || boot.reserved_sectors.get() == 0 {
            return Err(ReadFatError::Format("impossible sizes in the boot sector"));
        }
        let either = |narrow: u16, wide: u32| match narrow {
            0 => u64::from(wide),
            narrow => u64::from(narrow),
        };
        let sectors = either(boot.sectors_16.get(), boot.sectors_32.get());
        let table_sectors = either(boot.table_sectors_16.get(), more.table_sectors.get());
        let reserved = u64::from(boot.reserved_sectors.get());
        let root_sectors = (u64::from(boot.root_entries.get()) * 32).div_ceil(SECTOR);
        let root = reserved + u64::from(boot.tables) * table_sectors;
        let data = root + root_sectors;
        if data >= sectors || sectors * SECTOR > source.size() {
            return Err(ReadFatError::Format("it is larger than its medium"));
        }
        let clusters = (sectors - data) / in_cluster;
        let width = match clusters {
            FAT32_CLUSTERS.. => Width::Fat32,
            FAT16_CLUSTERS.. => Width::Fat16,
            _ => return Err(ReadFatError::Format("too few clusters")),
        };
        let (end_at, entry) = match width {
            Width::Fat16 => (36, 2),
            Width::Fat32 => (64, 4),
        };
        let end = BootEnd::read_from_prefix(&sector[end_at..])
            .map_err(|error| short(error.to_string()))?
            .0;
        if (clusters + 2) * entry > table_sectors * SECTOR {
            return Err(ReadFatError::Format("the allocation table is too small"));
        }
        Ok(Self {
            source,
            width,
            label: String::from_utf8_lossy(&end.label).trim_end().to_owned(),
            serial: end.serial.get(),
            cluster: in_cluster * SECTOR,
            clusters,
            table: source.bytes(reserved * SECTOR, (clusters + 2) * entry)?,
            root_offset: root * SECTOR,
            root_size: root_sectors * SECTOR,
            data_offset: data * SECTOR,
            root_cluster: more.root_cluster.get(),
        })
    }

    /// All files and folders, in the order of the folders' records.
    ///
    /// # Errors
    /// [`ReadFatError`] if a folder is broken.
    pub fn entries(&self) -> Result<Vec<Entry>, ReadFatError> {
        let mut all = Vec::new();
        let root = match self.width {
            Width::Fat16 => self.source.bytes(self.root_offset, self.root_size)?,
            Width::Fat32 => self.chain(self.root_cluster, None, "/")?,
        };
        // Each folder has a cluster of its own, so more folders than clusters are a loop.
        let mut folders = 0;
        let mut left = vec![(String::new(), root)];
        while let Some((prefix, bytes)) = left.pop() {
            let mut below = Vec::new();
            for entry in records(&bytes, &prefix) {
                if entry.is_folder {
                    folders += 1;
                    if folders > self.clusters || entry.path.len() > 4096 {
                        return Err(ReadFatError::Chain(entry.path));
                    }
                    let inner = self.chain(entry.cluster, None, &entry.path)?;
                    below.push((format!("{}/", entry.path), inner));
                }
                all.push(entry);
            }
            left.extend(below.into_iter().rev());
        }
        Ok(all)
    }

    /// The bytes of a file; its path is compared without regard to case.
    ///
    /// # Errors
    /// [`ReadFatError`] if it is not there or broken.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ReadFatError> {
        let wanted = path.to_lowercase();
        let entry = self
            .entries()?
            .into_iter()
            .find(|entry| !entry.is_folder && entry.path.to_lowercase() == wanted)
            .ok_or_else(|| ReadFatError::Missing(path.to_owned()))?;
        if entry.size == 0 {
            return Ok(Vec::new());
        }
        self.chain(entry.cluster, Some(entry.size), path)
    }

    /// The bytes in a chain of clusters, as many as `size` says, or all.
    fn chain(&self, first: u32, size: Option<u64>, what: &str) -> Result<Vec<u8>, ReadFatError> {
        let broken = || ReadFatError::Chain(what.to_owned());
        let mut bytes = Vec::new();
        let mut cluster = first;
        let mut seen = 0;
        loop {
            let number = u64::from(cluster);
            if number < 2 || number >= self.clusters + 2 || seen >= self.clusters {
                return Err(broken());
            }
            let at = self.data_offset + (number - 2) * self.cluster;
            bytes.extend(self.source.bytes(at, self.cluster)?);
            seen += 1;
            if size.is_some_and(|size| bytes.len() as u64 >= size) {
                break;
            }
            let next = self.next(cluster).ok_or_else(broken)?;
            match next {
                0x0fff_fff8.. if size.is_none() => break,
                // A folder has at most 65,536 records.
                _ if size.is_none() && bytes.len() > 32 << 16 => return Err(broken()),
                next => cluster = next,
            }
        }
        if let Some(size) = size {
            bytes.truncate(crate::source::to_usize(size));
        }
        Ok(bytes)
    }

    fn next(&self, cluster: u32) -> Option<u32> {
        let at = cluster as usize;
        Some(match self.width {
            Width::Fat16 => {
                let bytes = self.table.get(at * 2..at * 2 + 2)?;
                let entry = u32::from(u16::from_le_bytes(bytes.try_into().ok()?));
                if entry >= 0xfff8 {
                    entry | 0x0fff_0000
                } else {
                    entry
                }
            }
            Width::Fat32 => {
                let bytes = self.table.get(at * 4..at * 4 + 4)?;
                u32::from_le_bytes(bytes.try_into().ok()?) & 0x0fff_ffff
            }
        })
    }
}

/// The entries of a folder's bytes.
fn records(bytes: &[u8], prefix: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut long: Vec<(u8, [u16; 13])> = Vec::new();
    for bytes in bytes.chunks_exact(32) {
        let Ok(record) = Record::read_from_bytes(bytes) else {
            break;
        };
        if record.name[0] == 0 {
            break;
        }
        if record.name[0] == DELETED {
            long.clear();
            continue;
        }
        if record.attributes & 0x3f == LONG_NAME {
            if let Ok(piece) = LongRecord::read_from_bytes(bytes) {
                long.push((piece.checksum, piece.units()));
            }
            continue;
        }
        let pieces = std::mem::take(&mut long);
        if record.attributes & VOLUME_LABEL != 0 || record.name[0] == b'.' {
            continue;
        }
        let sum = checksum(&record.name);
        let name = if !pieces.is_empty() && pieces.iter().all(|(own, _)| *own == sum) {
            let units: Vec<u16> = pieces
                .iter()
                .rev()
                .flat_map(|(_, units)| *units)
                .take_while(|unit| *unit != 0 && *unit != 0xffff)
                .collect();
            String::from_utf16_lossy(&units)
        } else {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
            match (text(&record.name[..8]), text(&record.name[8..])) {
                (base, extension) if extension.is_empty() => base,
                (base, extension) => format!("{base}.{extension}"),
            }
        };
        let is_folder = record.attributes & DIRECTORY != 0;
        entries.push(Entry {
            path: format!("{prefix}{name}"),
            size: if is_folder {
                0
            } else {
                u64::from(record.size.get())
            },
            is_folder,
            cluster: record.cluster(),
        });
    }
    entries
}
