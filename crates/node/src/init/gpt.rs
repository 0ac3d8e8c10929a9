//! GPT partition tables (UEFI specification 2.10, section 5.3) with 512-byte sectors: finding
//! the slot and the state partition, and growing the last partition to the disk's size.

use crate::init::crc32::crc32;

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// Type of the root partitions of x86-64 (Discoverable Partitions Specification).
pub const ROOT: Guid = Guid::parse(b"4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
/// Type of the verity partitions of x86-64.
pub const VERITY: Guid = Guid::parse(b"2c7357ed-ebd2-46d9-aec1-23d437ec2bf5");
/// Type of the partition mounted on /var.
pub const VAR: Guid = Guid::parse(b"4d21b016-b534-45c2-a9fb-5c16e091fd2d");

/// A GUID as it is on disk: the first three fields little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// The GUID whose text form has these 16 bytes as its digits, as a partition is named
    /// after half of a root hash.
    pub const fn from_digits(d: [u8; 16]) -> Self {
        Self([
            d[3], d[2], d[1], d[0], d[5], d[4], d[7], d[6], d[8], d[9], d[10], d[11], d[12], d[13],
            d[14], d[15],
        ])
    }

    const fn parse(text: &[u8; 36]) -> Self {
        let mut digits = [0; 16];
        let (mut at, mut nibble) = (0, 0);
        while at < 36 {
            let value = match text[at] {
                b'-' => {
                    at += 1;
                    continue;
                }
                digit @ b'0'..=b'9' => digit - b'0',
                digit => digit - b'a' + 10,
            };
            digits[nibble / 2] |= value << (4 * (1 - nibble % 2));
            nibble += 1;
            at += 1;
        }
        Self::from_digits(digits)
    }
}

/// One used entry of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number from 1, as the kernel counts.
    pub number: u32,
    /// Type GUID.
    pub kind: Guid,
    /// Unique GUID.
    pub id: Guid,
    /// First sector.
    pub first: u64,
    /// Last sector, inclusive.
    pub last: u64,
    /// Name.
    pub label: String,
}

/// A table that was read and whose checksums are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its used entries in order.
    pub partitions: Vec<Partition>,
    /// Where the backup header is.
    backup: u64,
    entry_size: usize,
    header: Vec<u8>,
    entries: Vec<u8>,
}

/// Why a disk has no table that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadTableError {
    /// No GPT signature.
    #[error("there is no GPT partition table")]
    None,
    /// A checksum is wrong.
    #[error("the checksum of the partition table's {0} is wrong")]
    Checksum(&'static str),
    /// Sizes that make no sense, or that this reader does not support.
    #[error("the partition table's {0} cannot be right")]
    Field(&'static str),
}

/// Bytes at the start of a disk that hold the protective MBR, the header and 128 entries.
pub const HEAD: usize = 34 * 512;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    Guid(guid)
}

/// Reads the table in the first [`HEAD`] bytes of a disk.
///
/// # Errors
/// [`ReadTableError`] if there is none or it is damaged.
pub fn read(head: &[u8]) -> Result<Table, ReadTableError> {
    if head.len() < HEAD || &head[512..520] != b"EFI PART" {
        return Err(ReadTableError::None);
    }
    let mut header = head[512..1024].to_vec();
    let header_size = u32_at(&header, 12) as usize;
    if !(92..=512).contains(&header_size) {
        return Err(ReadTableError::Field("header size"));
    }
    let wanted = u32_at(&header, 16);
    header[16..20].fill(0);
    if crc32(&header[..header_size]) != wanted {
        return Err(ReadTableError::Checksum("header"));
    }
    let (count, entry_size) = (u32_at(&header, 80) as usize, u32_at(&header, 84) as usize);
    if u64_at(&header, 24) != 1 || u64_at(&header, 72) != 2 {
        return Err(ReadTableError::Field("place"));
    }
    if entry_size < 128 || count.saturating_mul(entry_size) > HEAD - 1024 {
        return Err(ReadTableError::Field("entries"));
    }
    let entries = head[1024..1024 + count * entry_size].to_vec();
    if crc32(&entries) != u32_at(&header, 88) {
        return Err(ReadTableError::Checksum("entries"));
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(entry_size)) {
        if entry[..16] == [0; 16] {
            continue;
        }
        let name: Vec<u16> = entry[56..128]
            .chunks_exact(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        if first < 34 || last < first || last >= u64::MAX / SECTOR {
            return Err(ReadTableError::Field("partition"));
        }
        partitions.push(Partition {
            number,
            kind: guid_at(entry, 0),
            id: guid_at(entry, 16),
            first,
            last,
            label: String::from_utf16_lossy(&name),
        });
    }
    Ok(Table {
        partitions,
        backup: u64_at(&header, 32),
        entry_size,
        header,
        entries,
    })
}

/// What to write so that the table covers the whole disk and its last partition reaches the
/// end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The partition that grows, with its new last sector.
    pub partition: Partition,
    /// Byte offset and content of the backup table: written first.
    pub backup: (u64, Vec<u8>),
    /// Byte offset and content of the primary table: written when the backup is on the disk.
    /// All that changes is in its first 4096 bytes, which a disk writes as one.
    pub primary: (u64, Vec<u8>),
}

