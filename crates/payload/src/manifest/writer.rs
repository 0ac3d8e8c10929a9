//! Turns an erofs image into a payload file.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
};

use ed25519_dalek::{Signer as _, SigningKey};
use uuid::Uuid;
use zerocopy::IntoBytes as _;

use super::format::{MAGIC, Manifest, SCHEMA, Trailer};
use crate::verity::{self, BLOCK_SIZE, Parameters};

/// What of a manifest does not follow from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// See [`Manifest`], as for all fields.
    pub name: String,
    /// Kubernetes' version.
    pub kubernetes: String,
    /// The container runtime.
    pub runtime: String,
    /// The pod network.
    pub cni: String,
    /// The pause image.
    pub sandbox_image: String,
    /// Container images.
    pub images: Vec<String>,
    /// Programs in `bin/`.
    pub programs: Vec<String>,
}

/// Adds hash tree, manifest and trailer to a file that holds a file system. The same file,
/// description and key give the same bytes.
///
/// # Errors
/// If the file cannot be read or written.
pub fn seal(mut file: &File, description: Description, key: &SigningKey) -> io::Result<Manifest> {
    let area = verity::append(file, &Parameters::of(&description.name))?;
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        name: description.name,
        kubernetes: description.kubernetes,
        runtime: description.runtime,
        cni: description.cni,
        root_hash: area.root_hash,
        salt: lifeboat_archive::Digest(area.parameters.salt),
        uuid: Uuid::from_bytes(area.parameters.uuid),
        data_blocks: area.data_blocks,
        hash_offset: area.offset,
        sandbox_image: description.sandbox_image,
        images: description.images,
        programs: description.programs,
    };
    let mut bytes = serde_json::to_vec_pretty(&manifest)?;
    bytes.push(b'\n');
    let offset = file.seek(SeekFrom::End(0))?;
    let trailer = Trailer {
        magic: MAGIC,
        manifest_offset: offset.into(),
        manifest_size: (bytes.len() as u64).into(),
        signature: key.sign(&bytes).to_bytes(),
    };
    file.write_all(&bytes)?;
    let end = (offset + bytes.len() as u64).next_multiple_of(BLOCK_SIZE);
    file.seek(SeekFrom::Start(end))?;
    file.write_all(trailer.as_bytes())?;
    file.set_len(end + BLOCK_SIZE)?;
    Ok(manifest)
}
