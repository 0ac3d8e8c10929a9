//! Downloads into the cache: parallel, resumed, retried, and adopted only when their digest is
//! right.

mod attempt;
mod part;
mod proxy;
mod session;

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use session::Session;

use crate::{Cache, CacheError, Digest, Progress};

/// A file that is to be in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What a person calls it.
    pub name: String,
    /// Where it is, the best place first.
    pub urls: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// How patient a download is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Files fetched at the same time.
    pub connections: usize,
    /// How long a server may take to connect, to answer, and to send at least
    /// [`Patience::rate`] times this.
    pub stall: Duration,
    /// Bytes per second below which a server is given up for another try.
    pub rate: u64,
    /// Tries in a row, over all places of a file, that bring less than that.
    pub tries: u32,
    /// Pause before the second try; doubled for each more.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connections: 5,
            stall: Duration::from_secs(15),
            rate: 2048,
            tries: 5,
            pause: Duration::from_millis(500),
        }
    }
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No place had it, after all tries.
    #[error("cannot download {name}:{}", show(tried))]
    Failed {
        /// What it is.
        name: String,
        /// Each URL with what last happened there.
        tried: Vec<(String, Trouble)>,
    },
    /// There is no room for it.
    #[error("the disk is full: {name} needs {size} bytes at {}", path.display())]
    DiskFull {
        /// What it is.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// Where it was to be.
        path: PathBuf,
    },
    /// The caller asked to stop. What came so far is kept for the next time.
    #[error("interrupted")]
    Cancelled,
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What went wrong with one URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server does not have it, or not for us.
    #[error("the server answered {0}")]
    Status(u16),
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// Too slow.
    #[error("the server sent less than {rate} bytes per second for {seconds} s")]
    Slow {
        /// The least that is accepted.
        rate: u64,
        /// For how long.
        seconds: u64,
    },
    /// What came is something else.
    #[error("what came has SHA-256 {found}, {wanted} was expected")]
    Digest {
        /// The expected digest.
        wanted: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// It has another size.
    #[error("it has {found} bytes there, {wanted} were expected")]
    Size {
        /// The expected size.
        wanted: u64,
        /// The size there.
        found: u64,
    },
}

impl FetchError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { tried, .. } => Some(
                if tried.iter().any(|(_, trouble)| {
                    matches!(trouble, Trouble::Digest { .. } | Trouble::Size { .. })
                }) {
                    "the mirror or the lock was changed; `lifeboat lock --update` asks the mirror \
                     anew, LIFEBOAT_DEBIAN_MIRROR names another one"
                } else if tried
                    .iter()
                    .all(|(_, trouble)| matches!(trouble, Trouble::Status(404 | 410)))
                {
                    "mirrors drop superseded packages; `lifeboat lock --update` takes the present \
                     ones"
                } else {
                    "check the network and `http_proxy`, or name another mirror in \
                     LIFEBOAT_DEBIAN_MIRROR; what came so far is kept"
                }
                .to_owned(),
            ),
            Self::DiskFull { .. } => Some(
                "make room (`lifeboat cache gc`), or put the cache elsewhere with LIFEBOAT_CACHE"
                    .to_owned(),
            ),
            Self::Cancelled | Self::Cache(_) => None,
        }
    }
}

fn show(tried: &[(String, Trouble)]) -> String {
    let lines: Vec<String> = tried
        .iter()
        .map(|(url, trouble)| format!("\n  {url}: {trouble}"))
        .collect();
    if lines.is_empty() {
        return " no URL is known".to_owned();
    }
    lines.concat()
}

/// Downloads over HTTP and HTTPS.
#[derive(Clone, Debug)]
pub struct Fetcher {
    proxy: Option<ureq::Proxy>,
    patience: Patience,
}

