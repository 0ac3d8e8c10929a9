//! The content-addressed cache, shared by all processes of a user.
//!
//! Two kinds of things live here. *Blobs* are files named by the SHA-256 of their content
//! (packages, indices). *Derived* entries are files or folders made from blobs, named by the
//! digest of all their inputs (unpacked packages, base layers, images). Both are written under
//! a temporary name and renamed when whole, so what has its final name is complete, whatever
//! was killed. A derived entry is made under an exclusive lock: a second process waits for the
//! first and then finds the entry.

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use crate::Digest;

/// A cache folder.
#[derive(Clone)]
pub struct Cache {
    root: PathBuf,
    waiting: Option<Arc<Waiting>>,
}

/// Told the kind of a derived entry that another process is making.
type Waiting = dyn Fn(&str) + Send + Sync;

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// What can go wrong with the cache itself.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// An operation on a file of the cache failed; the source names the file.
    #[error("the cache cannot be used")]
    Io(#[from] io::Error),
    /// No folder for the cache is known.
    #[error("neither LIFEBOAT_CACHE, XDG_CACHE_HOME nor HOME says where the cache is")]
    NoFolder,
    /// Content differs from the digest it should have.
    #[error("{what} has SHA-256 {found}, {wanted} was expected")]
    Mismatch {
        /// What was to be stored.
        what: String,
        /// The expected digest.
        wanted: Digest,
        /// The digest of what came.
        found: Digest,
    },
}

/// One file or folder of the cache, for `lifeboat cache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `blobs`, or the kind of a derived entry.
    pub kind: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes on disk.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
}

impl Cache {
    /// Opens the cache at `root`, making the folder when it is not there.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let root = root.into();
        for folder in ["blobs", "derived", "locks", "partial"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self {
            root,
            waiting: None,
        })
    }

    /// Calls `waiting` with the kind of a derived entry whenever [`Cache::derive`] waits for
    /// another process that makes it, which may take minutes.
    #[must_use]
    pub fn tell(mut self, waiting: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.waiting = Some(Arc::new(waiting));
        self
    }

    /// Where the cache is by default: `LIFEBOAT_CACHE`, else `XDG_CACHE_HOME/lifeboat`, else
    /// `HOME/.cache/lifeboat`. `variable` reads the environment.
    ///
    /// # Errors
    /// [`CacheError::NoFolder`] if none of them is set.
    pub fn default_root(
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<PathBuf, CacheError> {
        let set = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        set("LIFEBOAT_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("lifeboat")))
            .or_else(|| set("HOME").map(|path| path.join(".cache/lifeboat")))
            .ok_or(CacheError::NoFolder)
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob with this digest is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("blobs").join(&name[..2]).join(name)
    }

    /// The path of a blob that is in the cache. Its content is not read; see
    /// [`Cache::verified_blob`].
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        path.is_file().then_some(path)
    }

    /// The path of a blob whose content was read and still has its digest. A blob that has not
    /// is removed, so that the caller fetches it again.
    ///
    /// # Errors
    /// [`CacheError::Io`] if it can neither be read nor removed.
    pub fn verified_blob(&self, digest: &Digest) -> Result<Option<PathBuf>, CacheError> {
        let Some(path) = self.blob(digest) else {
            return Ok(None);
        };
        if Digest::of_file(&path)?.0 == *digest {
            return Ok(Some(path));
        }
        fs::remove_file(&path)?;
        Ok(None)
    }

    /// Stores `bytes` under their own digest.
    ///
    /// # Errors
    /// [`CacheError::Io`] if they cannot be written.
    pub fn insert(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::of(bytes);
        let mut file = tempfile::NamedTempFile::new_in(self.root.join("partial"))?;
        file.write_all(bytes)?;
        self.adopt(file.into_temp_path().as_ref(), &digest)?;
        Ok(digest)
    }

    /// Moves the whole file at `path`, on the cache's file system and already known to have
    /// `digest`, into the cache.
    ///
    /// # Errors
    /// [`CacheError::Io`] if it cannot be moved.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<PathBuf, CacheError> {
        let to = self.blob_path(digest);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::open(path)?.sync_all()?;
        fs::rename(path, &to)?;
        Ok(to)
    }

    /// The file in which a download of `digest` is collected, so that it can be resumed. Hold
    /// [`Cache::lock`] of `("blob", digest)` while writing to it.
    pub fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(format!("{digest}.part"))
    }

    /// Waits for, then holds, the exclusive lock of a name. Released when dropped, also by a
    /// kill. `waiting` is called once if another process holds it.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the lock file cannot be made.
    pub fn lock(
        &self,
        kind: &str,
        key: &Digest,
        waiting: impl FnOnce(),
    ) -> Result<Lock, CacheError> {
        let path = self
            .root
            .join("locks")
            .join(format!("{kind}-{}", key.short()));
        let file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from)?;
        }
        Ok(Lock { _file: file })
    }

    /// Where the derived entry of this kind and key is, or would be.
    pub fn derived_path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.root.join("derived").join(kind).join(key.to_string())
    }

    /// The derived entry of this kind and key, if it is there, marked as used now.
    pub fn derived(&self, kind: &str, key: &Digest) -> Option<PathBuf> {
        let path = self.derived_path(kind, key);
        if !path.exists() {
            return None;
        }
        // Only the garbage collector reads it, so a failure costs nothing but its precision.
        if let Ok(file) = fs::File::open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(path)
    }

    /// Returns the derived entry of this kind and key. If it is not there, `make` is called,
    /// under the entry's lock, with a path at which it makes a file or a folder; when it
    /// succeeds, that is renamed into place, and removed otherwise. What a killed process left
    /// half-made is removed first.
    ///
    /// # Errors
    /// Those of `make`, and [`CacheError`] if the entry cannot be moved into place.
    pub fn derive<E: From<CacheError>>(
        &self,
        kind: &str,
        key: &Digest,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.derived(kind, key) {
            return Ok(path);
        }
        let _lock = self.lock(kind, key, || {
            if let Some(waiting) = &self.waiting {
                waiting(kind);
            }
        })?;
        if let Some(path) = self.derived(kind, key) {
            return Ok(path);
        }
        let path = self.derived_path(kind, key);
        let folder = self.root.join("derived").join(kind);
        fs::create_dir_all(&folder).map_err(CacheError::from)?;
        let unfinished = folder.join(format!(".{key}.tmp"));
        remove_all(&unfinished)?;
        if let Err(error) = make(&unfinished) {
            // The first error is the one to report; what stays is removed by the next run.
            let _ = remove_all(&unfinished);
            return Err(error);
        }
        fs::rename(&unfinished, &path).map_err(CacheError::from)?;
        Ok(path)
    }

    /// All entries, in the order of their paths.
    ///
    /// # Errors
    /// [`CacheError::Io`] if a folder cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let mut entries = Vec::new();
        let mut add = |kind: &str, path: PathBuf| -> Result<(), CacheError> {
            let metadata = fs::symlink_metadata(&path)?;
            let size = size_of(&path)?;
            entries.push(Entry {
                kind: kind.to_owned(),
                path,
                size,
                used: metadata.modified()?,
            });
            Ok(())
        };
        for shard in list(&self.root.join("blobs"))? {
            for blob in list(&shard)? {
                add("blobs", blob)?;
            }
        }
        for partial in list(&self.root.join("partial"))? {
            add("partial", partial)?;
        }
        for kind in list(&self.root.join("derived"))? {
            let name = kind
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            for entry in list(&kind)? {
                add(&name, entry)?;
            }
        }
        Ok(entries)
    }

    /// The derived entries of one kind, without their sizes.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be read.
    pub fn entries_of(&self, kind: &str) -> Result<Vec<Entry>, CacheError> {
        let folder = self.root.join("derived").join(kind);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let whole = |path: &PathBuf| {
            !path
                .file_name()
                .unwrap_or_default()
                .as_encoded_bytes()
                .starts_with(b".")
        };
        list(&folder)?
            .into_iter()
            .filter(whole)
            .map(|path| {
                let used = fs::symlink_metadata(&path)?.modified()?;
                Ok(Entry {
                    kind: kind.to_owned(),
                    path,
                    size: 0,
                    used,
                })
            })
            .collect()
    }

    /// Removes an entry that [`Cache::entries`] returned.
    ///
    /// # Errors
    /// [`CacheError::Io`] if it cannot be removed.
    pub fn remove(&self, entry: &Entry) -> Result<(), CacheError> {
        remove_all(&entry.path)
    }
}