/// Plans the growth of partition `number` to the end of a disk of `sectors` sectors. `None` if
/// there is nothing to gain: less than a MiB, or another partition comes after it.
pub fn plan_growth(table: &Table, number: u32, sectors: u64) -> Option<Growth> {
    let mut partition = table
        .partitions
        .iter()
        .find(|partition| partition.number == number)?
        .clone();
    if table
        .partitions
        .iter()
        .any(|other| other.first > partition.first)
    {
        return None;
    }
    let entry_sectors = (table.entries.len() as u64).div_ceil(SECTOR);
    let backup = sectors.checked_sub(1)?;
    let last_usable = backup.checked_sub(entry_sectors + 1)?;
    // The last sector before a whole MiB, as all our partitions end.
    let last = ((last_usable + 1) / 2048 * 2048).checked_sub(1)?;
    if last < partition.last + 2048 {
        return None;
    }
    partition.last = last;

    let mut entries = table.entries.clone();
    let at = (number as usize - 1) * table.entry_size;
    entries[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());

    let header = |place: u64, other: u64, entries_at: u64| {
        let mut header = table.header.clone();
        header[16..20].fill(0);
        header[24..32].copy_from_slice(&place.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[48..56].copy_from_slice(&last_usable.to_le_bytes());
        header[72..80].copy_from_slice(&entries_at.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let size = u32_at(&header, 12) as usize;
        let sum = crc32(&header[..size]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };
    let mut primary = header(1, backup, 2);
    primary.extend_from_slice(&entries);
    let mut last_sectors = entries.clone();
    last_sectors.resize(usize::try_from(entry_sectors * SECTOR).ok()?, 0);
    last_sectors.extend_from_slice(&header(backup, 1, last_usable + 1));
    Some(Growth {
        partition,
        backup: ((last_usable + 1) * SECTOR, last_sectors),
        primary: (SECTOR, primary),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table with partitions of these (first, last) sectors.
    pub(crate) fn table(parts: &[(u64, u64)], sectors: u64) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        let mut entries = vec![0; 128 * 128];
        for ((id, entry), (first, last)) in (1..).zip(entries.chunks_exact_mut(128)).zip(parts) {
            entry[..16].copy_from_slice(&VAR.0);
            entry[16] = id;
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            entry[56..58].copy_from_slice(&u16::from(b's').to_le_bytes());
        }
        let header = &mut head[512..1024];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x1_0000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[24..32].copy_from_slice(&1_u64.to_le_bytes());
        header[32..40].copy_from_slice(&(sectors - 1).to_le_bytes());
        header[40..48].copy_from_slice(&34_u64.to_le_bytes());
        header[48..56].copy_from_slice(&(sectors - 34).to_le_bytes());
        header[72..80].copy_from_slice(&2_u64.to_le_bytes());
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        head[1024..].copy_from_slice(&entries);
        head
    }

    #[test]
    fn a_guid_is_mixed_endian() {
        assert_eq!(
            ROOT.0,
            [
                0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84,
                0xb7, 0x09
            ]
        );
    }

    #[test]
    fn the_last_partition_grows_and_both_tables_agree() {
        let head = table(&[(2048, 4095), (4096, 8191)], 10_240);
        let read_table = read(&head).unwrap();
        assert_eq!(read_table.partitions[1].label, "s");
        let growth = plan_growth(&read_table, 2, 1_000_000).unwrap();
        assert_eq!(growth.partition.last, 999_423);
        let mut written = head.clone();
        written[512..].copy_from_slice(&growth.primary.1);
        let grown = read(&written).unwrap();
        assert_eq!(grown.partitions[1].last, 999_423);
        assert_eq!(grown.backup, 999_999);
        assert_eq!(
            growth.backup.0 + growth.backup.1.len() as u64,
            1_000_000 * SECTOR
        );
        assert_eq!(growth.backup.1[..16384], growth.primary.1[512..]);
        assert_eq!(plan_growth(&grown, 2, 1_000_000), None);
        // Only the first page changes.
        assert_eq!(written[4096..], head[4096..]);
    }

    #[test]
    fn a_partition_with_another_after_it_stays() {
        let head = table(&[(2048, 4095), (4096, 8191)], 10_240);
        assert_eq!(plan_growth(&read(&head).unwrap(), 1, 1_000_000), None);
        assert_eq!(plan_growth(&read(&head).unwrap(), 3, 1_000_000), None);
    }

    #[test]
    fn damage_is_refused() {
        let mut head = table(&[(2048, 4095)], 10_240);
        head[1024 + 33] ^= 1;
        assert_eq!(read(&head), Err(ReadTableError::Checksum("entries")));
        head[520] ^= 1;
        assert_eq!(read(&head), Err(ReadTableError::Checksum("header")));
        head[512] = 0;
        assert_eq!(read(&head), Err(ReadTableError::None));
    }

    proptest! {
        #[test]
        fn growing_never_shrinks_and_stays_on_the_disk(
            last in 4096..1_000_000_u64,
            sectors in 0..4_000_000_u64,
        ) {
            let table = read(&table(&[(2048, last)], 1_000_100)).unwrap();
            if let Some(growth) = plan_growth(&table, 1, sectors) {
                prop_assert!(growth.partition.last > last);
                prop_assert!(growth.partition.last * SECTOR < growth.backup.0);
                prop_assert!(growth.backup.0 + growth.backup.1.len() as u64 == sectors * SECTOR);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(mut bytes in proptest::collection::vec(any::<u8>(), HEAD)) {
            bytes[512..520].copy_from_slice(b"EFI PART");
            let _ = read(&bytes);
        }
    }
}
