//! Container images by the OCI image specification, as trees: layers, configuration, manifest.
//!
//! Layers are described by the uncompressed archive that [`write_tar`] makes of their tree. The
//! archive itself is never stored: a payload has its images unpacked.

mod name;
mod reader;
mod source;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    sync::Arc,
};

use lifeboat_archive::{Content, Digest, Kind, TarError, Tree, write_tar};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use reader::{ReadImagesError, Reason};
pub use source::SourceError;
pub(crate) use {
    name::complete,
    reader::{fingerprint, read},
};

/// The media type of an image's manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The time in all configurations that are made here.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// A layer, as overlayfs wants it: whiteouts are character devices 0:0.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its files.
    pub tree: Tree,
    /// The digest of its uncompressed archive.
    pub diff_id: Digest,
    /// Bytes of that.
    pub size: u64,
}

impl Layer {
    /// A layer of a tree; reads all of its content.
    ///
    /// # Errors
    /// If content cannot be read.
    pub fn new(tree: Tree) -> Result<Self, TarError> {
        let mut hasher = HashingWriter::default();
        write_tar(&tree, &mut hasher)?;
        Ok(Self {
            tree,
            diff_id: Digest(hasher.hasher.finalize().into()),
            size: hasher.size,
        })
    }

    /// Bytes on disk and files, as the runtime reports them.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let mut inodes = std::collections::BTreeMap::new();
        for (_, id, inode) in self.tree.iter() {
            let size = match &inode.kind {
                Kind::File(content) => content.size().next_multiple_of(4096),
                _ => 0,
            };
            inodes.insert(id, size);
        }
        (inodes.values().sum(), inodes.len() as u64)
    }
}

#[derive(Default)]
struct HashingWriter {
    hasher: Sha256,
    size: u64,
}

impl Write for HashingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An image: its names, layers from the lowest, and the two documents about it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full names with a tag, such as `registry.k8s.io/pause:3.10.2`.
    pub names: Vec<String>,
    /// Its layers; one layer of several images is one allocation.
    pub layers: Vec<Arc<Layer>>,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest as JSON.
    pub manifest: Vec<u8>,
    /// The configuration as JSON.
    pub config: Vec<u8>,
    /// The index by which the manifest was found, if there is one.
    pub referrer: Option<Referrer>,
}

/// An index of images for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its media type.
    pub media_type: String,
    /// The index as JSON.
    pub bytes: Vec<u8>,
}

/// What of an image's configuration is not the same for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// The program and its first arguments.
    pub entrypoint: &'a [&'a str],
    /// `USER:GROUP` in numbers; root if empty.
    pub user: &'a str,
}

impl Image {
    /// An image of layers that were made here.
    pub fn new(name: &str, layers: Vec<Arc<Layer>>, settings: Settings<'_>) -> Self {
        let mut config = json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
        });
        if !settings.entrypoint.is_empty() {
            config["Entrypoint"] = json!(settings.entrypoint);
        }
        if !settings.user.is_empty() {
            config["User"] = json!(settings.user);
        }
        let diff_ids: Vec<String> = layers.iter().map(|layer| named(&layer.diff_id)).collect();
        let config = encode(&json!({
            "created": CREATED,
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }));
        Self::with_config(name, layers, config)
    }

    /// An image of layers and a configuration that names them.
    pub fn with_config(name: &str, layers: Vec<Arc<Layer>>, config: Vec<u8>) -> Self {
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|layer| descriptor(LAYER, &layer.diff_id, layer.size))
            .collect();
        let manifest = encode(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &Digest::of(&config), config.len() as u64),
            "layers": descriptors,
        }));
        Self {
            names: vec![name.to_owned()],
            layers,
            media_type: MANIFEST.to_owned(),
            manifest,
            config,
            referrer: None,
        }
    }

    /// For each layer the digest of all layers up to it (OCI image specification, config,
    /// "Layer `ChainID`").
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            chain.push(match chain.last() {
                None => layer.diff_id,
                Some(below) => Digest::of(format!("{} {}", named(below), named(&layer.diff_id))),
            });
        }
        chain
    }
}

/// A digest as OCI writes it.
pub(crate) fn named(digest: &Digest) -> String {
    format!("sha256:{digest}")
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": named(digest), "size": size })
}

fn encode(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A file of the build machine, as content of a tree.
pub(crate) fn content(path: &std::path::Path) -> io::Result<Content> {
    Ok(Content::Slice {
        file: Arc::from(path),
        offset: 0,
        size: fs_err::metadata(path)?.len(),
    })
}
