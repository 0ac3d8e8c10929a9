//! The structures on the disk.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

/// Bytes in a sector; others are not supported.
pub(super) const SECTOR: u64 = 512;
/// "Fixed disk". Source: FAT specification, `BPB_Media`.
pub(super) const MEDIA: u8 = 0xf8;
/// A volume with at least this many clusters is FAT32. Source: FAT specification, "FAT Type
/// Determination".
pub(super) const FAT32_CLUSTERS: u64 = 65525;
/// A volume with at least this many clusters is FAT16, one with fewer FAT12. Source: as above.
pub(super) const FAT16_CLUSTERS: u64 = 4085;

/// Attribute of a folder. Source: FAT specification, `DIR_Attr`.
pub(super) const DIRECTORY: u8 = 0x10;
/// Attribute of the entry that holds the volume's label.
pub(super) const VOLUME_LABEL: u8 = 0x08;
/// Attribute of any other file.
pub(super) const ARCHIVE: u8 = 0x20;
/// Attributes of a piece of a long name.
pub(super) const LONG_NAME: u8 = 0x0f;
/// Marks the last piece of a long name, which comes first.
pub(super) const LAST_LONG: u8 = 0x40;
/// First byte of an entry that was deleted.
pub(super) const DELETED: u8 = 0xe5;
/// Characters in a piece of a long name.
pub(super) const LONG_UNITS: usize = 13;

/// How wide an entry of the allocation table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits.
    Fat16,
    /// 32 bits, of which 28 count.
    Fat32,
}

/// The start of the boot sector of both kinds. Source: FAT specification, "BPB".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Boot {
    pub jump: [u8; 3],
    pub oem: [u8; 8],
    pub sector: U16,
    pub cluster_sectors: u8,
    pub reserved_sectors: U16,
    pub tables: u8,
    pub root_entries: U16,
    pub sectors_16: U16,
    pub media: u8,
    pub table_sectors_16: U16,
    pub track_sectors: U16,
    pub heads: U16,
    pub hidden: U32,
    pub sectors_32: U32,
}

/// What only FAT32 has, at 36. Source: FAT specification, "FAT32 Extended BIOS Parameter Block".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Boot32 {
    pub table_sectors: U32,
    pub flags: U16,
    pub version: U16,
    pub root_cluster: U32,
    pub info_sector: U16,
    pub backup_sector: U16,
    pub reserved: [u8; 12],
}

/// The end of the fields, at 36 in FAT16 and at 64 in FAT32.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct BootEnd {
    pub drive: u8,
    pub reserved: u8,
    pub signature: u8,
    pub serial: U32,
    pub label: [u8; 11],
    pub kind: [u8; 8],
}

/// `FSInfo` sector, without its gaps: (offset, value). Source: FAT specification, section of
/// that name.
pub(super) const INFO: [(usize, u32); 3] =
    [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xaa55_0000)];

/// A folder's entry. Source: FAT specification, "Directory Structure".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    pub name: [u8; 11],
    pub attributes: u8,
    pub reserved: u8,
    pub created_tenths: u8,
    pub created_time: U16,
    pub created_date: U16,
    pub accessed_date: U16,
    pub cluster_high: U16,
    pub written_time: U16,
    pub written_date: U16,
    pub cluster_low: U16,
    pub size: U32,
}

impl Record {
    /// The first cluster of what it names.
    pub fn cluster(&self) -> u32 {
        u32::from(self.cluster_high.get()) << 16 | u32::from(self.cluster_low.get())
    }
}

/// A piece of a long name. Source: FAT specification, "Long Directory Entries".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct LongRecord {
    pub order: u8,
    pub units_1: [U16; 5],
    pub attributes: u8,
    pub kind: u8,
    pub checksum: u8,
    pub units_2: [U16; 6],
    pub cluster: U16,
    pub units_3: [U16; 2],
}

impl LongRecord {
    /// The characters it holds.
    pub fn units(&self) -> [u16; LONG_UNITS] {
        let mut units = [0; LONG_UNITS];
        let all = self
            .units_1
            .iter()
            .chain(&self.units_2)
            .chain(&self.units_3);
        for (place, unit) in units.iter_mut().zip(all) {
            *place = unit.get();
        }
        units
    }
}

/// The sum that binds a long name to its short one. Source: FAT specification, `ChkSum()`.
pub(super) fn checksum(name: &[u8; 11]) -> u8 {
    name.iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}
