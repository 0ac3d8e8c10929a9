//! GUID partition tables with a protective MBR. Source: UEFI specification 2.10, chapter 5.
//!
//! Sectors are 512 bytes: what virtual machines and nearly all disks show.

mod dump;
mod format;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use uuid::Uuid;

pub use {
    dump::dump,
    reader::{Copy, ReadTableError, Tables, read},
    writer::{Layout, PlanTableError, Sectors, write},
};

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// Partitions begin at multiples of this many sectors (1 MiB): no disk's blocks are larger.
pub const ALIGNMENT: u64 = (1 << 20) / SECTOR;
/// Places in the table. Source: UEFI 2.10, 5.3.1: at least 16 KiB are reserved for it.
pub const PLACES: u32 = 128;

/// Partition types by which other tools find what they need.
///
/// Source: Discoverable Partitions Specification (UAPI.2),
/// <https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>.
pub mod kinds {
    use uuid::{Uuid, uuid};

    /// EFI system partition.
    pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    /// Root file system for x86-64.
    pub const ROOT_X86_64: Uuid = uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
    /// dm-verity hash tree of a root file system for x86-64.
    pub const ROOT_X86_64_VERITY: Uuid = uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5");
    /// Variable data, mounted on /var.
    pub const VARIABLE: Uuid = uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d");

    /// What a person calls a type.
    pub fn name(kind: &Uuid) -> Option<&'static str> {
        Some(match *kind {
            ESP => "EFI system",
            ROOT_X86_64 => "root (x86-64)",
            ROOT_X86_64_VERITY => "root verity (x86-64)",
            VARIABLE => "variable data",
            _ => return None,
        })
    }
}

/// Attribute bits of a partition. Bits 48 to 63 belong to its type.
///
/// Source: UEFI 2.10, table 5.8, and the Discoverable Partitions Specification.
pub mod attributes {
    /// The firmware needs the partition.
    pub const REQUIRED: u64 = 1;
    /// Grow the file system to the partition at mount.
    pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
    /// Mount read-only.
    pub const READ_ONLY: u64 = 1 << 60;
    /// Do not mount by type alone.
    pub const NO_AUTO: u64 = 1 << 63;
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its place in the table, from 1.
    pub number: u32,
    /// Its type, see [`kinds`].
    pub kind: Uuid,
    /// Its own id, unique in the world.
    pub id: Uuid,
    /// The first sector.
    pub first: u64,
    /// The last sector, included.
    pub last: u64,
    /// See [`attributes`].
    pub attributes: u64,
    /// A label of at most 36 UTF-16 units.
    pub label: String,
}

impl Partition {
    /// Where it begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.first * SECTOR
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        (self.last - self.first + 1) * SECTOR
    }
}

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The disk's id.
    pub disk: Uuid,
    /// Sectors of the whole disk.
    pub sectors: u64,
    /// The partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
}
