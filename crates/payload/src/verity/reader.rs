//! Checks data against its tree without a device, and names the block that is wrong.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::{
    SuperblockError,
    format::{BLOCK, BLOCK_SIZE, HASH, HashArea, Salted, levels, read_superblock},
    writer::build,
};

/// Data or a tree that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file could not be read, or is shorter.
    #[error("cannot read the data or its hash tree")]
    Io(#[from] io::Error),
    /// The superblock is damaged.
    #[error("the hash tree has no valid superblock")]
    Superblock(#[from] SuperblockError),
    /// The superblock is valid but belongs to other data.
    #[error("the verity superblock differs from what was signed")]
    OtherSuperblock,
    /// A block of hashes is not what its parent says, or the root hash.
    #[error("hash block {block} (level {level}, byte {offset}) is damaged")]
    HashBlock {
        /// Level, 0 is the lowest.
        level: usize,
        /// Number within the level.
        block: u64,
        /// Where it is in the file.
        offset: u64,
    },
    /// A block of data is not what its hash says.
    #[error("data block {block} (byte {offset}) is damaged")]
    DataBlock {
        /// Its number.
        block: u64,
        /// Where it is in the file.
        offset: u64,
    },
}

/// Checks a file that holds its data from the beginning and the tree behind it.
///
/// # Errors
/// [`VerifyError`], with the first damaged block from the root down.
pub fn verify(file: &File, area: &HashArea) -> Result<(), VerifyError> {
    let mut block = vec![0; BLOCK];
    file.read_exact_at(&mut block, area.offset)?;
    if read_superblock(&block)? != (area.data_blocks, area.parameters) {
        return Err(VerifyError::OtherSuperblock);
    }
    let salted = Salted::new(&area.parameters.salt);
    let mut offset = area.offset + BLOCK_SIZE;
    let mut above = area.root_hash.0.to_vec();
    for (level, blocks) in levels(area.data_blocks).into_iter().enumerate().rev() {
        let length = usize::try_from(blocks * BLOCK_SIZE).map_err(io::Error::other)?;
        let mut hashes = vec![0; length];
        file.read_exact_at(&mut hashes, offset)?;
        let pairs = hashes.chunks(BLOCK).zip(above.chunks(HASH));
        for (block, (bytes, hash)) in (0..).zip(pairs) {
            if salted.hash(bytes) != hash {
                let offset = offset + block * BLOCK_SIZE;
                return Err(VerifyError::HashBlock {
                    level,
                    block,
                    offset,
                });
            }
        }
        offset += blocks * BLOCK_SIZE;
        above = hashes;
    }
    verify_data(file, area, &salted, &above)
}

/// The quick way first: the same data gives the same tree. Only when it does not is the block
/// looked for.
fn verify_data(
    file: &File,
    area: &HashArea,
    salted: &Salted,
    hashes: &[u8],
) -> Result<(), VerifyError> {
    if build(file, area.data_blocks, &area.parameters)?.root_hash == area.root_hash {
        return Ok(());
    }
    let mut buffer = vec![0; BLOCK];
    for (block, hash) in (0..area.data_blocks).zip(hashes.chunks(HASH)) {
        let offset = block * BLOCK_SIZE;
        file.read_exact_at(&mut buffer, offset)?;
        if salted.hash(&buffer) != hash {
            return Err(VerifyError::DataBlock { block, offset });
        }
    }
    // The data changed while it was read.
    Err(VerifyError::Io(io::ErrorKind::InvalidData.into()))
}
