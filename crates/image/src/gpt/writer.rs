//! Tables to bytes.

use uuid::Uuid;
use zerocopy::{
    IntoBytes as _,
    little_endian::{U16, U32, U64},
};

use super::{
    ALIGNMENT, PLACES, Partition, SECTOR, Table,
    format::{
        ARRAY_SECTORS, ENTRY_SIZE, Entry, HEADER_SIZE, Header, LABEL_UNITS, PROTECTIVE, RECORDS,
        REVISION, Record, SIGNATURE,
    },
};
use crate::source::to_usize;

/// A table that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanTableError {
    /// A partition's sectors are not free or not on the disk.
    #[error(
        "partition {number} at sectors {first} to {last} overlaps another or leaves the disk of {sectors} sectors"
    )]
    Place {
        /// The partition.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// Sectors of the disk.
        sectors: u64,
    },
    /// A number that is used twice, 0, or beyond the table.
    #[error("partition number {0} is used twice or not within 1 to {PLACES}")]
    Number(u32),
    /// A label that does not fit or holds a NUL.
    #[error("partition label `{0}` has more than {LABEL_UNITS} UTF-16 units or a NUL")]
    Label(String),
    /// A partition whose type is the GUID that marks free places.
    #[error("partition {0} has the type of an unused place")]
    NoKind(u32),
}

/// The pieces of a disk that hold a table; everything else is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sectors {
    /// Protective MBR, header and entries, for offset 0.
    pub head: Vec<u8>,
    /// Where `tail` goes, in bytes.
    pub tail_offset: u64,
    /// Entries and header of the backup, for the end of the disk.
    pub tail: Vec<u8>,
}

/// Lays partitions out one after the other.
#[derive(Clone, Debug)]
pub struct Layout {
    disk: Uuid,
    next: u64,
    partitions: Vec<Partition>,
}

impl Layout {
    /// An empty disk with this id.
    pub fn new(disk: Uuid) -> Self {
        Self {
            disk,
            next: ALIGNMENT,
            partitions: Vec::new(),
        }
    }

    /// Adds a partition of at least `size` bytes (a multiple of 1 MiB is made of it) and
    /// returns its offset in bytes.
    pub fn add(&mut self, kind: Uuid, id: Uuid, label: &str, attributes: u64, size: u64) -> u64 {
        let sectors = size
            .div_ceil(SECTOR)
            .next_multiple_of(ALIGNMENT)
            .max(ALIGNMENT);
        let number = u32::try_from(self.partitions.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let first = self.next;
        self.next += sectors;
        self.partitions.push(Partition {
            number,
            kind,
            id,
            first,
            last: self.next - 1,
            attributes,
            label: label.to_owned(),
        });
        first * SECTOR
    }

    /// The table of a disk that is just large enough, its size a multiple of 1 MiB.
    pub fn finish(self) -> Table {
        let sectors = (self.next + ARRAY_SECTORS + 1).next_multiple_of(ALIGNMENT);
        Table {
            disk: self.disk,
            sectors,
            partitions: self.partitions,
        }
    }
}

/// The bytes of a table and of its backup.
///
/// # Errors
/// [`PlanTableError`] if partitions overlap, leave the disk, or have bad numbers or labels.
pub fn write(table: &Table) -> Result<Sectors, PlanTableError> {
    check(table)?;
    let mut array = vec![0; to_usize(ARRAY_SECTORS * SECTOR)];
    for partition in &table.partitions {
        let mut label = [U16::ZERO; LABEL_UNITS];
        for (unit, place) in partition.label.encode_utf16().zip(&mut label) {
            *place = unit.into();
        }
        let entry = Entry {
            kind: partition.kind.to_bytes_le(),
            id: partition.id.to_bytes_le(),
            first: partition.first.into(),
            last: partition.last.into(),
            attributes: partition.attributes.into(),
            label,
        };
        let at = (partition.number - 1) as usize * ENTRY_SIZE as usize;
        array[at..at + ENTRY_SIZE as usize].copy_from_slice(entry.as_bytes());
    }
    let last = table.sectors - 1;
    let header = |my_lba, alternate_lba, entries_lba| {
        let mut header = Header {
            signature: SIGNATURE,
            revision: REVISION.into(),
            length: HEADER_SIZE.into(),
            crc: U32::ZERO,
            reserved: U32::ZERO,
            my_lba: U64::new(my_lba),
            alternate_lba: U64::new(alternate_lba),
            first_usable: (2 + ARRAY_SECTORS).into(),
            last_usable: (last - ARRAY_SECTORS - 1).into(),
            disk: table.disk.to_bytes_le(),
            entries_lba: U64::new(entries_lba),
            entry_count: PLACES.into(),
            entry_size: ENTRY_SIZE.into(),
            entries_crc: crc32fast::hash(&array).into(),
        };
        header.crc = header.checksum().into();
        let mut sector = vec![0; to_usize(SECTOR)];
        sector[..HEADER_SIZE as usize].copy_from_slice(header.as_bytes());
        sector
    };
    let mut head = protective(table.sectors);
    head.extend(header(1, last, 2));
    head.extend(&array);
    let mut tail = array.clone();
    tail.extend(header(last, 1, last - ARRAY_SECTORS));
    Ok(Sectors {
        head,
        tail_offset: (last - ARRAY_SECTORS) * SECTOR,
        tail,
    })
}

fn protective(sectors: u64) -> Vec<u8> {
    let record = Record {
        boot: 0,
        start_chs: [0, 2, 0],
        kind: PROTECTIVE,
        end_chs: [0xff; 3],
        start: 1.into(),
        sectors: u32::try_from(sectors - 1).unwrap_or(u32::MAX).into(),
    };
    let mut sector = vec![0; to_usize(SECTOR)];
    sector[RECORDS..RECORDS + 16].copy_from_slice(record.as_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn check(table: &Table) -> Result<(), PlanTableError> {
    let mut used = Vec::new();
    for partition in &table.partitions {
        let &Partition {
            number,
            first,
            last,
            ..
        } = partition;
        if number == 0 || number > PLACES || used.contains(&number) {
            return Err(PlanTableError::Number(number));
        }
        used.push(number);
        if partition.kind.is_nil() {
            return Err(PlanTableError::NoKind(number));
        }
        if partition.label.contains('\0') || partition.label.encode_utf16().count() > LABEL_UNITS {
            return Err(PlanTableError::Label(partition.label.clone()));
        }
        let end = table.sectors.saturating_sub(ARRAY_SECTORS + 1);
        let free = table
            .partitions
            .iter()
            .filter(|other| other.number != number)
            .all(|other| other.last < first || last < other.first);
        if first > last || first < 2 + ARRAY_SECTORS || last >= end || !free {
            let sectors = table.sectors;
            return Err(PlanTableError::Place {
                number,
                first,
                last,
                sectors,
            });
        }
    }
    if table.sectors < 2 * (ARRAY_SECTORS + 1) + 2 {
        let sectors = table.sectors;
        return Err(PlanTableError::Place {
            number: 0,
            first: 0,
            last: sectors,
            sectors,
        });
    }
    Ok(())
}
