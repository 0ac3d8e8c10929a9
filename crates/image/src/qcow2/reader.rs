//! Images to disks.

use std::io;

use zerocopy::FromBytes as _;

use super::format::{COMPRESSED, Header, MAGIC, OFFSET, ZERO};
use crate::source::{Source, to_usize};

/// An image that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadQcow2Error {
    /// The file cannot be read, or ends too early.
    #[error("the qcow2 image cannot be read")]
    Io(#[from] io::Error),
    /// Something else, or a kind that is not supported.
    #[error("not a qcow2 image that can be read here: {0}")]
    Format(&'static str),
}

/// An open image; reads of it are reads of the disk.
#[derive(Debug)]
pub struct Qcow2<'a, S: ?Sized> {
    source: &'a S,
    size: u64,
    cluster_bits: u32,
    l1: Vec<u64>,
}

impl<'a, S: Source + ?Sized> Qcow2<'a, S> {
    /// Reads the header and the first table.
    ///
    /// # Errors
    /// [`ReadQcow2Error`] if it is no image, or one with a backing file, encryption or
    /// features that are not supported.
    pub fn open(source: &'a S) -> Result<Self, ReadQcow2Error> {
        let bytes = source.bytes(0, size_of::<Header>() as u64)?;
        let header = Header::read_from_bytes(&bytes)
            .map_err(|_| ReadQcow2Error::Format("the header is too short"))?;
        if header.magic != MAGIC {
            return Err(ReadQcow2Error::Format("no header"));
        }
        let version = header.version.get();
        if !(2..=3).contains(&version) || (version == 3 && header.incompatible.get() & !1 != 0) {
            return Err(ReadQcow2Error::Format(
                "its version or features are not supported",
            ));
        }
        if header.backing_at.get() != 0 {
            return Err(ReadQcow2Error::Format(
                "it is a difference to another image",
            ));
        }
        if header.encryption.get() != 0 {
            return Err(ReadQcow2Error::Format("it is encrypted"));
        }
        let cluster_bits = header.cluster_bits.get();
        if !(9..=21).contains(&cluster_bits) {
            return Err(ReadQcow2Error::Format("impossible cluster size"));
        }
        let l1 = source.bytes(header.l1_at.get(), u64::from(header.l1_entries.get()) * 8)?;
        let size = header.size.get();
        let l1: Vec<u64> = words(&l1);
        if size.div_ceil(1 << (2 * cluster_bits - 3)) > l1.len() as u64 {
            return Err(ReadQcow2Error::Format("its first table is too small"));
        }
        Ok(Self {
            source,
            size,
            cluster_bits,
            l1,
        })
    }

    /// Bytes in a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Where in the file the cluster of this index is; `None` if it reads as zeros.
    fn place(&self, index: u64) -> io::Result<Option<u64>> {
        let entries = self.cluster() / 8;
        let table = self.l1.get(to_usize(index / entries)).copied().unwrap_or(0) & OFFSET;
        if table == 0 {
            return Ok(None);
        }
        let entry = self.source.bytes(table + index % entries * 8, 8)?;
        let entry = words(&entry).first().copied().unwrap_or(0);
        if entry & COMPRESSED != 0 {
            return Err(io::Error::other(
                "a cluster of the qcow2 image is compressed",
            ));
        }
        let at = entry & OFFSET;
        Ok((at != 0 && entry & ZERO == 0).then_some(at))
    }

    /// How many clusters hold data.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn used_clusters(&self) -> io::Result<u64> {
        let mut used = 0;
        for table in self
            .l1
            .iter()
            .map(|entry| entry & OFFSET)
            .filter(|at| *at != 0)
        {
            let entries = words(&self.source.bytes(table, self.cluster())?);
            used += entries.iter().filter(|entry| **entry & OFFSET != 0).count() as u64;
        }
        Ok(used)
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    bytes.chunks_exact(8).map(word).collect()
}

impl<S: Source + ?Sized> Source for Qcow2<'_, S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        if offset
            .checked_add(buffer.len() as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !buffer.is_empty() {
            let within = offset % self.cluster();
            let length = buffer.len().min(to_usize(self.cluster() - within));
            let (piece, rest) = buffer.split_at_mut(length);
            match self.place(offset / self.cluster())? {
                Some(at) => self.source.read_at(at + within, piece)?,
                None => piece.fill(0),
            }
            buffer = rest;
            offset += length as u64;
        }
        Ok(())
    }
}
