//! Header fields shared by reader and writer (POSIX.1-2008, `pax`, "ustar Interchange Format").

use std::io;

use crate::TreeError;

/// Everything in an archive is padded to this many bytes.
pub(super) const BLOCK: usize = 512;
/// An extended header longer than this is refused.
pub(super) const MAX_EXTENDED: u64 = 1 << 20;
/// Longer paths and link targets are refused (Linux' `PATH_MAX`).
pub(super) const MAX_PATH: usize = 4096;

/// Where a field is in the header block.
pub(super) type Field = std::ops::Range<usize>;
pub(super) const NAME: Field = 0..100;
pub(super) const MODE: Field = 100..108;
pub(super) const UID: Field = 108..116;
pub(super) const GID: Field = 116..124;
pub(super) const SIZE: Field = 124..136;
pub(super) const MTIME: Field = 136..148;
pub(super) const CHECKSUM: Field = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Field = 157..257;
pub(super) const MAGIC: Field = 257..265;
pub(super) const MAJOR: Field = 329..337;
pub(super) const MINOR: Field = 337..345;
pub(super) const PREFIX: Field = 345..500;

/// An archive that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading or writing failed.
    #[error("the archive cannot be read or written")]
    Io(#[from] io::Error),
    /// The archive ends in the middle.
    #[error("the archive is cut off at byte {0}")]
    Truncated(u64),
    /// A header that makes no sense.
    #[error("the header at byte {offset} is damaged: {reason}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A member of a kind that is not supported.
    #[error("member `{path}` is {what}, which is not supported")]
    Unsupported {
        /// The member.
        path: String,
        /// Its kind.
        what: &'static str,
    },
    /// A member that would lie outside of the tree.
    #[error("member `{0}` points out of the archive's folder")]
    Outside(String),
    /// A member that does not fit to those before it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file's content has another length than its tree says.
    #[error("the content of `{path}` has become shorter than {size} bytes")]
    Shrunk {
        /// The file.
        path: String,
        /// The bytes it should have.
        size: u64,
    },
}

/// A number: octal digits, or GNU's big-endian binary with the top bit set.
pub(super) fn number(field: &[u8]) -> Result<i64, &'static str> {
    const BAD: &str = "a field is no number";
    if let Some(first @ (0x80 | 0xff)) = field.first() {
        let negative = *first == 0xff;
        return field[1..]
            .iter()
            .try_fold(if negative { -1_i64 } else { 0 }, |value, byte| {
                value.checked_mul(256)?.checked_add(i64::from(*byte))
            })
            .ok_or("a number is too large");
    }
    let digits = field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .trim_ascii();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or("a number is too large"),
        _ => Err(BAD),
    })
}

/// Writes octal digits with a final NUL; false if they do not fit.
pub(super) fn octal(field: &mut [u8], value: u64) -> bool {
    let digits = format!("{value:0width$o}", width = field.len() - 1);
    let fits = digits.len() < field.len();
    if fits {
        field[..digits.len()].copy_from_slice(digits.as_bytes());
    }
    fits
}

/// The sum of all bytes with the checksum field taken as blanks.
pub(super) fn checksum(header: &[u8; BLOCK]) -> u32 {
    let field: u32 = header[CHECKSUM].iter().copied().map(u32::from).sum();
    header.iter().copied().map(u32::from).sum::<u32>() - field + 8 * u32::from(b' ')
}

/// A NUL-terminated text field.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}
