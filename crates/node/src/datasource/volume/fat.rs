//! FAT12, FAT16 and FAT32 (Microsoft FAT specification, August 2005): as much as it takes to
//! read a small file by its path. Small seeds are FAT12, which the image's own reader leaves out.

use super::{MOST_BYTES, Medium, VolumeError};

const FOLDER: u8 = 0x10;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;
const MOST_FOLDER: usize = 1 << 20;
const MOST_DEPTH: usize = 8;

/// An open volume.
pub(crate) struct Fat<M: Medium> {
    /// The label in the root folder, else in the boot sector.
    pub label: String,
    width: Width,
    cluster_bytes: u64,
    clusters: u32,
    table: u64,
    root: Root,
    data: u64,
    medium: M,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    Fixed { at: u64, bytes: usize },
    Chain(u32),
}

struct Record {
    name: String,
    short: String,
    is_folder: bool,
    cluster: u32,
    size: u32,
}

impl<M: Medium> Fat<M> {
    /// Reads the boot sector and the label.
    pub(crate) fn open(medium: M) -> Result<Self, VolumeError> {
        let sector = medium.exactly(0, 512).map_err(|_| VolumeError::Other)?;
        let byte = |at: usize| u64::from(sector[at]);
        let short = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let long = |at: usize| short(at) | short(at + 2) << 16;
        let either = |narrow: u64, wide: u64| if narrow == 0 { wide } else { narrow };

        let bytes = short(11);
        let in_cluster = byte(13);
        let reserved = short(14);
        let tables = byte(16);
        let root_records = short(17);
        let sectors = either(short(19), long(32));
        let table_sectors = either(short(22), long(36));
        let sizes_are_possible = sector[510..] == [0x55, 0xaa]
            && matches!(bytes, 512 | 1024 | 2048 | 4096)
            && in_cluster.is_power_of_two()
            && reserved > 0
            && matches!(tables, 1 | 2)
            && table_sectors > 0
            && (sector[21] == 0xf0 || sector[21] >= 0xf8);
        if !sizes_are_possible {
            return Err(VolumeError::Other);
        }
        let root = reserved + tables * table_sectors;
        let data = root + (root_records * 32).div_ceil(bytes);
        let clusters = sectors.checked_sub(data).ok_or(VolumeError::Other)? / in_cluster;
        // The number of clusters alone says which it is; without a fixed root it is FAT32.
        let width = match clusters {
            _ if root_records == 0 => Width::Fat32,
            0..4085 => Width::Fat12,
            4085..65525 => Width::Fat16,
            _ => Width::Fat32,
        };
        let label_at = if width == Width::Fat32 { 71 } else { 43 };
        let mut fat = Self {
            label: text(&sector[label_at..label_at + 11]),
            width,
            cluster_bytes: in_cluster * bytes,
            clusters: u32::try_from(clusters).map_err(|_| VolumeError::Other)?,
            table: reserved * bytes,
            root: match width {
                Width::Fat32 => Root::Chain(
                    u32::try_from(long(44) & 0x0fff_ffff).map_err(|_| VolumeError::Other)?,
                ),
                _ => Root::Fixed {
                    at: root * bytes,
                    bytes: usize::try_from(root_records * 32).map_err(|_| VolumeError::Other)?,
                },
            },
            data: data * bytes,
            medium,
        };
        let folder = fat.root_folder()?;
        if let Some(label) = volume_label(&folder) {
            fat.label = label;
        }
        Ok(fat)
    }
}

