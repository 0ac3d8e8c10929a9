//! Files to a volume.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat_archive::Content;
use zerocopy::{
    IntoBytes as _,
    little_endian::{U16, U32},
};

use super::{
    Volume, Width,
    format::{
        ARCHIVE, Boot, Boot32, BootEnd, DIRECTORY, FAT16_CLUSTERS, FAT32_CLUSTERS, INFO, MEDIA,
        Record, SECTOR, VOLUME_LABEL,
    },
    name::{is_valid, long_records, short},
};
use crate::{extents::Extents, source::to_usize};

/// A volume that cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteFatError {
    /// The files do not fit.
    #[error("the files need {needed} bytes in clusters, the FAT volume of {size} has {there}")]
    Full {
        /// What the files need.
        needed: u64,
        /// Size of the volume.
        size: u64,
        /// What of it holds files.
        there: u64,
    },
    /// Too few clusters for FAT16, or too many sectors.
    #[error("no FAT16 or FAT32 volume has {0} bytes: take 4 MiB to 2 TiB, a multiple of 512")]
    Size(u64),
    /// A name that the format cannot hold, or that differs from another only in case.
    #[error("`{0}` cannot be a name on a FAT volume, or is there twice")]
    Name(String),
    /// A file of 4 GiB or more.
    #[error("`{path}` has {size} bytes, FAT takes fewer than 4 GiB")]
    FileSize {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A label with other than capital letters, digits, spaces and `_`, or a long one.
    #[error("`{0}` cannot be the label of a FAT volume")]
    Label(String),
}

/// Sizes that follow from the volume's size.
struct Geometry {
    width: Width,
    cluster: u64,
    reserved: u64,
    table: u64,
    root: u64,
    clusters: u64,
}

impl Geometry {
    fn new(size: u64) -> Result<Self, WriteFatError> {
        let sectors = size / SECTOR;
        if !size.is_multiple_of(SECTOR) || sectors > u64::from(u32::MAX) {
            return Err(WriteFatError::Size(size));
        }
        // The largest clusters that still make it FAT32: firmware reads them fastest.
        let fat32 = [64, 32, 16, 8, 4, 2, 1].map(|cluster| (Width::Fat32, cluster));
        let fat16 = [1, 2, 4, 8].map(|cluster| (Width::Fat16, cluster));
        for (width, cluster) in fat32.into_iter().chain(fat16) {
            let geometry = Self::with(sectors, width, cluster);
            let fits = match width {
                // Some drivers are off by a few clusters at the border, so keep away from it.
                Width::Fat32 => geometry.clusters >= FAT32_CLUSTERS + 16,
                Width::Fat16 => {
                    (FAT16_CLUSTERS + 16..FAT32_CLUSTERS - 16).contains(&geometry.clusters)
                }
            };
            if fits {
                return Ok(geometry);
            }
        }
        Err(WriteFatError::Size(size))
    }

    fn with(sectors: u64, width: Width, cluster: u64) -> Self {
        let (reserved, root, entry) = match width {
            Width::Fat16 => (4, 32, 2),
            Width::Fat32 => (32, 0, 4),
        };
        // Upper bound: as if the tables took no room themselves.
        let most = sectors.saturating_sub(reserved + root) / cluster + 2;
        let table = (most * entry).div_ceil(SECTOR).next_multiple_of(cluster);
        let clusters = sectors.saturating_sub(reserved + root + 2 * table) / cluster;
        Self {
            width,
            cluster,
            reserved,
            table,
            root,
            clusters,
        }
    }

    fn root_offset(&self) -> u64 {
        (self.reserved + 2 * self.table) * SECTOR
    }

    fn offset(&self, cluster: u32) -> u64 {
        self.root_offset() + (self.root + (u64::from(cluster) - 2) * self.cluster) * SECTOR
    }
}

#[derive(Debug)]
enum Node {
    File(Content),
    Folder(BTreeMap<String, Node>),
}

/// Lays out a volume.
///
/// # Errors
/// [`WriteFatError`] if it cannot be.
pub fn write(volume: &Volume) -> Result<Extents, WriteFatError> {
    let geometry = Geometry::new(volume.size)?;
    let label = label(&volume.label)?;
    let mut top = BTreeMap::new();
    for file in &volume.files {
        place(&mut top, &file.path, &file.path, &file.content)?;
    }
    let mut writer = Writer {
        geometry,
        stamp: stamp(volume.time),
        table: vec![0x0fff_ff00 | u32::from(MEDIA), 0x0fff_ffff],
        extents: Extents::new(),
    };
    writer.top(&top, label);
    let geometry = &writer.geometry;
    let used = writer.table.len() as u64 - 2;
    if used > geometry.clusters {
        let bytes = |clusters| clusters * geometry.cluster * SECTOR;
        return Err(WriteFatError::Full {
            needed: bytes(used),
            size: volume.size,
            there: bytes(geometry.clusters),
        });
    }
    Ok(writer.finish(volume, label))
}

