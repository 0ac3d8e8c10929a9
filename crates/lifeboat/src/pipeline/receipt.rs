//! The early way out of a build for which nothing changed.
//!
//! A build that is done leaves a receipt in the cache: what it was made from and what it made.
//! The next one with the same definition compares both with what is there now, and if all is
//! the same it need not look at a package. Whatever decides the output is compared: the `image`
//! part of the definition, the files it names, the lock, this program (with all data that is in
//! it), the key that signs, and the Go toolchain. Nothing is taken for checked that was not:
//! what is newly used is used by the long way, with its digests and signatures.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use fs_err as fs;
use lifeboat_archive::{Cache, Digest, Lock};
use lifeboat_image::Manifest;
use lifeboat_payload::{go::Toolchain, key};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Built,
    stamp::{Seen, Stamp},
};
use crate::{context::Context, definition::Loaded};

/// Receipts among the derived entries of the cache.
pub const KIND: &str = "receipt";
/// Counts up when a receipt, or what a build of the same inputs makes, changes.
const FORMAT: &[u8] = b"receipt 1";
/// After a day the long way is gone once, which marks all that it needs as used for the
/// collector of the cache.
const LIFE: Duration = Duration::from_hours(24);
/// Folders of container images are not deeper, unless a link leads around in them.
const DEPTH: usize = 8;

/// What a build was made from, and what it made.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Receipt {
    /// What is no file.
    settings: Digest,
    /// Files by their content.
    inputs: Vec<Seen>,
    /// The lock when the build was done.
    lock: Digest,
    /// When it was done.
    made: SystemTime,
    folder: PathBuf,
    outputs: Vec<Output>,
    id: String,
    kubernetes: String,
    tools: PathBuf,
    kubectl: PathBuf,
}

/// An artifact in the cache.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Output {
    name: String,
    stamp: Stamp,
    /// As the manifest says, for what has one.
    sha256: Option<Digest>,
}

/// A build at its beginning: the state of its inputs then.
#[derive(Debug)]
pub struct Visit {
    cache: Cache,
    place: PathBuf,
    settings: Digest,
    inputs: Vec<Seen>,
    earlier: Option<Receipt>,
}

impl Visit {
    /// Looks at all inputs but the lock. None if one of them cannot be read: the long way says
    /// which.
    pub fn begin(context: &Context, loaded: &Loaded) -> Option<Self> {
        let cache = context.cache().ok()?;
        let config = context.config_folder().ok()?;
        let signer = key::signing_key(&config).ok()?.verifying_key().to_bytes();
        let go = Toolchain::find(None).map(|toolchain| toolchain.version().to_owned());
        let image = serde_json::to_vec(&loaded.definition.image).ok()?;
        let settings = Digest::of_parts([
            FORMAT,
            &image,
            loaded.folder.as_os_str().as_encoded_bytes(),
            &signer,
            go.unwrap_or_default().as_bytes(),
        ]);
        let file = loaded.file.as_ref().unwrap_or(&loaded.folder);
        let place = Digest::of_parts([
            FORMAT,
            file.as_os_str().as_encoded_bytes(),
            config.as_os_str().as_encoded_bytes(),
        ]);
        let place = cache.derived_path(KIND, &place);
        Self::at(cache, place, settings, loaded)
    }

    fn at(cache: Cache, place: PathBuf, settings: Digest, loaded: &Loaded) -> Option<Self> {
        let earlier: Option<Receipt> = read(&place);
        let known = earlier.as_ref().map_or(&[][..], |earlier| &earlier.inputs);
        let inputs = look(&named(loaded).ok()?, known).ok()?;
        Some(Self {
            cache,
            place,
            settings,
            inputs,
            earlier,
        })
    }

    /// What the last build made, if this one would make the same and all of it is still there.
    pub fn recall(&self, loaded: &Loaded, lock_file: &Path, now: SystemTime) -> Option<Built> {
        let receipt = self.earlier.as_ref()?;
        let fresh = now
            .duration_since(receipt.made)
            .is_ok_and(|age| age <= LIFE);
        let same = receipt.settings == self.settings && same_content(&receipt.inputs, &self.inputs);
        if !fresh || !same || digest_of(lock_file)? != receipt.lock {
            return None;
        }
        let Checked { whole, outputs } = check(receipt)?;
        if !whole {
            // Its files are linked to wherever the user wanted them, and one was written to. If
            // they cannot be removed, the long way ends no worse than without a receipt.
            let _ = discard(&self.cache, receipt);
            return None;
        }
        let tools = super::tools_at(&receipt.tools)?;
        if !receipt.kubectl.is_file() {
            return None;
        }
        for path in [&receipt.folder, &receipt.tools] {
            // Only the collector reads it.
            if let Ok(folder) = fs::File::open(path) {
                let _ = folder.set_modified(now);
            }
        }
        if self.inputs != receipt.inputs || outputs.is_some() {
            let again = Receipt {
                inputs: self.inputs.clone(),
                outputs: outputs.unwrap_or_else(|| receipt.outputs.clone()),
                ..receipt.clone()
            };
            // Costs the next one a look at the same files.
            let _ = write(&self.place, &again);
        }
        Some(Built {
            disk: receipt.folder.join("lifeboat.raw"),
            id: receipt.id.clone(),
            kubernetes: receipt.kubernetes.clone(),
            tools,
            kubectl: receipt.kubectl.clone(),
            ports: super::ports(&loaded.definition),
            expected: super::expected(&loaded.definition),
            made: Vec::new(),
            folder: receipt.folder.clone(),
        })
    }

