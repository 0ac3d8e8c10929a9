//! Reads a store as the library does, and checks that its parts fit together.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use lifeboat_archive::Digest;
use serde::de::DeserializeOwned;

use super::format::{
    IMAGES, ImageRecord, LAYERS, LINKS, LayerRecord, MANIFEST, OVERLAY, file_name, layer_id,
};
use crate::oci::named;

/// A store whose parts fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its images, in the order of their ids.
    pub images: Vec<StoredImage>,
}

/// An image of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// The digest of its configuration.
    pub id: Digest,
    /// The names that pods ask for it by.
    pub names: Vec<String>,
    /// The folders of its layers' files, the topmost first: what a container is mounted from.
    pub layers: Vec<PathBuf>,
}

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadStoreError {
    /// A file could not be read; the source names it.
    #[error("the image store cannot be read")]
    Io(#[from] io::Error),
    /// A list is not what the library writes.
    #[error("`{file}` of the image store cannot be understood")]
    Document {
        /// The list.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// What is said in one place is not so in another.
    #[error("the image store does not fit together: {0}")]
    Unfit(String),
}

fn unfit<T>(what: impl Into<String>) -> Result<T, ReadStoreError> {
    Err(ReadStoreError::Unfit(what.into()))
}

/// Reads the store in the folder `root`.
///
/// # Errors
/// [`ReadStoreError`] with the first part that does not fit.
pub fn read(root: &Path) -> Result<Store, ReadStoreError> {
    let layers: Vec<LayerRecord> = list(root, &format!("{LAYERS}/layers"))?;
    let images: Vec<ImageRecord> = list(root, &format!("{IMAGES}/images"))?;
    let mut folders: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    for layer in &layers {
        let below = match &layer.parent {
            None => Vec::new(),
            Some(parent) => match folders.get(parent.as_str()) {
                Some(below) => below.clone(),
                None => return unfit(format!("layer {} stands on an unknown one", layer.id)),
            },
        };
        let mounted = check_layer(root, layer, &below)?;
        if folders.insert(&layer.id, mounted).is_some() {
            return unfit(format!("layer {} is there twice", layer.id));
        }
    }
    let mut taken = BTreeSet::new();
    let mut stored = Vec::new();
    for image in &images {
        for name in &image.names {
            if !taken.insert(name) {
                return unfit(format!("two images are called `{name}`"));
            }
        }
        let layers = match &image.layer {
            None => Vec::new(),
            Some(top) => match folders.get(top.as_str()) {
                Some(layers) => layers.clone(),
                None => return unfit(format!("image {} names an unknown layer", image.id)),
            },
        };
        stored.push(StoredImage {
            id: check_documents(root, image)?,
            names: image.names.clone(),
            layers,
        });
    }
    stored.sort_by_key(|image| image.id);
    Ok(Store { images: stored })
}

/// A list whose lock is there.
fn list<T: DeserializeOwned>(root: &Path, name: &str) -> Result<Vec<T>, ReadStoreError> {
    fs::File::open(root.join(format!("{name}.lock")))?;
    let file = format!("{name}.json");
    let bytes = fs::read(root.join(&file))?;
    serde_json::from_slice(&bytes).map_err(|source| ReadStoreError::Document { file, source })
}

/// The folders that a layer is mounted from, its own first. `below` is the same of its parent.
fn check_layer(
    root: &Path,
    layer: &LayerRecord,
    below: &[PathBuf],
) -> Result<Vec<PathBuf>, ReadStoreError> {
    let id = &layer.id;
    let diff_id = digest(&layer.diff_digest)?;
    if layer_id(layer.parent.as_deref(), &diff_id) != *id {
        return unfit(format!("layer {id} has the id of another"));
    }
    let overlay = root.join(OVERLAY);
    let folder = overlay.join(id);
    let follow = |name: &str| -> Result<PathBuf, ReadStoreError> {
        // `l/NAME`, whose target is relative to the folder of links.
        let target = fs::read_link(overlay.join(name))?;
        let id = target.parent().and_then(Path::file_name);
        match (target.strip_prefix(".."), id) {
            (Ok(_), Some(id)) if target == Path::new("..").join(id).join("diff") => {
                Ok(overlay.join(id).join("diff"))
            }
            _ => unfit(format!("`{name}` leads to {}", target.display())),
        }
    };
    let own = follow(&format!(
        "{LINKS}/{}",
        fs::read_to_string(folder.join("link"))?
    ))?;
    if own != folder.join("diff") || !fs::symlink_metadata(&own)?.is_dir() {
        return unfit(format!("the short name of layer {id} is another's"));
    }
    let lower = match fs::read_to_string(folder.join("lower")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        text => text?.split(':').map(follow).collect::<Result<_, _>>()?,
    };
    if lower != below {
        return unfit(format!("layer {id} is mounted on others than it stands on"));
    }
    Ok([vec![own], lower].concat())
}

/// The image's id, which its configuration's digest must be.
fn check_documents(root: &Path, image: &ImageRecord) -> Result<Digest, ReadStoreError> {
    let folder = root.join(IMAGES).join(&image.id);
    let mut found = BTreeMap::new();
    for name in &image.data_names {
        let bytes = fs::read(folder.join(file_name(name)))?;
        let is = named(&Digest::of(&bytes));
        if image.data_sizes.get(name) != Some(&(bytes.len() as u64))
            || image.data_digests.get(name) != Some(&is)
        {
            return unfit(format!("`{name}` of image {} is another's", image.id));
        }
        found.insert(name.as_str(), is);
    }
    let id = digest(&format!("sha256:{}", image.id))?;
    if found.get(named(&id).as_str()) != Some(&named(&id)) {
        return unfit(format!("image {} lacks its configuration", image.id));
    }
    if found.get(MANIFEST) != Some(&image.digest) {
        return unfit(format!("image {} lacks its manifest", image.id));
    }
    Ok(id)
}

fn digest(text: &str) -> Result<Digest, ReadStoreError> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.parse()
        .map_err(|_| ReadStoreError::Unfit(format!("`{text}` is no SHA-256 digest")))
}
