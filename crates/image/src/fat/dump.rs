//! Volumes for people.

use std::fmt::Write as _;

use super::{Fat, ReadFatError, Width};
use crate::source::Source;

/// A volume as text, one line per file or folder.
///
/// # Errors
/// Those of [`Fat::entries`].
pub fn dump<S: Source + ?Sized>(fat: &Fat<'_, S>) -> Result<String, ReadFatError> {
    let kind = match fat.width {
        Width::Fat16 => "FAT16",
        Width::Fat32 => "FAT32",
    };
    let mut text = format!(
        "{kind} `{}` {:04X}-{:04X}, {} clusters of {} bytes\n",
        fat.label,
        fat.serial >> 16,
        fat.serial & 0xffff,
        fat.clusters,
        fat.cluster
    );
    for entry in fat.entries()? {
        let _ = if entry.is_folder {
            writeln!(text, "{:>12}  {}/", "", entry.path)
        } else {
            writeln!(text, "{:>12}  {}", entry.size, entry.path)
        };
    }
    Ok(text)
}