    /// Leaves a receipt of a build that used `lock`, unless an input changed meanwhile.
    ///
    /// # Errors
    /// If something cannot be read or written; the build is whole all the same.
    pub fn remember(
        &self,
        loaded: &Loaded,
        lock: &Lock,
        lock_file: &Path,
        built: &Built,
    ) -> Result<()> {
        let inputs = look(&named(loaded)?, &self.inputs)?;
        let still = |(now, then): (&Seen, &Seen)| now.digest == then.digest;
        let same = inputs.len() == self.inputs.len()
            && same_content(&inputs, &self.inputs)
            && inputs.iter().zip(&self.inputs).all(still);
        let text = fs::read(lock_file)?;
        let parsed = Lock::parse(lock_file, &String::from_utf8_lossy(&text))?;
        if !same || parsed != *lock {
            return Ok(());
        }
        let manifest = fs::read(built.folder.join("manifest.json"))?;
        let manifest: Manifest = serde_json::from_slice(&manifest)?;
        let mut outputs = Vec::new();
        for entry in fs::read_dir(&built.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let artifact = manifest.artifacts.iter().find(|one| one.name == name);
            outputs.push(Output {
                stamp: Stamp::of(&entry.metadata()?),
                sha256: artifact.and_then(|artifact| artifact.sha256),
                name,
            });
        }
        let receipt = Receipt {
            settings: self.settings,
            inputs,
            lock: Digest::of(text),
            made: SystemTime::now(),
            folder: built.folder.clone(),
            outputs,
            id: built.id.clone(),
            kubernetes: built.kubernetes.clone(),
            tools: built.tools.root().to_owned(),
            kubectl: built.kubectl.clone(),
        };
        Ok(write(&self.place, &receipt)?)
    }
}

/// Every file that a build reads besides the lock and what is in the cache.
fn named(loaded: &Loaded) -> io::Result<Vec<PathBuf>> {
    let image = &loaded.definition.image;
    let mut files = vec![std::env::current_exe()?];
    let sources = image.files.iter().filter_map(|file| file.source.as_ref());
    let keys = image
        .repositories()
        .iter()
        .filter(|repository| repository.inline_key().is_none())
        .map(|repository| &repository.key);
    for path in sources.chain(keys).chain(&image.container_images) {
        add_files(&loaded.folder.join(path.as_str()), DEPTH, &mut files)?;
    }
    Ok(files)
}

/// Adds a file, or all files of a folder in the order of their names.
fn add_files(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Err(io::Error::other("its folders are too deep"));
    }
    let mut inside = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    inside.sort();
    inside
        .iter()
        .try_for_each(|path| add_files(path, depth - 1, files))
}

fn look(paths: &[PathBuf], known: &[Seen]) -> io::Result<Vec<Seen>> {
    paths
        .iter()
        .map(|path| Seen::look(path, known.iter().find(|seen| seen.path == *path)))
        .collect()
}

fn same_content(left: &[Seen], right: &[Seen]) -> bool {
    let content = |seen: &Seen| (seen.path.clone(), seen.digest);
    left.iter().map(content).eq(right.iter().map(content))
}

fn digest_of(path: &Path) -> Option<Digest> {
    fs::read(path).ok().map(Digest::of)
}

/// What became of the artifacts.
struct Checked {
    /// Whether they are what the build made.
    whole: bool,
    /// Their new stamps, if only those changed.
    outputs: Option<Vec<Output>>,
}

/// Compares the artifacts with the receipt; none if one is gone.
fn check(receipt: &Receipt) -> Option<Checked> {
    let mut outputs = receipt.outputs.clone();
    let mut moved = false;
    for output in &mut outputs {
        let path = receipt.folder.join(&output.name);
        let stamp = Stamp::of(&fs::metadata(&path).ok()?);
        if stamp.same_content(&output.stamp) {
            continue;
        }
        // The cache itself touches what it shares between images.
        if output.sha256.is_none()
            || Digest::of_file(&path).ok().map(|found| found.0) != output.sha256
        {
            return Some(Checked {
                whole: false,
                outputs: None,
            });
        }
        output.stamp = stamp;
        moved = true;
    }
    Some(Checked {
        whole: true,
        outputs: moved.then_some(outputs),
    })
}

/// Removes artifacts that were changed, and what they are linked to in the cache, so that they
/// are made again.
fn discard(cache: &Cache, receipt: &Receipt) -> Result<()> {
    let stamp = |path: &Path| fs::metadata(path).ok().map(|found| Stamp::of(&found));
    let changed: Vec<Stamp> = receipt
        .outputs
        .iter()
        .filter_map(|output| {
            let now = stamp(&receipt.folder.join(&output.name))?;
            (!now.same_content(&output.stamp)).then_some(now)
        })
        .collect();
    let is_changed = |path: &Path| {
        stamp(path).is_some_and(|found| changed.iter().any(|one| one.same_file(&found)))
    };
    for kind in ["root", "uki", "initrd"] {
        for entry in cache.entries_of(kind)? {
            let inside = receipt.outputs.iter().map(|output| &output.name);
            let hit = is_changed(&entry.path)
                || inside
                    .clone()
                    .any(|name| is_changed(&entry.path.join(name)));
            if hit {
                cache.remove(&entry)?;
            }
        }
    }
    fs::remove_dir_all(&receipt.folder)?;
    Ok(())
}

/// A document that was written by [`write`]; none if there is none, or an older one.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a document, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec(document)?)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests;