impl<M: Medium> Fat<M> {
    /// The content of a file by its long or short name.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        let mut folder = self.root_folder()?;
        let mut parts = path
            .split('/')
            .filter(|part| !part.is_empty())
            .take(MOST_DEPTH)
            .peekable();
        while let Some(part) = parts.next() {
            let found = records(&folder).into_iter().find(|record| {
                record.name.eq_ignore_ascii_case(part) || record.short.eq_ignore_ascii_case(part)
            });
            let Some(record) = found else { return Ok(None) };
            match (record.is_folder, parts.peek()) {
                (true, Some(_)) => folder = self.chain(record.cluster, None)?,
                (false, None) => {
                    if u64::from(record.size) > MOST_BYTES {
                        return Err(VolumeError::TooLarge(path.to_owned()));
                    }
                    if record.size == 0 {
                        return Ok(Some(Vec::new()));
                    }
                    return self.chain(record.cluster, Some(record.size)).map(Some);
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn root_folder(&self) -> Result<Vec<u8>, VolumeError> {
        match self.root {
            Root::Fixed { at, bytes } => Ok(self.medium.exactly(at, bytes)?),
            Root::Chain(cluster) => self.chain(cluster, None),
        }
    }

    /// The bytes of a chain of clusters: `size` of them, or to its end.
    fn chain(&self, mut cluster: u32, size: Option<u32>) -> Result<Vec<u8>, VolumeError> {
        let wanted = size.and_then(|size| usize::try_from(size).ok());
        let mut all = Vec::new();
        loop {
            if cluster < 2 || cluster - 2 >= self.clusters {
                return Err(VolumeError::Broken("a chain of clusters leaves the volume"));
            }
            let at = self.data + u64::from(cluster - 2) * self.cluster_bytes;
            let whole = usize::try_from(self.cluster_bytes).map_err(|_| VolumeError::Other)?;
            let length = wanted.map_or(whole, |wanted| (wanted - all.len()).min(whole));
            all.extend(self.medium.exactly(at, length)?);
            match wanted {
                Some(wanted) if all.len() >= wanted => return Ok(all),
                None if all.len() > MOST_FOLDER => {
                    return Err(VolumeError::Broken("a folder larger than 1 MiB"));
                }
                _ => {}
            }
            match self.next(cluster)? {
                Some(next) => cluster = next,
                None if wanted.is_none() => return Ok(all),
                None => return Err(VolumeError::Broken("a file ends before its size")),
            }
        }
    }

    /// The cluster after this one.
    fn next(&self, cluster: u32) -> Result<Option<u32>, VolumeError> {
        let number = u64::from(cluster);
        let (next, end) = match self.width {
            Width::Fat12 => {
                let pair = self.medium.exactly(self.table + number + number / 2, 2)?;
                let both = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                (
                    if number % 2 == 1 {
                        both >> 4
                    } else {
                        both & 0xfff
                    },
                    0xff8,
                )
            }
            Width::Fat16 => {
                let entry = self.medium.exactly(self.table + number * 2, 2)?;
                (u32::from(u16::from_le_bytes([entry[0], entry[1]])), 0xfff8)
            }
            Width::Fat32 => {
                let entry = self.medium.exactly(self.table + number * 4, 4)?;
                let entry = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
                (entry & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        Ok((next < end).then_some(next))
    }
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\0', ' ']);
    if text == "NO NAME" {
        String::new()
    } else {
        text.to_owned()
    }
}

/// The records in use, 32 bytes each, in order.
fn used(folder: &[u8]) -> impl Iterator<Item = &[u8]> {
    folder
        .chunks_exact(32)
        .take_while(|record| record[0] != 0)
        .filter(|record| record[0] != 0xe5)
}

fn volume_label(folder: &[u8]) -> Option<String> {
    used(folder)
        .find(|record| record[11] & (LABEL | FOLDER) == LABEL && record[11] != LONG_NAME)
        .map(|record| text(&record[..11]))
}

fn records(folder: &[u8]) -> Vec<Record> {
    let mut all = Vec::new();
    // Units of a long name, in the order of their numbers; they stand before their record, last
    // part first.
    let mut long: Vec<u16> = Vec::new();
    for record in used(folder) {
        if record[11] & 0x3f == LONG_NAME {
            let mut units: Vec<u16> = [(1, 11), (14, 26), (28, 32)]
                .iter()
                .flat_map(|&(from, to)| record[from..to].chunks_exact(2))
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            if record[0] & 0x40 != 0 || long.len() > 255 {
                long.clear();
            }
            units.append(&mut long);
            long = units;
            continue;
        }
        let name: Vec<u16> = std::mem::take(&mut long)
            .into_iter()
            .take_while(|unit| *unit != 0)
            .collect();
        if record[11] & LABEL != 0 {
            continue;
        }
        let (stem, suffix) = (text(&record[..8]), text(&record[8..11]));
        let dot = if suffix.is_empty() { "" } else { "." };
        let half = |at: usize| u32::from(u16::from_le_bytes([record[at], record[at + 1]]));
        all.push(Record {
            name: String::from_utf16_lossy(&name),
            short: format!("{stem}{dot}{suffix}"),
            is_folder: record[11] & FOLDER != 0,
            cluster: half(20) << 16 | half(26),
            size: half(30) << 16 | half(28),
        });
    }
    all
}
