//! Trees to archives.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use lifeboat_archive::{InodeId, Kind, Tree};

use super::format::{
    ALIGNMENT, BLOCK, CHARACTER, DIRECTORY, FIFO, HEADER_SIZE, Header, MAGIC, REGULAR, SYMLINK,
    TRAILER,
};

/// A tree that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteCpioError {
    /// Content cannot be read, or the archive cannot be written.
    #[error("the cpio archive cannot be written")]
    Io(#[from] io::Error),
    /// A file of 4 GiB or more.
    #[error("`{0}` has 4 GiB or more, which a cpio archive cannot hold")]
    Size(String),
}

/// Writes a tree as an archive that the kernel unpacks. Same tree, same bytes: inode numbers
/// count from 1 in the order of the paths.
///
/// # Errors
/// [`WriteCpioError`] if content cannot be read, is too large, or `to` fails.
pub fn write(tree: &Tree, to: impl Write) -> Result<(), WriteCpioError> {
    let mut writer = Writer { to, written: 0 };
    let mut links: BTreeMap<InodeId, (u32, u32)> = BTreeMap::new();
    for (_, id, _) in tree.iter() {
        links.entry(id).or_default().1 += 1;
    }
    let mut next = 0;
    for (path, id, inode) in tree.iter().filter(|(path, ..)| !path.is_empty()) {
        let (number, count) = links.entry(id).or_default();
        // The kernel takes an inode's content from the first of its names and ignores the
        // other entries' sizes if they are 0.
        let first = *number == 0;
        if first {
            next += 1;
            *number = next;
        }
        let mut header = Header {
            ino: *number,
            uid: inode.uid,
            gid: inode.gid,
            nlink: *count,
            mtime: u32::try_from(inode.mtime.max(0)).unwrap_or(u32::MAX),
            ..Header::default()
        };
        let (kind, content) = match &inode.kind {
            Kind::Directory => {
                header.nlink = 2;
                (DIRECTORY, None)
            }
            Kind::File(content) => (REGULAR, first.then(|| content.clone())),
            Kind::Symlink(target) => (SYMLINK, Some(lifeboat_archive::Content::inline(target))),
            Kind::CharDevice { major, minor } => {
                (header.rmajor, header.rminor) = (*major, *minor);
                (CHARACTER, None)
            }
            Kind::BlockDevice { major, minor } => {
                (header.rmajor, header.rminor) = (*major, *minor);
                (BLOCK, None)
            }
            Kind::Fifo => (FIFO, None),
        };
        header.mode = kind | (inode.mode & 0o7777);
        let size = content.as_ref().map_or(0, lifeboat_archive::Content::size);
        header.filesize = u32::try_from(size)
            .map_err(|_| WriteCpioError::Size(String::from_utf8_lossy(path).into_owned()))?;
        writer.entry(header, path)?;
        if let Some(content) = content {
            let copied = io::copy(&mut content.open()?, &mut writer)?;
            if copied != size {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            writer.pad(ALIGNMENT)?;
        }
    }
    writer.entry(
        Header {
            nlink: 1,
            ..Header::default()
        },
        TRAILER,
    )?;
    // The kernel wants whole words after the archive, and other tools whole blocks.
    writer.pad(512)?;
    Ok(writer.to.flush()?)
}

struct Writer<W> {
    to: W,
    written: usize,
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Writer<W> {
    fn entry(&mut self, mut header: Header, name: &[u8]) -> io::Result<()> {
        header.namesize = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER_SIZE + name.len() + ALIGNMENT);
        bytes.extend(MAGIC);
        for field in header.fields() {
            write!(bytes, "{field:08X}")?;
        }
        bytes.extend(name);
        bytes.push(0);
        self.write_all(&bytes)?;
        self.pad(ALIGNMENT)
    }

    fn pad(&mut self, alignment: usize) -> io::Result<()> {
        let missing = self.written.next_multiple_of(alignment) - self.written;
        self.write_all(&vec![0; missing])
    }
}
