//! ISO 9660 (ECMA-119) with Rock Ridge (IEEE P1282) or Joliet names: as much as it takes to
//! read a small file by its path.

use super::{MOST_BYTES, Medium, VolumeError};

const SECTOR: u64 = 2048;
/// Volume descriptors begin here (ECMA-119, 6.7.1).
const FIRST_DESCRIPTOR: u64 = 16;
const MOST_DESCRIPTORS: u64 = 64;
const MOST_FOLDER: u32 = 1 << 20;
const MOST_DEPTH: usize = 8;

/// An open volume.
pub(crate) struct Iso<M: Medium> {
    /// The label.
    pub label: String,
    root: Record,
    joliet: Option<Record>,
    medium: M,
}

#[derive(Clone, Debug)]
struct Record {
    block: u32,
    size: u32,
    is_folder: bool,
    name: String,
}

impl<M: Medium> Iso<M> {
    /// Reads the volume descriptors; gives the medium back if it is none of this kind.
    pub(crate) fn open(medium: M) -> Result<Self, (M, VolumeError)> {
        match descriptors(&medium) {
            Ok((label, root, joliet)) => Ok(Self {
                label,
                root,
                joliet,
                medium,
            }),
            Err(error) => Err((medium, error)),
        }
    }
}

impl<M: Medium> Iso<M> {
    /// The content of a file by its Rock Ridge or plain name, or by its Joliet name.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, VolumeError> {
        for (root, names) in [
            (Some(&self.root), Names::Plain),
            (self.joliet.as_ref(), Names::Joliet),
        ] {
            let Some(root) = root else { continue };
            if let Some(record) = self.find(root, names, path)? {
                if u64::from(record.size) > MOST_BYTES {
                    return Err(VolumeError::TooLarge(path.to_owned()));
                }
                return Ok(Some(self.content(&record)?));
            }
        }
        Ok(None)
    }

    fn content(&self, record: &Record) -> Result<Vec<u8>, VolumeError> {
        let length = usize::try_from(record.size)
            .map_err(|_| VolumeError::Broken("a size that cannot be"))?;
        Ok(self
            .medium
            .exactly(u64::from(record.block) * SECTOR, length)?)
    }

    fn find(&self, root: &Record, names: Names, path: &str) -> Result<Option<Record>, VolumeError> {
        let mut at = root.clone();
        for part in path
            .split('/')
            .filter(|part| !part.is_empty())
            .take(MOST_DEPTH)
        {
            if !at.is_folder {
                return Ok(None);
            }
            if at.size > MOST_FOLDER {
                return Err(VolumeError::Broken("a folder larger than 1 MiB"));
            }
            let folder = self.content(&at)?;
            let found = records(&folder, names)
                .into_iter()
                .find(|record| record.name.eq_ignore_ascii_case(part));
            match found {
                Some(record) => at = record,
                None => return Ok(None),
            }
        }
        Ok((!at.is_folder).then_some(at))
    }
}

#[derive(Clone, Copy)]
enum Names {
    Plain,
    Joliet,
}

fn descriptors<M: Medium>(medium: &M) -> Result<(String, Record, Option<Record>), VolumeError> {
    let mut primary = None;
    let mut joliet = None;
    for number in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
        let sector = match medium.exactly(number * SECTOR, 2048) {
            Ok(sector) => sector,
            // Too small to be one, or descriptors without an end.
            Err(_) if primary.is_none() => return Err(VolumeError::Other),
            Err(_) => break,
        };
        if sector.get(1..6) != Some(b"CD001") {
            break;
        }
        match sector[0] {
            1 if primary.is_none() => {
                let label = String::from_utf8_lossy(&sector[40..72]);
                let root = record(&sector[156..190], Names::Plain)
                    .ok_or(VolumeError::Broken("no root folder"))?;
                primary = Some((label.trim_end_matches(['\0', ' ']).to_owned(), root));
            }
            // The escape sequences of UCS-2 (Joliet specification, "Escape sequences").
            2 if matches!(&sector[88..91], b"%/@" | b"%/C" | b"%/E") => {
                joliet = record(&sector[156..190], Names::Joliet);
            }
            255 => break,
            _ => {}
        }
    }
    let (label, root) = primary.ok_or(VolumeError::Other)?;
    Ok((label, root, joliet))
}

/// The records of a folder; those that make no sense end it.
fn records(folder: &[u8], names: Names) -> Vec<Record> {
    let mut all = Vec::new();
    let mut at = 0;
    // SUSP: bytes to skip in each system area; said in the first record of the root only, but
    // it is zero wherever it matters.
    while let Some(&length) = folder.get(at) {
        if length == 0 {
            // Records do not cross sectors: the rest of this one is empty.
            at = (at / 2048 + 1) * 2048;
            continue;
        }
        let Some(bytes) = folder.get(at..at + usize::from(length)) else {
            break;
        };
        if let Some(record) = record(bytes, names) {
            all.push(record);
        }
        at += usize::from(length);
    }
    all
}

/// A directory record (ECMA-119, 9.1).
fn record(bytes: &[u8], names: Names) -> Option<Record> {
    let number = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let flags = *bytes.get(25)?;
    let length = usize::from(*bytes.get(32)?);
    let raw = bytes.get(33..33 + length)?;
    let name = match names {
        Names::Joliet if raw.len() >= 2 => {
            let units: Vec<u16> = raw
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            without_version(&String::from_utf16_lossy(&units))
        }
        // The names of this folder and the one above are one byte, 0 or 1.
        _ if matches!(raw, [0 | 1]) => String::new(),
        Names::Joliet => return None,
        Names::Plain => {
            // The system area begins at an even byte.
            let system = bytes
                .get(33 + length + (length + 1) % 2..)
                .unwrap_or_default();
            rock_ridge(system).unwrap_or_else(|| without_version(&String::from_utf8_lossy(raw)))
        }
    };
    Some(Record {
        block: number(2)?.checked_add(u32::from(*bytes.get(1)?))?,
        size: number(10)?,
        is_folder: flags & 2 != 0,
        name,
    })
}

/// `NAME.;1` without the number of the version and the empty suffix.
fn without_version(name: &str) -> String {
    let name = name.split(';').next().unwrap_or(name);
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

/// The name in the `NM` entries of a system area (Rock Ridge, 4.1.4).
fn rock_ridge(mut system: &[u8]) -> Option<String> {
    let mut name = Vec::new();
    while let [first, second, length, _version, ..] = *system {
        let entry = system
            .get(..usize::from(length))
            .filter(|entry| entry.len() >= 4)?;
        if [first, second] == *b"NM" {
            name.extend_from_slice(entry.get(5..)?);
        }
        system = &system[entry.len()..];
    }
    (!name.is_empty()).then(|| String::from_utf8_lossy(&name).into_owned())
}