struct Writer {
    geometry: Geometry,
    stamp: (u16, u16),
    /// What each cluster is followed by, as far as clusters are in use.
    table: Vec<u32>,
    extents: Extents,
}

impl Writer {
    /// Takes clusters for so many bytes, and returns the first; 0 for nothing.
    fn allocate(&mut self, bytes: u64) -> u32 {
        let count = bytes.div_ceil(self.geometry.cluster * SECTOR);
        let first = self.table.len();
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        for index in 1..=to_usize(count) {
            let last = index as u64 == count;
            self.table.push(if last {
                0x0fff_ffff
            } else {
                number(first + index)
            });
        }
        if count == 0 { 0 } else { number(first) }
    }

    fn top(&mut self, folder: &BTreeMap<String, Node>, label: [u8; 11]) {
        let records = 1 + record_count(folder);
        let offset = match self.geometry.width {
            Width::Fat16 => self.geometry.root_offset(),
            Width::Fat32 => {
                let cluster = self.allocate(records * 32);
                self.geometry.offset(cluster)
            }
        };
        let mut bytes = self.record(label, VOLUME_LABEL, 0, 0).as_bytes().to_vec();
        bytes.extend(self.folder(folder, 0));
        self.extents.add(offset, Content::inline(bytes));
    }

    /// Writes all that is in a folder and returns the folder's records.
    fn folder(&mut self, folder: &BTreeMap<String, Node>, own: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut used = BTreeSet::new();
        // Names that need no long one come first, so that no made-up name takes theirs.
        let shorts: BTreeMap<&String, _> = {
            let mut names: Vec<_> = folder.keys().collect();
            names.sort_by_key(|name| short(name, &mut BTreeSet::new()).1);
            names
                .into_iter()
                .map(|name| (name, short(name, &mut used)))
                .collect()
        };
        for (name, node) in folder {
            let (short, is_long) = shorts[name];
            if is_long {
                bytes.extend(long_records(name, &short));
            }
            let record = match node {
                Node::File(content) => {
                    let cluster = self.allocate(content.size());
                    if cluster != 0 {
                        self.extents
                            .add(self.geometry.offset(cluster), content.clone());
                    }
                    let size = u32::try_from(content.size()).unwrap_or(u32::MAX);
                    self.record(short, ARCHIVE, cluster, size)
                }
                Node::Folder(below) => {
                    let cluster = self.allocate((2 + record_count(below)) * 32);
                    let mut inner = self
                        .record(*b".          ", DIRECTORY, cluster, 0)
                        .as_bytes()
                        .to_vec();
                    inner.extend(self.record(*b"..         ", DIRECTORY, own, 0).as_bytes());
                    inner.extend(self.folder(below, cluster));
                    self.extents
                        .add(self.geometry.offset(cluster), Content::inline(inner));
                    self.record(short, DIRECTORY, cluster, 0)
                }
            };
            bytes.extend(record.as_bytes());
        }
        bytes
    }

    fn record(&self, name: [u8; 11], attributes: u8, cluster: u32, size: u32) -> Record {
        let (date, time) = self.stamp;
        Record {
            name,
            attributes,
            reserved: 0,
            created_tenths: 0,
            created_time: time.into(),
            created_date: date.into(),
            accessed_date: date.into(),
            cluster_high: U16::new(u16::try_from(cluster >> 16).unwrap_or(u16::MAX)),
            written_time: time.into(),
            written_date: date.into(),
            cluster_low: U16::new(u16::try_from(cluster & 0xffff).unwrap_or(u16::MAX)),
            size: size.into(),
        }
    }

    fn finish(mut self, volume: &Volume, label: [u8; 11]) -> Extents {
        let mut table = Vec::with_capacity(self.table.len() * 4);
        for entry in &self.table {
            match self.geometry.width {
                Width::Fat16 => table.extend_from_slice(&entry.to_le_bytes()[..2]),
                Width::Fat32 => table.extend_from_slice(&entry.to_le_bytes()),
            }
        }
        let at = self.geometry.reserved * SECTOR;
        self.extents.add(at, Content::inline(&table));
        self.extents
            .add(at + self.geometry.table * SECTOR, Content::inline(&table));
        self.extents
            .add(0, Content::inline(self.reserved_sectors(volume, label)));
        self.extents
    }

