//! The structures on the disk.

use uuid::Uuid;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::{PLACES, SECTOR};

/// "EFI PART". Source: UEFI 2.10, table 5.5.
pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
/// Revision 1.0. Source: UEFI 2.10, table 5.5.
pub(super) const REVISION: u32 = 0x0001_0000;
/// Bytes of a header that its checksum covers. Source: UEFI 2.10, table 5.5.
pub(super) const HEADER_SIZE: u32 = 92;
/// Bytes of an entry. Source: UEFI 2.10, table 5.6.
pub(super) const ENTRY_SIZE: u32 = 128;
/// Sectors of the array of entries.
pub(super) const ARRAY_SECTORS: u64 = PLACES as u64 * ENTRY_SIZE as u64 / SECTOR;
/// Units of a label. Source: UEFI 2.10, table 5.6.
pub(super) const LABEL_UNITS: usize = 36;

/// GPT header. Source: UEFI 2.10, table 5.5.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub signature: [u8; 8],
    pub revision: U32,
    pub length: U32,
    pub crc: U32,
    pub reserved: U32,
    pub my_lba: U64,
    pub alternate_lba: U64,
    pub first_usable: U64,
    pub last_usable: U64,
    pub disk: [u8; 16],
    pub entries_lba: U64,
    pub entry_count: U32,
    pub entry_size: U32,
    pub entries_crc: U32,
}

/// GPT partition entry. Source: UEFI 2.10, table 5.6.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Entry {
    pub kind: [u8; 16],
    pub id: [u8; 16],
    pub first: U64,
    pub last: U64,
    pub attributes: U64,
    pub label: [U16; LABEL_UNITS],
}

/// A partition record of the protective MBR. Source: UEFI 2.10, table 5.4.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Record {
    pub boot: u8,
    pub start_chs: [u8; 3],
    pub kind: u8,
    pub end_chs: [u8; 3],
    pub start: U32,
    pub sectors: U32,
}

/// Where the first record is in the MBR. Source: UEFI 2.10, table 5.1.
pub(super) const RECORDS: usize = 446;
/// "GPT protective". Source: UEFI 2.10, 5.2.2.
pub(super) const PROTECTIVE: u8 = 0xee;

impl Header {
    /// The checksum of this header, taken with its own field as zero.
    pub fn checksum(&self) -> u32 {
        let mut header = self.clone();
        header.crc = U32::ZERO;
        crc32fast::hash(header.as_bytes())
    }
}

/// A GUID as stored: the first three groups little-endian. Source: UEFI 2.10, appendix A.
pub(super) fn guid(bytes: [u8; 16]) -> Uuid {
    Uuid::from_bytes_le(bytes)
}
