//! Writes a tree as a pax archive. The same tree gives the same bytes.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
};

use fs_err as fs;

use super::format::{
    BLOCK, CHECKSUM, GID, LINK, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, SIZE, TYPE, TarError, UID,
    checksum, octal,
};
use crate::{Content, Inode, InodeId, Kind, Tree};

/// Writes all of `tree`: folders before what they hold, further names of a file as hard links
/// to its first, long paths, large numbers and extended attributes in pax headers.
///
/// # Errors
/// [`TarError`] if content cannot be read or `out` not be written.
pub fn write_tar(tree: &Tree, out: impl Write) -> Result<(), TarError> {
    let mut writer = Writer { out, open: None };
    let mut first: BTreeMap<InodeId, &[u8]> = BTreeMap::new();
    for (path, id, inode) in tree.iter() {
        if let Some(target) = first.get(&id) {
            writer.header(path, inode, Some(target))?;
            continue;
        }
        writer.header(path, inode, None)?;
        if let Kind::File(content) = &inode.kind {
            writer.content(path, content)?;
        }
        if inode.kind != Kind::Directory {
            first.insert(id, path);
        }
    }
    writer.out.write_all(&[0; 2 * BLOCK])?;
    writer.out.flush()?;
    Ok(())
}

struct Writer<'a, W> {
    out: W,
    /// The file that was read last: many pieces in a row come from one.
    open: Option<(&'a std::path::Path, fs::File)>,
}

impl<'a, W: Write> Writer<'a, W> {
    fn header(
        &mut self,
        path: &[u8],
        inode: &Inode,
        hard_link: Option<&[u8]>,
    ) -> Result<(), TarError> {
        let mut extended = Vec::new();
        let mut header = [0_u8; BLOCK];
        header[MAGIC].copy_from_slice(b"ustar\x0000");
        let mut name = path.to_vec();
        if name.is_empty() {
            name.push(b'.');
        }
        let (kind, link): (u8, &[u8]) = match (&inode.kind, hard_link) {
            (_, Some(target)) => (b'1', target),
            (Kind::Directory, _) => {
                name.push(b'/');
                (b'5', b"")
            }
            (Kind::File(_), _) => (b'0', b""),
            (Kind::Symlink(target), _) => (b'2', target),
            (Kind::CharDevice { .. }, _) => (b'3', b""),
            (Kind::BlockDevice { .. }, _) => (b'4', b""),
            (Kind::Fifo, _) => (b'6', b""),
        };
        header[TYPE] = kind;
        for (field, text, key) in [(NAME, &name[..], "path"), (LINK, link, "linkpath")] {
            if text.len() <= field.len() {
                header[field.start..field.start + text.len()].copy_from_slice(text);
            } else {
                header[field.clone()].copy_from_slice(&text[..field.len()]);
                record(&mut extended, key.as_bytes(), text);
            }
        }
        let size = match &inode.kind {
            Kind::File(content) if hard_link.is_none() => content.size(),
            _ => 0,
        };
        octal(&mut header[MODE], u64::from(inode.mode & 0o7777));
        let seconds = u64::try_from(inode.mtime);
        for (field, value, key, text) in [
            (UID, Ok(inode.uid.into()), "uid", inode.uid.to_string()),
            (GID, Ok(inode.gid.into()), "gid", inode.gid.to_string()),
            (SIZE, Ok(size), "size", size.to_string()),
            (MTIME, seconds, "mtime", inode.mtime.to_string()),
        ] {
            let fits = value.is_ok_and(|value| octal(&mut header[field.clone()], value));
            if !fits {
                octal(&mut header[field], 0);
                record(&mut extended, key.as_bytes(), text.as_bytes());
            }
        }
        let (major, minor) = match inode.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (major, minor)
            }
            _ => (0, 0),
        };
        if !octal(&mut header[MAJOR], major.into()) || !octal(&mut header[MINOR], minor.into()) {
            return Err(TarError::Unsupported {
                path: String::from_utf8_lossy(path).into_owned(),
                what: "a device with numbers above 2097151",
            });
        }
        if hard_link.is_none() {
            for (name, value) in &inode.xattrs {
                record(
                    &mut extended,
                    &[b"SCHILY.xattr.", name.as_slice()].concat(),
                    value,
                );
            }
        }
        if !extended.is_empty() {
            self.extended(&extended)?;
        }
        seal(&mut header);
        self.out.write_all(&header)?;
        Ok(())
    }

    fn extended(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = [0_u8; BLOCK];
        header[MAGIC].copy_from_slice(b"ustar\x0000");
        header[..9].copy_from_slice(b"PaxHeader");
        header[TYPE] = b'x';
        octal(&mut header[MODE], 0o644);
        for field in [UID, GID, MTIME, MAJOR, MINOR] {
            octal(&mut header[field], 0);
        }
        octal(&mut header[SIZE], records.len() as u64);
        seal(&mut header);
        self.out.write_all(&header)?;
        self.out.write_all(records)?;
        self.pad(records.len() as u64)
    }

    fn content(&mut self, path: &[u8], content: &'a Content) -> Result<(), TarError> {
        let size = content.size();
        let copied = match content {
            Content::Inline(bytes) => {
                self.out.write_all(bytes)?;
                size
            }
            Content::Slice { file, offset, .. } => {
                use std::io::{Seek as _, SeekFrom};
                let mut opened = match self.open.take() {
                    Some((path, opened)) if path == file.as_ref() => (path, opened),
                    _ => (file.as_ref(), fs::File::open(file.as_ref())?),
                };
                opened.1.seek(SeekFrom::Start(*offset))?;
                let copied = io::copy(&mut (&mut opened.1).take(size), &mut self.out)?;
                self.open = Some(opened);
                copied
            }
        };
        if copied != size {
            return Err(TarError::Shrunk {
                path: String::from_utf8_lossy(path).into_owned(),
                size,
            });
        }
        Ok(self.pad(size)?)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        let zeros = if over == 0 { 0 } else { BLOCK - over };
        self.out.write_all(&[0; BLOCK][..zeros])
    }
}

fn seal(header: &mut [u8; BLOCK]) {
    let sum = format!("{:06o}\0 ", checksum(header));
    header[CHECKSUM].copy_from_slice(sum.as_bytes());
}

/// Appends `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}
