//! The structures of a PE file.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32, U64},
};

/// Where the DOS header says the PE header is. Source: PE format, "MS-DOS Stub".
pub(super) const POINTER: usize = 0x3c;
/// Source: PE format, "Signature".
pub(super) const SIGNATURE: [u8; 4] = *b"PE\0\0";
/// Magic of PE32+. Source: PE format, "Optional Header".
pub(super) const PE32_PLUS: u16 = 0x20b;
/// Source: PE format, "Machine Types".
pub(super) const AMD64: u16 = 0x8664;
/// Where the checksum is in the optional header. Source: PE format, "Optional Header
/// Windows-Specific Fields".
pub(super) const CHECKSUM: usize = 64;

/// Section holds initialised data. Source: PE format, "Section Flags".
pub(super) const INITIALIZED_DATA: u32 = 0x40;
/// Section is code.
pub(super) const CODE: u32 = 0x20;
/// Section may be executed.
pub(super) const EXECUTE: u32 = 0x2000_0000;
/// Section may be read.
pub(super) const READ: u32 = 0x4000_0000;

/// Source: PE format, "COFF File Header".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Coff {
    pub machine: U16,
    pub sections: U16,
    pub time: U32,
    pub symbols_at: U32,
    pub symbols: U32,
    pub optional_size: U16,
    pub characteristics: U16,
}

/// Source: PE format, "Optional Header", as far as the size of headers and the checksum.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Optional {
    pub magic: U16,
    pub linker: [u8; 2],
    pub code_size: U32,
    pub data_size: U32,
    pub zeroed_size: U32,
    pub entry: U32,
    pub code_base: U32,
    pub image_base: U64,
    pub section_alignment: U32,
    pub file_alignment: U32,
    pub versions: [U16; 6],
    pub win32_version: U32,
    pub image_size: U32,
    pub headers_size: U32,
    pub checksum: U32,
}

/// Source: PE format, "Section Table".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    pub name: [u8; 8],
    pub virtual_size: U32,
    pub virtual_address: U32,
    pub raw_size: U32,
    pub raw_at: U32,
    pub relocations_at: U32,
    pub lines_at: U32,
    pub relocations: U16,
    pub lines: U16,
    pub characteristics: U32,
}

/// Size of a [`SectionHeader`].
pub(super) const SECTION_SIZE: usize = 40;

/// The checksum of a whole file, in which the checksum's own field is zero: the sum of its
/// 16-bit words with the carries added, and its length.
/// Source: `CheckSumMappedFile`, as implemented by all linkers.
pub(super) fn checksum(file: &[u8]) -> u32 {
    let (words, rest) = file.as_chunks::<8>();
    let mut sum = 0u64;
    // Carries may be added at the end, so the words can be added several at a time.
    for word in words {
        let word = u64::from_le_bytes(*word);
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = u64::from_le_bytes(last);
    sum += (last & 0xffff_ffff) + (last >> 32);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u32::try_from(sum + file.len() as u64).unwrap_or(u32::MAX)
}