/// An exclusive lock that is held.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn size_of(path: &Path) -> Result<u64, CacheError> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::symlink_metadata(path)?;
    let mut size = metadata.blocks() * 512;
    if metadata.is_dir() {
        for child in list(path)? {
            size += size_of(&child)?;
        }
    }
    Ok(size)
}

fn remove_all(path: &Path) -> Result<(), CacheError> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        (folder, cache)
    }

    #[test]
    fn a_blob_that_changed_on_disk_is_dropped() {
        let (_folder, cache) = cache();
        let digest = cache.insert(b"whole").unwrap();
        assert!(cache.verified_blob(&digest).unwrap().is_some());
        fs::write(cache.blob_path(&digest), b"wh0le").unwrap();
        assert!(cache.verified_blob(&digest).unwrap().is_none());
        assert!(cache.blob(&digest).is_none());
    }

    #[test]
    fn who_waits_for_another_process_is_told() {
        let (folder, cache) = cache();
        let key = Digest::of("key");
        let held = cache.lock("kind", &key, || {}).unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        let path = folder.path().to_owned();
        let other = std::thread::spawn(move || {
            let cache = Cache::open(path).unwrap().tell(move |kind| {
                sender.send(kind.to_owned()).unwrap();
            });
            cache.derive("kind", &key, |path| -> Result<(), CacheError> {
                Ok(fs::write(path, "whole")?)
            })
        });
        assert_eq!(told.recv().unwrap(), "kind");
        drop(held);
        assert!(other.join().unwrap().is_ok());
    }

    #[test]
    fn a_derived_entry_is_made_once_and_a_failed_one_leaves_nothing() {
        let (_folder, cache) = cache();
        let key = Digest::of("key");
        let failed: Result<_, CacheError> = cache.derive("kind", &key, |path| {
            fs::write(path, "half")?;
            Err(io::Error::other("stop").into())
        });
        assert!(failed.is_err());
        assert!(cache.derived("kind", &key).is_none());
        let mut made = 0;
        for _ in 0..2 {
            let path = cache
                .derive("kind", &key, |path| -> Result<(), CacheError> {
                    made += 1;
                    Ok(fs::write(path, "whole")?)
                })
                .unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), "whole");
        }
        assert_eq!(made, 1);
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let (_folder, cache) = cache();
        let key = Digest::of("key");
        let left = cache
            .root()
            .join("derived/kind")
            .join(format!(".{key}.tmp"));
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("half"), "half").unwrap();
        let path = cache
            .derive("kind", &key, |path| -> Result<(), CacheError> {
                fs::create_dir(path)?;
                Ok(fs::write(path.join("whole"), "whole")?)
            })
            .unwrap();
        assert_eq!(list(&path).unwrap(), [path.join("whole")]);
    }
}
