//! Reads images that a user has on disk: OCI layouts (a folder, or a tar archive of one), and
//! the archives that `docker save` writes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lifeboat_archive::{Cache, Content, Digest, Inode, Kind, Tree, TreeError, TreePath, read_tar};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Image, Layer, Referrer, name,
    source::{Source, SourceError, plain, small},
};

/// An image archive that cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be taken as container images", path.display())]
pub struct ReadImagesError {
    /// The archive.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// Why an image archive cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is something else.
    #[error("it has neither `index.json` (OCI layout) nor `manifest.json` (`docker save`)")]
    NoIndex,
    /// A file that another one names is not there.
    #[error("it lacks `{0}`")]
    Missing(String),
    /// A document cannot be understood.
    #[error("its `{file}` cannot be understood: {reason}")]
    Document {
        /// The document.
        file: String,
        /// Why.
        reason: serde_json::Error,
    },
    /// Content is not what its digest says.
    #[error("its `{file}` is damaged: {wanted} was expected, it has {found}")]
    Damaged {
        /// The file.
        file: String,
        /// The expected digest.
        wanted: Digest,
        /// The one it has.
        found: Digest,
    },
    /// A digest that is not SHA-256.
    #[error("`{0}` is no SHA-256 digest")]
    Digest(String),
    /// No name says how pods would ask for it.
    #[error(
        "an image in it has no name; give it one where it is written, such as `docker save \
         example.org/tool:1` or skopeo's `oci-archive:FILE:example.org/tool:1`"
    )]
    NoName,
    /// The name is not one.
    #[error("`{0}` is no name of an image")]
    BadName(String),
    /// It was made for other machines.
    #[error("`{name}` is not for linux/amd64")]
    Platform {
        /// The image.
        name: String,
    },
    /// Numbers of layers differ.
    #[error("`{name}` has {layers} layers, its configuration {diff_ids}")]
    Layers {
        /// The image.
        name: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// A layer's files stand in each other's way.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<std::io::Error> for Reason {
    fn from(error: std::io::Error) -> Self {
        Self::Source(error.into())
    }
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: Annotations,
    platform: Option<Platform>,
}

#[derive(Clone, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "io.containerd.image.name")]
    full: Option<String>,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    reference: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// An entry of `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The digest by which a change of an archive is seen: of the file, or of a layout's index,
/// which names all else by digest.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn fingerprint(path: &Path) -> Result<Digest, ReadImagesError> {
    let read = || -> Result<Digest, Reason> {
        if !fs_err::metadata(path)?.is_dir() {
            return Ok(Digest::of_file(path)?.0);
        }
        let index = path.join("index.json");
        if !index.exists() {
            return Err(Reason::NoIndex);
        }
        Ok(Digest::of_file(&index)?.0)
    };
    read().map_err(|reason| ReadImagesError {
        path: path.to_owned(),
        reason,
    })
}

/// All images of an archive.
///
/// # Errors
/// [`ReadImagesError`] if it is something else, damaged, or has no image for this platform.
pub(crate) fn read(
    cache: &Cache,
    path: &Path,
    fingerprint: &Digest,
) -> Result<Vec<Image>, ReadImagesError> {
    let read = || -> Result<Vec<Image>, Reason> {
        let source = Source::open(cache, path, fingerprint)?;
        let reader = Reader { cache, source };
        if let Some(content) = reader.source.find("index.json") {
            let index: Index = document("index.json", &small(&content)?)?;
            let images = index.manifests.iter().map(|entry| reader.image(entry));
            return images.collect();
        }
        let content = reader.source.find("manifest.json").ok_or(Reason::NoIndex)?;
        let saved: Vec<Saved> = document("manifest.json", &small(&content)?)?;
        saved.iter().map(|saved| reader.saved(saved)).collect()
    };
    read().map_err(|reason| ReadImagesError {
        path: path.to_owned(),
        reason,
    })
}

fn document<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, Reason> {
    serde_json::from_slice(bytes).map_err(|reason| Reason::Document {
        file: file.to_owned(),
        reason,
    })
}

fn digest(text: &str) -> Result<Digest, Reason> {
    let digits = text
        .strip_prefix("sha256:")
        .and_then(|text| text.parse().ok());
    digits.ok_or_else(|| Reason::Digest(text.to_owned()))
}

struct Reader<'a> {
    cache: &'a Cache,
    source: Source,
}

