//! Opens a payload file: signature first, then everything that can be checked without reading
//! all of it. The file system itself is checked by the kernel, block by block, or by
//! [`crate::verity::verify`].

use std::{fmt::Write as _, io, os::unix::fs::FileExt as _, path::Path};

use ed25519_dalek::{Signature, VerifyingKey};
use fs_err as fs;
use zerocopy::FromBytes as _;

use super::format::{MAGIC, MANIFEST_LIMIT, Manifest, SCHEMA, Trailer};
use crate::verity::{self, BLOCK_SIZE};

/// Why a file is not taken as a payload.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It could not be read.
    #[error("the payload cannot be read")]
    Io(#[from] io::Error),
    /// It does not end as a payload does.
    #[error("`{0}` is no payload, or was cut off: it does not end with a payload's trailer")]
    NoTrailer(String),
    /// The trailer speaks of a place that the file does not have.
    #[error("the trailer of `{0}` is damaged: its manifest would not be inside the file")]
    BadTrailer(String),
    /// No key that is trusted here made the signature.
    #[error("`{name}` is not signed by {}", signers(*keys))]
    Signature {
        /// The file.
        name: String,
        /// How many keys were tried.
        keys: usize,
    },
    /// The manifest is signed, but this version does not understand it.
    #[error("the manifest of `{name}` cannot be understood, it was made by another version")]
    Manifest {
        /// The file.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The manifest is signed, but has another schema.
    #[error("`{name}` has the schema `{found}`, this version reads `{SCHEMA}`")]
    Schema {
        /// The file.
        name: String,
        /// What it has.
        found: String,
    },
    /// The manifest is signed, but the file does not have the sizes that it states.
    #[error("`{0}` does not have the sizes that its manifest states: it was cut off or padded")]
    Sizes(String),
}

fn signers(keys: usize) -> String {
    match keys {
        0 => "anyone: no key is trusted here".to_owned(),
        1 => "the key that is trusted here".to_owned(),
        _ => format!("one of the {keys} keys that are trusted here"),
    }
}

/// A payload whose manifest was signed by a trusted key and fits to its file.
#[derive(Clone, Debug)]
pub struct VerifiedPayload {
    /// What it says.
    pub manifest: Manifest,
    /// Which of the keys made the signature, by its place in the list.
    pub key: usize,
}

/// Reads the manifest of a payload file, if one of `keys` signed it.
///
/// # Errors
/// [`OpenError`] if it has no signature by one of them, or is damaged.
pub fn open(path: &Path, keys: &[VerifyingKey]) -> Result<VerifiedPayload, OpenError> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let name = || {
        path.file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned()
    };
    let Some(trailer_offset) = size.checked_sub(BLOCK_SIZE) else {
        return Err(OpenError::NoTrailer(name()));
    };
    let mut bytes = [0; size_of::<Trailer>()];
    file.file().read_exact_at(&mut bytes, trailer_offset)?;
    let trailer = match Trailer::read_from_bytes(&bytes) {
        Ok(trailer) if trailer.magic == MAGIC && size.is_multiple_of(BLOCK_SIZE) => trailer,
        _ => return Err(OpenError::NoTrailer(name())),
    };
    let (offset, length) = (trailer.manifest_offset.get(), trailer.manifest_size.get());
    let end = offset
        .checked_add(length)
        .map(|end| end.next_multiple_of(BLOCK_SIZE));
    let fits = offset.is_multiple_of(BLOCK_SIZE)
        && length <= MANIFEST_LIMIT
        && end == Some(trailer_offset);
    let (true, Ok(length)) = (fits, usize::try_from(length)) else {
        return Err(OpenError::BadTrailer(name()));
    };
    let mut bytes = vec![0; length];
    file.file().read_exact_at(&mut bytes, offset)?;

    let signature = Signature::from_bytes(&trailer.signature);
    let signed = |key: &VerifyingKey| key.verify_strict(&bytes, &signature).is_ok();
    let Some(key) = keys.iter().position(signed) else {
        let (name, keys) = (name(), keys.len());
        return Err(OpenError::Signature { name, keys });
    };
    let manifest = parse(&bytes).map_err(|error| error.of(name()))?;
    let hashes_end = manifest
        .data_blocks
        .checked_mul(BLOCK_SIZE)
        .filter(|end| *end == manifest.hash_offset && *end <= size)
        .map(|end| end + verity::tree_size(manifest.data_blocks));
    if hashes_end != Some(offset) {
        return Err(OpenError::Sizes(name()));
    }
    Ok(VerifiedPayload { manifest, key })
}

/// Signed bytes that are no manifest of this version.
pub(super) enum Unknown {
    Json(serde_json::Error),
    Schema(String),
}

impl Unknown {
    fn of(self, name: String) -> OpenError {
        match self {
            Self::Json(source) => OpenError::Manifest { name, source },
            Self::Schema(found) => OpenError::Schema { name, found },
        }
    }
}

/// The schema is looked at first, as all else may be different under another one.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Unknown> {
    #[derive(serde::Deserialize)]
    struct Header {
        schema: String,
    }
    let header: Header = serde_json::from_slice(bytes).map_err(Unknown::Json)?;
    if header.schema != SCHEMA {
        return Err(Unknown::Schema(header.schema));
    }
    serde_json::from_slice(bytes).map_err(Unknown::Json)
}

/// A manifest as text, for a person.
pub fn dump(manifest: &Manifest) -> String {
    let mut text = format!(
        "name         {}\nkubernetes   {}\nruntime      {}\npod network  {}\n",
        manifest.name, manifest.kubernetes, manifest.runtime, manifest.cni,
    );
    text.push_str(&verity::dump(&manifest.hash_area()));
    for (title, list) in [
        ("image   ", &manifest.images),
        ("program ", &manifest.programs),
    ] {
        for item in list {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{title}     {item}");
        }
    }
    text
}
