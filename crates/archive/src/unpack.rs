//! Unpacks packages in parallel into the cache and reads their trees.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Cache, Control, Digest, Progress, Tree,
    deb::{self, DebError, DebReason},
};

/// A package file that was verified: its content has this digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// How messages call it; usually the file's name in the archive.
    pub name: String,
}

impl DebFile {
    /// A package file by its path; reads it once for its digest.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path = path.into();
        let sha256 = Digest::of_file(&path)?.0;
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        Ok(Self { path, sha256, name })
    }
}

/// A package as unpacked into the cache.
#[derive(Clone, Debug)]
pub struct UnpackedDeb {
    /// Package name.
    pub name: String,
    /// Its full version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// SHA-256 of the package file.
    pub sha256: Digest,
    /// Its control files.
    pub control: Control,
    /// Its files; their content is in the cache.
    pub tree: Tree,
}

/// Unpacking failed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// One package could not be unpacked.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// It was told to stop.
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Unpacks packages on all processors, the largest first; those in the cache already are only
/// read. The result is in the order of `debs`. `progress` counts bytes of package files;
/// `cancel` ends the work after the packages at hand.
///
/// # Errors
/// [`UnpackError::Deb`] for the first (in the order of `debs`) that is damaged or hostile.
pub fn unpack(
    cache: &Cache,
    debs: &[DebFile],
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Vec<UnpackedDeb>, UnpackError> {
    let mut order: Vec<(u64, usize)> = debs
        .iter()
        .enumerate()
        .map(|(index, deb)| (deb.path.metadata().map_or(0, |data| data.len()), index))
        .collect();
    order.sort_by_key(|(size, index)| (std::cmp::Reverse(*size), *index));
    let results: Vec<Mutex<Option<Result<UnpackedDeb, DebError>>>> =
        debs.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while !cancel.load(Ordering::Relaxed) {
            let Some((size, index)) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let deb = &debs[*index];
            let result = unpack_one(cache, deb);
            progress.advance(*size);
            if let Ok(mut slot) = results[*index].lock() {
                *slot = Some(result);
            }
        }
    };
    progress.start("unpack", order.iter().map(|(size, _)| size).sum());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(debs.len()) {
            scope.spawn(work);
        }
    });
    progress.finish();
    results
        .into_iter()
        .map(|slot| match slot.into_inner() {
            Ok(Some(result)) => Ok(result?),
            _ => Err(UnpackError::Cancelled),
        })
        .collect()
}

fn unpack_one(cache: &Cache, deb: &DebFile) -> Result<UnpackedDeb, DebError> {
    let unpack = || -> Result<UnpackedDeb, DebReason> {
        let entry = deb::derive(cache, &deb.path, &deb.sha256)?;
        let control = deb::read_control(&entry)?;
        let tree = deb::read_data(&entry)?;
        Ok(UnpackedDeb {
            name: control.required("Package")?,
            version: control.required("Version")?,
            architecture: control.required("Architecture")?,
            sha256: deb.sha256,
            control,
            tree,
        })
    };
    unpack().map_err(|reason| DebError {
        name: deb.name.clone(),
        reason,
    })
}