impl Reader<'_> {
    fn file(&self, path: &str) -> Result<Content, Reason> {
        self.source
            .find(path)
            .ok_or_else(|| Reason::Missing(path.to_owned()))
    }

    /// A document by its digest, checked.
    fn blob(&self, text: &str) -> Result<(String, Arc<[u8]>), Reason> {
        let wanted = digest(text)?;
        let file = format!("blobs/sha256/{wanted}");
        let bytes = small(&self.file(&file)?)?;
        let found = Digest::of(&bytes);
        if found != wanted {
            return Err(Reason::Damaged {
                file,
                wanted,
                found,
            });
        }
        Ok((file, bytes))
    }

    /// An image of an OCI layout.
    fn image(&self, entry: &Descriptor) -> Result<Image, Reason> {
        let annotations = &entry.annotations;
        let given = annotations.full.as_ref().or(annotations.reference.as_ref());
        let given = given.ok_or(Reason::NoName)?;
        let name = name::complete(given).ok_or_else(|| Reason::BadName(given.clone()))?;
        let (file, bytes) = self.blob(&entry.digest)?;
        let is_index = entry.media_type.contains("index") || entry.media_type.contains("list");
        if !is_index {
            return self.manifest(name, &file, &entry.media_type, &bytes);
        }
        let index: Index = document(&file, &bytes)?;
        let fits = |entry: &&Descriptor| {
            let platform = entry.platform.as_ref();
            platform
                .is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
        };
        let Some(chosen) = index.manifests.iter().find(fits) else {
            return Err(Reason::Platform { name });
        };
        let (file, manifest) = self.blob(&chosen.digest)?;
        let mut image = self.manifest(name, &file, &chosen.media_type, &manifest)?;
        image.referrer = Some(Referrer {
            media_type: entry.media_type.clone(),
            bytes: bytes.to_vec(),
        });
        Ok(image)
    }

    fn manifest(
        &self,
        name: String,
        file: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Image, Reason> {
        let manifest: OciManifest = document(file, bytes)?;
        let (file, config) = self.blob(&manifest.config.digest)?;
        let diff_ids = diff_ids(&name, &document(&file, &config)?, manifest.layers.len())?;
        let mut layers = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let wanted = digest(&layer.digest)?;
            let file = format!("blobs/sha256/{wanted}");
            layers.push(self.layer(&file, Some(wanted), diff_id)?);
        }
        Ok(Image {
            names: vec![name],
            layers,
            media_type: media_type.to_owned(),
            manifest: bytes.to_vec(),
            config: config.to_vec(),
            referrer: None,
        })
    }

    /// An image of `docker save`.
    fn saved(&self, saved: &Saved) -> Result<Image, Reason> {
        let given = saved.repo_tags.as_deref().unwrap_or_default();
        let names = given
            .iter()
            .map(|given| name::complete(given).ok_or_else(|| Reason::BadName(given.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let first = names.first().ok_or(Reason::NoName)?;
        let config = small(&self.file(&saved.config)?)?;
        let parsed = document(&saved.config, &config)?;
        let diff_ids = diff_ids(first, &parsed, saved.layers.len())?;
        let layers = saved.layers.iter().zip(diff_ids);
        let layers = layers
            .map(|(file, diff_id)| self.layer(file, None, diff_id))
            .collect::<Result<_, _>>()?;
        let mut image = Image::with_config("", layers, config.to_vec());
        image.names = names;
        Ok(image)
    }

    /// A layer of a file whose digest may be known.
    fn layer(
        &self,
        file: &str,
        wanted: Option<Digest>,
        diff_id: Digest,
    ) -> Result<Arc<Layer>, Reason> {
        let content = self.file(file)?;
        let found = Digest::of_reader(content.open()?)?.0;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            let file = file.to_owned();
            return Err(Reason::Damaged {
                file,
                wanted,
                found,
            });
        }
        let plain = plain(self.cache, &content, &found)?;
        let found = Digest::of_reader(plain.open()?)?.0;
        let Content::Slice {
            file: path, size, ..
        } = plain
        else {
            return Err(Reason::Missing(file.to_owned()));
        };
        if found != diff_id {
            let (file, wanted) = (format!("{file} (uncompressed)"), diff_id);
            return Err(Reason::Damaged {
                file,
                wanted,
                found,
            });
        }
        let tree = whiteouts(&read_tar(&path).map_err(SourceError::from)?)?;
        Ok(Arc::new(Layer {
            tree,
            diff_id,
            size,
        }))
    }
}

fn diff_ids(name: &str, config: &Config, layers: usize) -> Result<Vec<Digest>, Reason> {
    let name = name.to_owned();
    if config.os != "linux" || config.architecture != "amd64" {
        return Err(Reason::Platform { name });
    }
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != layers {
        let diff_ids = diff_ids.len();
        return Err(Reason::Layers {
            name,
            layers,
            diff_ids,
        });
    }
    diff_ids.iter().map(|text| digest(text)).collect()
}

/// Turns the marks of removed files (OCI image specification, layer, "Whiteouts") into those of
/// overlayfs: a character device 0:0, and an attribute of folders that hide what is below.
fn whiteouts(layer: &Tree) -> Result<Tree, TreeError> {
    const PREFIX: &[u8] = b".wh.";
    const OPAQUE: &[u8] = b".wh..wh..opq";
    let mut tree = layer.clone();
    let marks: Vec<(TreePath, TreePath)> = layer
        .iter()
        .filter_map(|(path, _, _)| {
            let start = path
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(0, |at| at + 1);
            let name = path[start..].strip_prefix(PREFIX)?;
            let hidden = [&path[..start], name].concat();
            Some((path.to_vec(), hidden))
        })
        .collect();
    for (mark, hidden) in marks {
        tree.remove(&mark);
        if mark.ends_with(OPAQUE) {
            let folder = mark.len() - OPAQUE.len();
            let folder = mark[..folder].strip_suffix(b"/").unwrap_or_default();
            if let Some(inode) = tree.get_mut(folder) {
                inode
                    .xattrs
                    .insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
            }
        } else if !hidden.ends_with(b"/") && !mark.windows(8).any(|part| part == b".wh..wh.") {
            let removed = Kind::CharDevice { major: 0, minor: 0 };
            // In a layer that removes and adds the same path, the addition counts.
            if tree.get(&hidden).is_none() {
                tree.insert(&hidden, Inode::new(removed, 0))?;
            }
        }
    }
    Ok(tree)
}