    fn reserved_sectors(&self, volume: &Volume, label: [u8; 11]) -> Vec<u8> {
        let geometry = &self.geometry;
        let sectors = volume.size / SECTOR;
        let narrow = |value: u64| u16::try_from(value).unwrap_or(0);
        let wide = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let is_32 = geometry.width == Width::Fat32;
        let small = !is_32 && u16::try_from(sectors).is_ok();
        let boot = Boot {
            jump: [0xeb, if is_32 { 0x58 } else { 0x3c }, 0x90],
            oem: *b"LIFEBOAT",
            sector: narrow(SECTOR).into(),
            cluster_sectors: u8::try_from(geometry.cluster).unwrap_or(1),
            reserved_sectors: narrow(geometry.reserved).into(),
            tables: 2,
            root_entries: narrow(geometry.root * SECTOR / 32).into(),
            sectors_16: if small {
                narrow(sectors).into()
            } else {
                U16::ZERO
            },
            media: MEDIA,
            table_sectors_16: if is_32 {
                U16::ZERO
            } else {
                narrow(geometry.table).into()
            },
            track_sectors: 63.into(),
            heads: 255.into(),
            hidden: U32::ZERO,
            sectors_32: if small {
                U32::ZERO
            } else {
                wide(sectors).into()
            },
        };
        let end = BootEnd {
            drive: 0x80,
            reserved: 0,
            signature: 0x29,
            serial: volume.serial.into(),
            label,
            kind: if is_32 { *b"FAT32   " } else { *b"FAT16   " },
        };
        let mut sector = boot.as_bytes().to_vec();
        if is_32 {
            let more = Boot32 {
                table_sectors: wide(geometry.table).into(),
                flags: U16::ZERO,
                version: U16::ZERO,
                root_cluster: 2.into(),
                info_sector: 1.into(),
                backup_sector: 6.into(),
                reserved: [0; 12],
            };
            sector.extend(more.as_bytes());
        }
        sector.extend(end.as_bytes());
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        if !is_32 {
            return sector;
        }
        let mut info = vec![0; to_usize(SECTOR)];
        for (at, value) in INFO {
            info[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let used = self.table.len() as u64;
        info[488..492].copy_from_slice(&wide(geometry.clusters + 2 - used).to_le_bytes());
        info[492..496].copy_from_slice(&wide(used).to_le_bytes());
        let mut all = [sector, info].concat();
        let first = all.clone();
        all.resize(6 * to_usize(SECTOR), 0);
        all.extend(first);
        all
    }
}

/// How many records a folder's content takes.
fn record_count(folder: &BTreeMap<String, Node>) -> u64 {
    let mut used = BTreeSet::new();
    let mut names: Vec<_> = folder.keys().collect();
    names.sort_by_key(|name| short(name, &mut BTreeSet::new()).1);
    names
        .into_iter()
        .map(|name| {
            let (short, is_long) = short(name, &mut used);
            1 + if is_long {
                long_records(name, &short).len() as u64 / 32
            } else {
                0
            }
        })
        .sum()
}

fn place(
    folder: &mut BTreeMap<String, Node>,
    whole: &str,
    path: &str,
    content: &Content,
) -> Result<(), WriteFatError> {
    let bad = || WriteFatError::Name(whole.to_owned());
    let (name, rest) = match path.split_once('/') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let same = |other: &String| other.to_lowercase() == name.to_lowercase() && other != name;
    if !is_valid(name) || folder.keys().any(same) {
        return Err(bad());
    }
    let Some(rest) = rest else {
        if content.size() > u64::from(u32::MAX) {
            return Err(WriteFatError::FileSize {
                path: whole.to_owned(),
                size: content.size(),
            });
        }
        return match folder.insert(name.to_owned(), Node::File(content.clone())) {
            None => Ok(()),
            Some(_) => Err(bad()),
        };
    };
    match folder
        .entry(name.to_owned())
        .or_insert_with(|| Node::Folder(BTreeMap::new()))
    {
        Node::Folder(below) => place(below, whole, rest, content),
        Node::File(_) => Err(bad()),
    }
}

fn label(text: &str) -> Result<[u8; 11], WriteFatError> {
    let valid =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _".contains(&byte);
    if text.is_empty() || text.len() > 11 || !text.bytes().all(valid) {
        return Err(WriteFatError::Label(text.to_owned()));
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(label)
}

/// Date and time as the format has them. Source: FAT specification, "Date and Time Formats".
fn stamp(seconds: i64) -> (u16, u16) {
    // 1980-01-01 and 2107-12-31.
    let seconds = seconds.clamp(315_532_800, 4_354_819_198);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let date = ((year - 1980) << 9) | (month << 5) | day;
    let time = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
    (
        u16::try_from(date).unwrap_or(u16::MAX),
        u16::try_from(time).unwrap_or(0),
    )
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is a year's last; 146,097 days are a
    // whole cycle of 400 years.
    let days = days + 719_468;
    let cycle = days.div_euclid(146_097);
    let of_cycle = days.rem_euclid(146_097);
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + cycle * 400 + i64::from(month <= 2), month, day)
}
