//! Disks to images.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use fs_err as fs;
use lifeboat_archive::Content;
use zerocopy::{
    IntoBytes as _,
    big_endian::{U32, U64},
};

use super::format::{
    CLUSTER, CLUSTER_BITS, COPIED, Header, L2_ENTRIES, MAGIC, REFCOUNT_ORDER, REFCOUNTS,
};
use crate::{
    extents::{Extent, Extents},
    source::to_usize,
};

/// Writes a disk of `size` bytes as an image at `path`: data in the order of the disk, then
/// the tables.
///
/// # Errors
/// If a piece cannot be read, the file cannot be written, or a piece lies beyond `size`.
pub fn write(extents: &Extents, size: u64, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    let zeros = vec![0; to_usize(CLUSTER)];
    file.write_all(&zeros)?;
    // Clusters of the file in use so far; the first is the header's.
    let mut used = 1;
    let mut tables: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut clusters = Clusters::new(extents);
    let mut buffer = zeros.clone();
    while let Some(index) = clusters.next(&mut buffer)? {
        if index * CLUSTER >= size {
            return Err(io::Error::other("a piece of the disk lies beyond its end"));
        }
        if buffer == zeros {
            continue;
        }
        file.write_all(&buffer)?;
        let table = tables
            .entry(index / L2_ENTRIES)
            .or_insert_with(|| vec![0; to_usize(L2_ENTRIES)]);
        table[to_usize(index % L2_ENTRIES)] = (used * CLUSTER) | COPIED;
        used += 1;
    }
    let l1_entries = size.div_ceil(CLUSTER * L2_ENTRIES).max(1);
    let mut l1 = vec![0; to_usize((l1_entries * 8).div_ceil(CLUSTER) * CLUSTER / 8)];
    for (index, table) in &tables {
        l1[to_usize(*index)] = (used * CLUSTER) | COPIED;
        words(&mut file, table)?;
        used += 1;
    }
    let l1_at = used * CLUSTER;
    words(&mut file, &l1)?;
    used += l1.len() as u64 * 8 / CLUSTER;
    // The counts count the clusters that they are in, too.
    let (mut blocks, mut table_clusters) = (0, 0);
    loop {
        let all = used + blocks + table_clusters;
        let needed = all.div_ceil(REFCOUNTS);
        let table = (needed * 8).div_ceil(CLUSTER);
        if (needed, table) == (blocks, table_clusters) {
            break;
        }
        (blocks, table_clusters) = (needed, table);
    }
    let refcount_table_at = used * CLUSTER;
    let first_block = used + table_clusters;
    let mut table: Vec<u64> = (0..blocks)
        .map(|block| (first_block + block) * CLUSTER)
        .collect();
    table.resize(to_usize(table_clusters * CLUSTER / 8), 0);
    words(&mut file, &table)?;
    let all = first_block + blocks;
    let counts = (0..blocks * REFCOUNTS).flat_map(|index| u16::from(index < all).to_be_bytes());
    file.write_all(&counts.collect::<Vec<u8>>())?;
    let narrow = |value: u64| u32::try_from(value).map_err(io::Error::other);
    let header = Header {
        magic: MAGIC,
        version: 3.into(),
        backing_at: U64::ZERO,
        backing_size: U32::ZERO,
        cluster_bits: CLUSTER_BITS.into(),
        size: size.into(),
        encryption: U32::ZERO,
        l1_entries: narrow(l1_entries)?.into(),
        l1_at: l1_at.into(),
        refcount_table_at: refcount_table_at.into(),
        refcount_table_clusters: narrow(table_clusters)?.into(),
        snapshots: U32::ZERO,
        snapshots_at: U64::ZERO,
        incompatible: U64::ZERO,
        compatible: U64::ZERO,
        autoclear: U64::ZERO,
        refcount_order: REFCOUNT_ORDER.into(),
        length: narrow(size_of::<Header>() as u64)?.into(),
    };
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(header.as_bytes())?;
    file.sync_all()
}

fn words(file: &mut impl Write, words: &[u64]) -> io::Result<()> {
    words
        .iter()
        .try_for_each(|word| file.write_all(&word.to_be_bytes()))
}

/// The clusters of a disk that pieces lie in, in order.
struct Clusters<'a> {
    extents: Vec<&'a Extent>,
    next: u64,
    open: Option<(Arc<Path>, fs::File)>,
}

impl<'a> Clusters<'a> {
    fn new(extents: &'a Extents) -> Self {
        let mut extents = extents.sorted();
        extents.reverse();
        Self {
            extents,
            next: 0,
            open: None,
        }
    }

    /// Fills `buffer` with the next cluster and returns its index.
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        let end = |extent: &Extent| extent.offset + extent.content.size();
        while self
            .extents
            .last()
            .is_some_and(|extent| end(extent) <= self.next * CLUSTER)
        {
            self.extents.pop();
        }
        let Some(first) = self.extents.last() else {
            return Ok(None);
        };
        let index = self.next.max(first.offset / CLUSTER);
        self.next = index + 1;
        let (from, to) = (index * CLUSTER, (index + 1) * CLUSTER);
        buffer.fill(0);
        for place in (0..self.extents.len()).rev() {
            let extent = self.extents[place];
            if extent.offset >= to {
                break;
            }
            let (start, stop) = (extent.offset.max(from), end(extent).min(to));
            if start < stop {
                let target = &mut buffer[to_usize(start - from)..to_usize(stop - from)];
                self.read(&extent.content, start - extent.offset, target)?;
            }
        }
        Ok(Some(index))
    }

    fn read(&mut self, content: &Content, at: u64, target: &mut [u8]) -> io::Result<()> {
        match content {
            Content::Inline(bytes) => {
                let at = to_usize(at);
                target.copy_from_slice(&bytes[at..at + target.len()]);
                Ok(())
            }
            Content::Slice { file, offset, .. } => {
                let opened = match self.open.take() {
                    Some((path, opened)) if path == *file => opened,
                    _ => fs::File::open(file.as_ref())?,
                };
                let (_, opened) = self.open.insert((Arc::clone(file), opened));
                opened.seek(SeekFrom::Start(offset + at))?;
                opened.read_exact(target)
            }
        }
    }
}
