//! Bytes to tables.

use std::io;

use zerocopy::FromBytes as _;

use super::{
    PLACES, Partition, SECTOR, Table,
    format::{ENTRY_SIZE, Entry, HEADER_SIZE, Header, SIGNATURE, guid},
};
use crate::source::Source;

/// Which copy of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The one at the start of the disk.
    Primary,
    /// The one at its end.
    Backup,
}

/// What a disk says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The table, from the first copy that is whole.
    pub table: Table,
    /// Whose copy that is.
    pub from: Copy,
    /// What is wrong with the other copy, if anything is.
    pub other: Option<String>,
    /// Where the primary says that the backup is, in sectors.
    pub backup_lba: u64,
}

/// A disk without a whole table.
#[derive(Debug, thiserror::Error)]
pub enum ReadTableError {
    /// The disk cannot be read.
    #[error("the partition table cannot be read")]
    Io(#[from] io::Error),
    /// Neither copy is whole.
    #[error("no partition table: the primary {primary}; the backup {backup}")]
    Neither {
        /// What is wrong with the primary.
        primary: String,
        /// What is wrong with the backup.
        backup: String,
    },
}

/// Reads the table of a disk, the backup where the primary is damaged.
///
/// # Errors
/// [`ReadTableError`] if the disk cannot be read or no copy is whole.
pub fn read<S: Source + ?Sized>(disk: &S) -> Result<Tables, ReadTableError> {
    let sectors = disk.size() / SECTOR;
    let primary = one(disk, 1)?;
    // A disk that was grown has its backup where the primary says, until it is moved.
    let backup_lba = match &primary {
        Ok((_, header)) => header.alternate_lba.get(),
        Err(_) => sectors.saturating_sub(1),
    };
    let backup = one(disk, backup_lba)?;
    let differ = || "differs from the primary".to_owned();
    let (table, from, other) = match (primary, backup) {
        (Ok((table, _)), Ok((backup, _))) => {
            let other = (backup != table).then(differ);
            (table, Copy::Primary, other)
        }
        (Ok((table, _)), Err(backup)) => (table, Copy::Primary, Some(backup)),
        (Err(primary), Ok((table, _))) => (table, Copy::Backup, Some(primary)),
        (Err(primary), Err(backup)) => return Err(ReadTableError::Neither { primary, backup }),
    };
    Ok(Tables {
        table,
        from,
        other,
        backup_lba,
    })
}

type Found = Result<(Table, Header), String>;

fn one<S: Source + ?Sized>(disk: &S, lba: u64) -> io::Result<Found> {
    let sectors = disk.size() / SECTOR;
    if lba == 0 || lba >= sectors {
        return Ok(Err("is beyond the end of the disk".to_owned()));
    }
    let sector = disk.bytes(lba * SECTOR, SECTOR)?;
    let Ok((header, _)) = Header::read_from_prefix(&sector) else {
        return Ok(Err("is too short".to_owned()));
    };
    if header.signature != SIGNATURE {
        return Ok(Err("has no signature `EFI PART`".to_owned()));
    }
    if header.length.get() != HEADER_SIZE
        || header.entry_size.get() != ENTRY_SIZE
        || header.entry_count.get() > PLACES
    {
        return Ok(Err("has sizes that are not supported".to_owned()));
    }
    if header.checksum() != header.crc.get() {
        return Ok(Err("has a wrong header checksum".to_owned()));
    }
    if header.my_lba.get() != lba {
        return Ok(Err("says it is elsewhere".to_owned()));
    }
    let length = u64::from(header.entry_count.get()) * u64::from(ENTRY_SIZE);
    let Some(at) = header.entries_lba.get().checked_mul(SECTOR) else {
        return Ok(Err("has its entries beyond the end of the disk".to_owned()));
    };
    let array = match disk.bytes(at, length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Ok(Err("has its entries beyond the end of the disk".to_owned()));
        }
        array => array?,
    };
    if crc32fast::hash(&array) != header.entries_crc.get() {
        return Ok(Err("has a wrong checksum of its entries".to_owned()));
    }
    Ok(entries(&array, &header).map(|partitions| {
        let disk = guid(header.disk);
        (
            Table {
                disk,
                sectors,
                partitions,
            },
            header,
        )
    }))
}

fn entries(array: &[u8], header: &Header) -> Result<Vec<Partition>, String> {
    let mut partitions = Vec::new();
    for (number, bytes) in (1..).zip(array.chunks_exact(ENTRY_SIZE as usize)) {
        let entry = Entry::read_from_bytes(bytes).map_err(|_| "is too short".to_owned())?;
        if entry.kind == [0; 16] {
            continue;
        }
        let (first, last) = (entry.first.get(), entry.last.get());
        if first > last || first < header.first_usable.get() || last > header.last_usable.get() {
            return Err(format!(
                "has partition {number} outside of the usable sectors"
            ));
        }
        let units: Vec<u16> = entry
            .label
            .iter()
            .map(|unit| unit.get())
            .take_while(|unit| *unit != 0)
            .collect();
        partitions.push(Partition {
            number,
            kind: guid(entry.kind),
            id: guid(entry.id),
            first,
            last,
            attributes: entry.attributes.get(),
            label: String::from_utf16_lossy(&units),
        });
    }
    Ok(partitions)
}
