//! A disk as a list of the pieces that are not empty, over files that lie elsewhere.

use std::{
    io::{self, Read, Seek as _, SeekFrom},
    path::Path,
    sync::Arc,
};

use fs_err::{self as fs, os::unix::fs::FileExt as _};
use lifeboat_archive::Content;

use crate::source::to_usize;

/// Bytes at an offset.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Where they go, in bytes.
    pub offset: u64,
    /// The bytes.
    pub content: Content,
}

/// What is not zero on a disk (or in a part of it).
#[derive(Clone, Debug, Default)]
pub struct Extents {
    extents: Vec<Extent>,
}

impl Extents {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes. Pieces must not overlap.
    pub fn add(&mut self, offset: u64, content: Content) {
        if content.size() > 0 {
            self.extents.push(Extent { offset, content });
        }
    }

    /// Adds all pieces of a part of the disk that begins at `offset`.
    pub fn add_all(&mut self, offset: u64, part: Self) {
        for extent in part.extents {
            self.add(offset + extent.offset, extent.content);
        }
    }

    /// Adds what a sparse file holds, without its holes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn add_sparse_file(&mut self, offset: u64, path: &Path) -> io::Result<()> {
        let file = fs::File::open(path)?;
        let end = file.metadata()?.len();
        let shared: Arc<Path> = Arc::from(path);
        let mut at = 0;
        while at < end {
            let data = match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(rustix::io::Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(data))?;
            let size = hole - data;
            self.add(
                offset + data,
                Content::Slice {
                    file: Arc::clone(&shared),
                    offset: data,
                    size,
                },
            );
            at = hole;
        }
        Ok(())
    }

    /// The pieces in the order of their offsets.
    pub fn sorted(&self) -> Vec<&Extent> {
        let mut sorted: Vec<_> = self.extents.iter().collect();
        sorted.sort_by_key(|extent| extent.offset);
        sorted
    }

    /// Writes a sparse file of `size` bytes.
    ///
    /// # Errors
    /// If a piece cannot be read or the file cannot be written.
    pub fn write_raw(&self, path: &Path, size: u64) -> io::Result<()> {
        let file = fs::File::create(path)?;
        file.set_len(size)?;
        for extent in self.sorted() {
            match &extent.content {
                Content::Inline(bytes) => file.write_all_at(bytes, extent.offset)?,
                Content::Slice {
                    file: from,
                    offset,
                    size,
                } => {
                    copy(from, *offset, &file, extent.offset, *size)?;
                }
            }
        }
        file.sync_all()
    }
}

/// Copies inside the kernel where it can, which also shares blocks on file systems that do.
fn copy(from: &Path, mut at: u64, to: &fs::File, mut offset: u64, size: u64) -> io::Result<()> {
    let mut from = fs::File::open(from)?;
    let mut left = size;
    while left > 0 {
        let (input, output) = (Some(&mut at), Some(&mut offset));
        match rustix::fs::copy_file_range(&from, input, to, output, to_usize(left)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => left -= copied as u64,
            Err(_) => break,
        }
    }
    let mut buffer = vec![0; 1 << 20];
    from.seek(SeekFrom::Start(at))?;
    while left > 0 {
        let piece = to_usize(left.min(buffer.len() as u64));
        from.read_exact(&mut buffer[..piece])?;
        to.write_all_at(&buffer[..piece], offset)?;
        offset += piece as u64;
        left -= piece as u64;
    }
    Ok(())
}
