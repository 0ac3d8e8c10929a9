//! Makes the tree over a file.

use std::{
    fs::File,
    io::{self, Write as _},
    num::NonZero,
    os::unix::fs::FileExt as _,
    sync::Mutex,
    thread,
};

use lifeboat_archive::Digest;

use super::format::{BLOCK, BLOCK_SIZE, HASH, HashArea, Parameters, Salted, write_superblock};

/// Blocks that one thread hashes at a time: a megabyte.
const BATCH: usize = 256;

/// A tree in memory; less than a hundredth of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// The hash of the highest block.
    pub root_hash: Digest,
    /// Superblock and levels, as they stand in a file.
    pub bytes: Vec<u8>,
}

/// Makes the tree over the first `data_blocks` blocks of a file, on all processors.
///
/// # Errors
/// If the file cannot be read, or is shorter.
pub fn build(data: &File, data_blocks: u64, parameters: &Parameters) -> io::Result<HashTree> {
    let salted = Salted::new(&parameters.salt);
    let mut level = hash_data(data, data_blocks, &salted)?;
    let mut levels = Vec::new();
    while level.len() > HASH {
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        let above = level.chunks(BLOCK).flat_map(|block| salted.hash(block));
        let above = above.collect();
        levels.push(std::mem::replace(&mut level, above));
    }
    let mut root_hash = [0; HASH];
    // No data at all is the one case without any hash; its root hash is all zeroes, and the
    // kernel refuses a device of no length anyway.
    root_hash[..level.len()].copy_from_slice(&level);
    let mut bytes = write_superblock(data_blocks, parameters);
    levels
        .iter()
        .rev()
        .for_each(|level| bytes.extend_from_slice(level));
    Ok(HashTree {
        root_hash: Digest(root_hash),
        bytes,
    })
}

/// Fills a file with zeroes up to a whole block, and writes the tree behind it.
///
/// # Errors
/// If the file cannot be read or written.
pub fn append(mut file: &File, parameters: &Parameters) -> io::Result<HashArea> {
    let size = file.metadata()?.len().next_multiple_of(BLOCK_SIZE);
    file.set_len(size)?;
    let data_blocks = size / BLOCK_SIZE;
    let tree = build(file, data_blocks, parameters)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(size))?;
    file.write_all(&tree.bytes)?;
    Ok(HashArea {
        data_blocks,
        offset: size,
        parameters: *parameters,
        root_hash: tree.root_hash,
    })
}

/// The hashes of all blocks of data, in order.
fn hash_data(data: &File, data_blocks: u64, salted: &Salted) -> io::Result<Vec<u8>> {
    let blocks = usize::try_from(data_blocks).map_err(io::Error::other)?;
    let mut hashes = vec![0; blocks * HASH];
    let queue = Mutex::new(hashes.chunks_mut(BATCH * HASH).enumerate());
    let work = || -> io::Result<()> {
        let mut buffer = vec![0; BATCH * BLOCK];
        loop {
            // A thread can only panic while it holds the lock if `next` does, which it does not.
            let next = queue
                .lock()
                .map_err(|_| io::Error::other("a thread failed"))?
                .next();
            let Some((batch, hashes)) = next else {
                return Ok(());
            };
            let buffer = &mut buffer[..hashes.len() / HASH * BLOCK];
            data.read_exact_at(buffer, (batch * BATCH * BLOCK) as u64)?;
            for (hash, block) in hashes.chunks_mut(HASH).zip(buffer.chunks(BLOCK)) {
                hash.copy_from_slice(&salted.hash(block));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for thread in others {
            let other = thread
                .join()
                .map_err(|_| io::Error::other("a thread failed"));
            result = result.and(other.flatten());
        }
        result
    })?;
    Ok(hashes)
}
