//! Says what a file is and what is in it, whatever of our formats it has.

use std::{fmt::Write as _, io, path::Path};

use lifeboat_archive::Digest;
use lifeboat_payload::verity;

use crate::{
    cpio::{self, ReadCpioError},
    fat::{self, Fat, ReadFatError},
    gpt::{self, ReadTableError, kinds},
    qcow2::{self, Qcow2, ReadQcow2Error},
    source::{FileSource, Source, Window},
    uki::{self, ReadPeError},
};

/// A program or an initrd is read into memory whole up to this size.
const LARGEST: u64 = 1 << 30;

/// A file that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// None of the formats known here.
    #[error("`{0}` is none of: disk (GPT, qcow2), FAT, UKI, initrd, erofs, dm-verity tree")]
    Unknown(String),
    /// A damaged table.
    #[error(transparent)]
    Table(#[from] ReadTableError),
    /// A damaged volume.
    #[error(transparent)]
    Fat(#[from] ReadFatError),
    /// A damaged virtual disk.
    #[error(transparent)]
    Qcow2(#[from] ReadQcow2Error),
    /// A damaged program.
    #[error(transparent)]
    Pe(#[from] ReadPeError),
    /// A damaged initrd.
    #[error(transparent)]
    Cpio(#[from] ReadCpioError),
}

/// What `path` is and holds, as text for people.
///
/// # Errors
/// [`InspectError`] if it cannot be read, is of no known format, or is damaged.
pub fn inspect(path: &Path) -> Result<String, InspectError> {
    let unknown = || InspectError::Unknown(path.display().to_string());
    dump(&FileSource::open(path)?)?.ok_or_else(unknown)
}

fn dump<S: Source>(source: &S) -> Result<Option<String>, InspectError> {
    let start = source.bytes(0, source.size().min(4096))?;
    if start.starts_with(b"QFI\xfb") {
        let image = Qcow2::open(source)?;
        let mut text = qcow2::dump(&image)?;
        text.push_str(&part(&image)?.unwrap_or_default());
        return Ok(Some(text));
    }
    part(source)
}

/// What can be a disk or on one.
fn part<S: Source>(source: &S) -> Result<Option<String>, InspectError> {
    let start = source.bytes(0, source.size().min(4096))?;
    let at = |from: usize, magic: &[u8]| start.get(from..from + magic.len()) == Some(magic);
    if at(512, b"EFI PART") {
        return Ok(Some(disk(source)?));
    }
    if at(0, b"MZ") {
        let bytes = source.bytes(0, source.size().min(LARGEST))?;
        return Ok(Some(uki::dump(&uki::read(&bytes)?)));
    }
    if let Some(text) = superblock(&start, source.size()) {
        return Ok(Some(text));
    }
    if at(0, &[0x28, 0xb5, 0x2f, 0xfd]) {
        let packed = source.bytes(0, source.size().min(LARGEST))?;
        let mut bytes = Vec::new();
        let decoder = zstd::Decoder::new(&packed[..])?;
        io::Read::read_to_end(&mut io::Read::take(decoder, LARGEST), &mut bytes)?;
        let mut text = format!("zstd, {} bytes in {}\n", bytes.len(), packed.len());
        text.push_str(&cpio::dump(&cpio::read(&bytes)?));
        return Ok(Some(text));
    }
    if at(0, b"070701") {
        let bytes = source.bytes(0, source.size().min(LARGEST))?;
        return Ok(Some(cpio::dump(&cpio::read(&bytes)?)));
    }
    if at(510, &[0x55, 0xaa]) {
        return Ok(Some(fat::dump(&Fat::open(source)?)?));
    }
    Ok(None)
}

fn disk<S: Source>(source: &S) -> Result<String, InspectError> {
    let tables = gpt::read(source)?;
    let mut text = gpt::dump(&tables);
    for partition in &tables.table.partitions {
        let window = Window::new(source, partition.offset(), partition.size());
        let _ = writeln!(
            text,
            "\npartition {} `{}`:",
            partition.number, partition.label
        );
        if partition.kind == kinds::ESP {
            let fat = Fat::open(&window)?;
            text.push_str(&fat::dump(&fat)?);
            for entry in fat.entries()? {
                if entry.path.starts_with("EFI/Linux/") {
                    let bytes = fat.read(&entry.path)?;
                    let _ = writeln!(text, "\n{}:", entry.path);
                    text.push_str(&uki::dump(&uki::read(&bytes)?));
                }
            }
        } else {
            let start = window.bytes(0, window.size().min(4096))?;
            let text_of = superblock(&start, window.size());
            text.push_str(
                text_of
                    .as_deref()
                    .unwrap_or("empty, or of an unknown format\n"),
            );
        }
    }
    Ok(text)
}

/// File systems and trees, of which the first block says all that is shown.
fn superblock(start: &[u8], size: u64) -> Option<String> {
    let at = |from: usize, magic: &[u8]| start.get(from..from + magic.len()) == Some(magic);
    if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
        return Some(format!("erofs file system in {size} bytes\n"));
    }
    if at(0, b"verity\0\0") {
        return Some(match verity::read_superblock(start) {
            Ok((blocks, parameters)) => {
                let salt = Digest(parameters.salt);
                format!("dm-verity tree over {blocks} blocks of 4096 bytes, salt {salt}\n")
            }
            Err(error) => format!("dm-verity tree, damaged: {error}\n"),
        });
    }
    if at(0x438, &[0x53, 0xef]) {
        let label = start.get(0x478..0x488).unwrap_or_default();
        let label = label.split(|byte| *byte == 0).next().unwrap_or_default();
        let label = String::from_utf8_lossy(label);
        return Some(format!("ext4 file system `{label}` in {size} bytes\n"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_refused_by_name() {
        for bytes in [&b""[..], b"x", &[0; 8192]] {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs_err::write(file.path(), bytes).unwrap();
            let error = inspect(file.path()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&file.path().display().to_string()),
                "{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_inspected_without_a_panic(
            magic in proptest::sample::select(vec![
                (0, &b"QFI\xfb"[..]), (512, b"EFI PART"), (0, b"MZ"), (1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
                (0, b"verity\0\0"), (0x438, &[0x53, 0xef]), (0, &[0x28, 0xb5, 0x2f, 0xfd]),
                (0, b"070701"), (510, &[0x55, 0xaa]),
            ]),
            mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 2048..8192),
        ) {
            let (at, magic) = magic;
            bytes[at..at + magic.len()].copy_from_slice(magic);
            let _ = dump(&bytes);
        }
    }
}
