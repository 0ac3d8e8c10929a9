//! Short names, and the records of long ones.

use std::collections::BTreeSet;

use zerocopy::{IntoBytes as _, little_endian::U16};

use super::format::{LAST_LONG, LONG_NAME, LONG_UNITS, LongRecord, checksum};

/// The padded short name of a name that needs no long one: `BOOTX64.EFI`.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let fits = !base.is_empty()
        && base.len() <= 8
        && extension.len() <= 3
        && !name.ends_with('.')
        && base.bytes().chain(extension.bytes()).all(allowed);
    fits.then(|| padded(base.as_bytes(), extension.as_bytes()))
}

/// Source: FAT specification, "Short Directory Entries"; fewer than are allowed.
fn allowed(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-~".contains(&byte)
}

fn padded(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut name = [b' '; 11];
    name[..base.len()].copy_from_slice(base);
    name[8..8 + extension.len()].copy_from_slice(extension);
    name
}

/// The short name for `name` that is not in `used` yet, and whether a long name is needed.
pub(super) fn short(name: &str, used: &mut BTreeSet<[u8; 11]>) -> ([u8; 11], bool) {
    if let Some(name) = exact(name)
        && used.insert(name)
    {
        return (name, false);
    }
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let ascii = |text: &str, length: usize| -> Vec<u8> {
        text.chars()
            .filter(|letter| !matches!(letter, ' ' | '.'))
            .map(|letter| u8::try_from(letter.to_ascii_uppercase()).unwrap_or(b'_'))
            .map(|byte| if allowed(byte) { byte } else { b'_' })
            .take(length)
            .collect()
    };
    let (base, extension) = (ascii(base, 8), ascii(extension, 3));
    let mut number = 1u32;
    loop {
        let tail = format!("~{number}");
        let mut stem = base.clone();
        stem.truncate(8 - tail.len());
        stem.extend(tail.bytes());
        let name = padded(&stem, &extension);
        if used.insert(name) {
            return (name, true);
        }
        number += 1;
    }
}

/// Whether a name may stand in a folder. Source: FAT specification, "Long File Names".
pub(super) fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && !name.ends_with(['.', ' '])
        && name.encode_utf16().count() <= 255
        && !name
            .chars()
            .any(|letter| letter < ' ' || "\"*/:<>?\\|\u{7f}".contains(letter))
}

/// The records of a long name, as they stand before the short one.
pub(super) fn long_records(name: &str, short: &[u8; 11]) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(LONG_UNITS);
    let mut bytes = Vec::with_capacity(count * 32);
    for index in (0..count).rev() {
        let unit = |offset: usize| -> U16 {
            let at = index * LONG_UNITS + offset;
            let padding = if at == units.len() { 0 } else { 0xffff };
            U16::new(units.get(at).copied().unwrap_or(padding))
        };
        let last = if index + 1 == count { LAST_LONG } else { 0 };
        let record = LongRecord {
            order: u8::try_from(index + 1).unwrap_or(u8::MAX) | last,
            units_1: std::array::from_fn(unit),
            attributes: LONG_NAME,
            kind: 0,
            checksum: checksum(short),
            units_2: std::array::from_fn(|offset| unit(5 + offset)),
            cluster: U16::ZERO,
            units_3: std::array::from_fn(|offset| unit(11 + offset)),
        };
        bytes.extend(record.as_bytes());
    }
    bytes
}
