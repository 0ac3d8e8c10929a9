//! gzip, which cloud-init undoes wherever it meets it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// The largest content.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Whether bytes begin as gzip does.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// What was compressed; anything else is given back.
pub(super) fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!(
            "the file has {} bytes; at most {MOST_BYTES} are read",
            bytes.len()
        ));
    }
    if !is_gzip(bytes) {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(MOST_BYTES as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| format!("begins as gzip does, and cannot be unpacked: {error}"))?;
    if out.len() > MOST_BYTES {
        return Err(format!("unpacks to more than {MOST_BYTES} bytes"));
    }
    Ok(out)
}
