//! Bytes that can be read anywhere: a file, a piece of memory, a virtual disk, a partition.

use std::io;

use fs_err::os::unix::fs::FileExt as _;

/// Something of a known size that is read at offsets. What readers of formats take.
pub trait Source {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if they go beyond the end, and errors of the medium.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The `length` bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Source::read_at`]; nothing is allocated for a range beyond the end.
    fn bytes(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        if offset
            .checked_add(length)
            .is_none_or(|end| end > self.size())
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; to_usize(length)];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer)
    }
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = to_usize(offset);
        let bytes = from
            .checked_add(buffer.len())
            .and_then(|to| self.get(from..to))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self[..].read_at(offset, buffer)
    }
}

/// A file whose size was read when it was opened.
#[derive(Debug)]
pub struct FileSource {
    file: fs_err::File,
    size: u64,
}

impl FileSource {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// If it cannot be opened; the error names it.
    pub fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = fs_err::File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// A piece of another source, such as a partition of a disk.
#[derive(Debug)]
pub struct Window<'a, S: ?Sized> {
    source: &'a S,
    offset: u64,
    size: u64,
}

impl<'a, S: Source + ?Sized> Window<'a, S> {
    /// The `size` bytes from `offset` on; fewer where `source` ends before.
    pub fn new(source: &'a S, offset: u64, size: u64) -> Self {
        let size = size.min(source.size().saturating_sub(offset));
        Self {
            source,
            offset,
            size,
        }
    }
}

impl<S: Source + ?Sized> Source for Window<'_, S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset
            .checked_add(buffer.len() as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_at(self.offset + offset, buffer)
    }
}

/// A size as an index. On a machine whose addresses are too small for it the result is one that
/// no slice has, so that the access fails instead of hitting something else.
pub(crate) fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
