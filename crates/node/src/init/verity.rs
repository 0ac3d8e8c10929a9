//! dm-verity: reads the superblock of a hash device and makes the device-mapper table.
//!
//! Source: cryptsetup's `verity_hash.c` for the superblock, the kernel's
//! `admin-guide/device-mapper/verity.rst` for the table.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use super::cmdline::hex;
use crate::sys::{self, DeviceNumber};

/// What the superblock says of the hash tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// 1 for the ordinary format, 0 for that of Chrome OS.
    pub hash_type: u32,
    /// Bytes in a data block.
    pub data_block: u32,
    /// Bytes in a hash block.
    pub hash_block: u32,
    /// Number of data blocks.
    pub blocks: u64,
    /// Name of the hash.
    pub algorithm: String,
    /// Salt put before each block.
    pub salt: Vec<u8>,
}

/// Why a device cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The device could not be read, or the kernel refused the table.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no superblock, or one that makes no sense.
    #[error("`{device}` holds no dm-verity hash tree ({why})")]
    Superblock {
        /// The hash device.
        device: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Reads the 512 bytes of a superblock.
///
/// # Errors
/// What is wrong with it.
pub fn read_superblock(bytes: &[u8; 512]) -> Result<Superblock, &'static str> {
    let u32_at = |at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[at..at + 4]);
        u32::from_le_bytes(word)
    };
    if &bytes[..8] != b"verity\0\0" {
        return Err("no signature");
    }
    if u32_at(8) != 1 {
        return Err("unknown version");
    }
    let (data_block, hash_block) = (u32_at(64), u32_at(68));
    for size in [data_block, hash_block] {
        if !size.is_power_of_two() || !(512..=65536).contains(&size) {
            return Err("bad block size");
        }
    }
    let mut blocks = [0; 8];
    blocks.copy_from_slice(&bytes[72..80]);
    let salt_size = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
    let salt = bytes.get(88..88 + salt_size).ok_or("bad salt size")?;
    let name = &bytes[32..64];
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .ok_or("bad hash name")?;
    let algorithm = std::str::from_utf8(&name[..end]).map_err(|_| "bad hash name")?;
    if algorithm.is_empty()
        || !algorithm
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Err("bad hash name");
    }
    Ok(Superblock {
        hash_type: u32_at(12),
        data_block,
        hash_block,
        blocks: u64::from_le_bytes(blocks),
        algorithm: algorithm.to_owned(),
        salt: salt.to_vec(),
    })
}

/// Parameters of the verity target. `hash_start` is the byte offset of the superblock.
/// A block that does not verify is an I/O error for its reader and a line in the kernel log.
pub fn table(
    superblock: &Superblock,
    data: DeviceNumber,
    hash: DeviceNumber,
    hash_start: u64,
    root_hash: &[u8; 32],
) -> String {
    // The tree begins in the block after the superblock.
    let first = hash_start / u64::from(superblock.hash_block) + 1;
    let salt = match superblock.salt.as_slice() {
        [] => "-".to_owned(),
        salt => hex(salt),
    };
    format!(
        "{} {}:{} {}:{} {} {} {} {first} {} {} {salt}",
        superblock.hash_type,
        data.major,
        data.minor,
        hash.major,
        hash.minor,
        superblock.data_block,
        superblock.hash_block,
        superblock.blocks,
        superblock.algorithm,
        hex(root_hash),
    )
}

/// Makes the verified device `name` over `data`, whose hash tree is at `hash_start` on `hash`.
/// Returns its device file. The root hash itself is checked with the first read.
///
/// # Errors
/// [`VerityError`].
pub fn activate(
    name: &str,
    data: &Path,
    hash: &Path,
    hash_start: u64,
    root_hash: &[u8; 32],
) -> Result<std::path::PathBuf, VerityError> {
    let failed = |what: &str, path: &Path| {
        let what = format!("cannot {what} `{}`", path.display());
        move |source| VerityError::Io { what, source }
    };
    let mut bytes = [0; 512];
    File::open(hash)
        .and_then(|file| file.read_exact_at(&mut bytes, hash_start))
        .map_err(failed("read", hash))?;
    let superblock = read_superblock(&bytes).map_err(|why| VerityError::Superblock {
        device: hash.display().to_string(),
        why,
    })?;
    let table = table(
        &superblock,
        sys::device_number(data).map_err(failed("stat", data))?,
        sys::device_number(hash).map_err(failed("stat", hash))?,
        hash_start,
        root_hash,
    );
    let sectors = superblock
        .blocks
        .saturating_mul(u64::from(superblock.data_block) / 512);
    let made = sys::create_mapped_device(
        name,
        &format!("CRYPT-VERITY-{}-{name}", hex(&root_hash[..16])),
        sectors,
        "verity",
        &table,
    )
    .map_err(|source| VerityError::Io {
        what: format!("the kernel refuses the verity device `{name}` ({table})"),
        source,
    })?;
    Ok(format!("/dev/dm-{}", made.minor).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn superblock() -> [u8; 512] {
        let mut bytes = [0; 512];
        bytes[..8].copy_from_slice(b"verity\0\0");
        bytes[8] = 1;
        bytes[12] = 1;
        bytes[32..38].copy_from_slice(b"sha256");
        bytes[64..68].copy_from_slice(&4096_u32.to_le_bytes());
        bytes[68..72].copy_from_slice(&4096_u32.to_le_bytes());
        bytes[72..80].copy_from_slice(&1000_u64.to_le_bytes());
        bytes[80] = 4;
        bytes[88..92].copy_from_slice(&[1, 2, 3, 0xff]);
        bytes
    }

    #[test]
    fn the_table_is_that_of_the_kernel() {
        let superblock = read_superblock(&superblock()).unwrap();
        let number = |minor| DeviceNumber { major: 254, minor };
        assert_eq!(
            table(&superblock, number(2), number(3), 0, &[0xaa; 32]),
            format!(
                "1 254:2 254:3 4096 4096 1000 1 sha256 {} 010203ff",
                "aa".repeat(32)
            )
        );
        // The tree of a payload is in the same file, after the data.
        assert!(
            table(&superblock, number(2), number(2), 4096 * 1000, &[0; 32])
                .contains(" 1000 1001 sha256 ")
        );
    }

    #[test]
    fn damage_is_refused() {
        for at in [0, 8, 64, 33 - 1] {
            let mut bytes = superblock();
            bytes[at] = b'/';
            assert!(read_superblock(&bytes).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(tail in proptest::collection::vec(any::<u8>(), 504)) {
            let mut bytes = [0; 512];
            bytes[..8].copy_from_slice(b"verity\0\0");
            bytes[8..].copy_from_slice(&tail);
            let _ = read_superblock(&bytes);
        }
    }
}