/// Fetches all that is not in the cache; returns the paths in the order of `wanted`.
///
/// # Errors
/// [`FetchError`] of the first file that cannot be had; the others are stopped.
pub fn fetch(
    cache: &Cache,
    wanted: &[Wanted],
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Vec<PathBuf>, FetchError> {
    Fetcher::new(Patience::default(), None).fetch(cache, wanted, progress, cancel)
}

impl Fetcher {
    /// A fetcher that goes through the proxy which `http_proxy` and its like name, else through
    /// `proxy` (`http://HOST:PORT`, as the host's apt has it), else straight.
    pub fn new(patience: Patience, proxy: Option<&str>) -> Self {
        // An environment that names a proxy is more particular than the host's apt.
        let proxy = ureq::Proxy::try_from_env()
            .or_else(|| proxy.and_then(|proxy| ureq::Proxy::new(proxy).ok()));
        Self { proxy, patience }
    }

    /// As [`fetch`].
    ///
    /// # Errors
    /// As [`fetch`].
    pub fn fetch(
        &self,
        cache: &Cache,
        wanted: &[Wanted],
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Vec<PathBuf>, FetchError> {
        let mut missing = missing(cache, wanted)?;
        if !missing.is_empty() {
            // The largest first, so that none of them is left alone at the end.
            missing.sort_by_key(|file| (std::cmp::Reverse(file.size), file.sha256));
            missing.dedup_by_key(|file| file.sha256);
            let what = match &missing[..] {
                [one] => one.name.clone(),
                many => format!("{} files", many.len()),
            };
            room(cache, &missing, &what)?;
            progress.start(&what, missing.iter().map(|file| file.size).sum());
            let result = self.fetch_missing(cache, &missing, progress, cancel);
            progress.finish();
            result?;
        }
        Ok(wanted
            .iter()
            .map(|file| cache.blob_path(&file.sha256))
            .collect())
    }

    fn fetch_missing(
        &self,
        cache: &Cache,
        missing: &[&Wanted],
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<(), FetchError> {
        let session = &Session::new(self);
        let next = &AtomicUsize::new(0);
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.patience.connections.min(missing.len()) {
                let done = done.clone();
                scope.spawn(move || {
                    while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = session.fetch_one(cache, file, progress);
                        let failed = result.is_err();
                        if done.send(result).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(done);
            session.watch(&results, cancel)
        })
    }

    /// Fetches a small file whose digest is not known beforehand; `None` if no place has it.
    /// Gives up after `tries`, if that is fewer than the patience says.
    ///
    /// # Errors
    /// [`FetchError`] if no place answers with it or with its absence.
    pub(crate) fn get(
        &self,
        urls: &[String],
        limit: u64,
        tries: u32,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let session = &Session::new(self);
        let mut found = None;
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            let found = &mut found;
            scope.spawn(move || {
                let result = session.get(urls, limit, tries, progress);
                // The other end waits until this one is dropped.
                let _ = done.send(result.map(|bytes| *found = bytes));
            });
            session.watch(&results, cancel)
        })?;
        Ok(found)
    }
}

/// Refuses to start what cannot fit.
fn room(cache: &Cache, missing: &[&Wanted], what: &str) -> Result<(), FetchError> {
    let there = |file: &&Wanted| {
        let part = fs_err::metadata(cache.partial_path(&file.sha256));
        part.map_or(0, |part| part.len().min(file.size))
    };
    let size = missing.iter().map(|file| file.size - there(file)).sum();
    // A file system that does not tell is tried.
    let Ok(free) = rustix::fs::statvfs(cache.root()) else {
        return Ok(());
    };
    if free.f_bavail.saturating_mul(free.f_frsize) < size {
        return Err(FetchError::DiskFull {
            name: what.to_owned(),
            size,
            path: cache.root().to_owned(),
        });
    }
    Ok(())
}

/// What of `wanted` is not whole in the cache. Each file there is read again, on all cores:
/// nothing else notices a blob that went bad.
fn missing<'a>(cache: &Cache, wanted: &'a [Wanted]) -> Result<Vec<&'a Wanted>, FetchError> {
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| -> Result<(), FetchError> {
        let workers: Vec<_> = (0..threads.min(wanted.len()))
            .map(|_| {
                scope.spawn(|| -> Result<(), CacheError> {
                    while let Some(file) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if cache.verified_blob(&file.sha256)?.is_none() {
                            found
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push(file);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}
