//! Downloads into the cache: parallel, resumed, retried, and adopted only when their digest is
//! right.

mod attempt;
mod part;

use std::{
    io::{self, Read as _},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use attempt::{Pace, Places, Stop, parse_range};
use part::Part;

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

/// A place that will not answer better the next time, or one that may.
enum Failure {
    Final(Trouble),
    Passing(Trouble),
    Stop(FetchError),
}

/// Downloads over HTTP and HTTPS.
#[derive(Clone, Debug)]
pub struct Fetcher {
    config: ureq::config::Config,
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
    /// A fetcher that goes through `proxy` (`http://HOST:PORT`), else through the one that
    /// `http_proxy` and its like name, else straight.
    pub fn new(patience: Patience, proxy: Option<&str>) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience.stall))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .max_idle_connections_per_host(patience.connections)
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")));
        // An environment that names a proxy is more particular than the host's apt.
        if ureq::Proxy::try_from_env().is_none()
            && let Some(proxy) = proxy.and_then(|proxy| ureq::Proxy::new(proxy).ok())
        {
            config = config.proxy(Some(proxy));
        }
        Self {
            config: config.build(),
            patience,
        }
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
            let total = missing.iter().map(|file| file.size).sum();
            let what = match &missing[..] {
                [one] => one.name.clone(),
                many => format!("{} files", many.len()),
            };
            progress.start(&what, total);
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
        // One agent for each call: stopping it closes its connections for good.
        let agent = &self.config.new_agent();
        let stop = Stop::default();
        let next = AtomicUsize::new(0);
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.patience.connections.min(missing.len()) {
                let (done, stop, next) = (done.clone(), &stop, &next);
                scope.spawn(move || {
                    while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.fetch_one(agent, cache, file, progress, stop);
                        let failed = result.is_err();
                        if done.send(result).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(done);
            let mut first_error = None;
            loop {
                match results.recv_timeout(Duration::from_millis(50)) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        if first_error.is_none() {
                            first_error = Some(error);
                            stop.set();
                            agent.clone().shutdown();
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        if cancel.load(Ordering::Relaxed) && first_error.is_none() {
                            first_error = Some(FetchError::Cancelled);
                            stop.set();
                            agent.clone().shutdown();
                        }
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
            first_error.map_or(Ok(()), Err)
        })
    }

    /// Tries all places of a file in turn until it is whole or too many tries brought nothing.
    fn fetch_one(
        &self,
        agent: &ureq::Agent,
        cache: &Cache,
        file: &Wanted,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<(), FetchError> {
        let _lock = cache.lock("blob", &file.sha256, || {
            progress.note(&format!(
                "{} is being fetched by another process",
                file.name
            ));
        })?;
        if cache.blob(&file.sha256).is_some() {
            progress.advance(file.size);
            return Ok(());
        }
        let mut part = Part::open(cache, file)?;
        let mut reported = 0;
        let mut advance = |position: u64| {
            if position > reported {
                progress.advance(position - reported);
                reported = position;
            }
        };
        advance(part.length);
        let mut places = Places::new(&file.urls);
        let mut tries = 0;
        while let Some(url) = places.next() {
            stop.check()?;
            let before = part.length;
            let failure = match self.receive(agent, &mut part, url, stop, &mut advance) {
                Ok(()) => match part.finish(cache)? {
                    None => return Ok(()),
                    // What was there before may have been bad; from its start this place has
                    // one chance more.
                    Some(found) if before > 0 => Failure::Passing(found),
                    Some(found) => Failure::Final(found),
                },
                Err(failure) => failure,
            };
            stop.check()?;
            let trouble = match failure {
                Failure::Stop(error) => return Err(error),
                Failure::Final(trouble) => places.strike(trouble),
                Failure::Passing(trouble) => {
                    let enough = self.patience.rate * self.patience.stall.as_secs().max(1);
                    if part.length.saturating_sub(before) >= enough {
                        tries = 0;
                    }
                    tries += 1;
                    let trouble = places.note(trouble);
                    if tries >= self.patience.tries {
                        break;
                    }
                    trouble
                }
            };
            progress.note(&format!("{}: {trouble}; trying again", file.name));
            if places.is_empty() {
                break;
            }
            let doublings = (tries / u32::try_from(file.urls.len()).unwrap_or(1)).min(5);
            stop.wait(self.patience.pause * 2_u32.pow(doublings))?;
        }
        Err(FetchError::Failed {
            name: file.name.clone(),
            tried: places.tried,
        })
    }

    /// Asks `url` for what `part` still lacks, and appends it.
    fn receive(
        &self,
        agent: &ureq::Agent,
        part: &mut Part<'_>,
        url: &str,
        stop: &Stop,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        if part.length == part.wanted.size {
            return Ok(());
        }
        let mut request = agent.get(url);
        if part.length > 0 {
            request = request.header("Range", format!("bytes={}-", part.length));
        }
        let response = request.call().map_err(|error| self.failure(&error))?;
        let size = part.wanted.size;
        let status = response.status().as_u16();
        let mut body = response.into_parts();
        let found = match status {
            206 => {
                let range = body.0.headers.get("content-range");
                let range = range.and_then(|value| value.to_str().ok());
                match range.and_then(parse_range) {
                    Some((start, total)) if start == part.length => total,
                    _ => {
                        part.restart().map_err(Failure::Stop)?;
                        return Err(Failure::Passing(Trouble::Connection(
                            "the server sent another part than the one asked for".to_owned(),
                        )));
                    }
                }
            }
            200 => {
                part.restart().map_err(Failure::Stop)?;
                body.1.content_length()
            }
            416 => {
                part.restart().map_err(Failure::Stop)?;
                return Err(Failure::Passing(Trouble::Status(416)));
            }
            408 | 425 | 429 | 500..=599 => return Err(Failure::Passing(Trouble::Status(status))),
            _ => return Err(Failure::Final(Trouble::Status(status))),
        };
        if let Some(found) = found
            && found != size
        {
            return Err(Failure::Final(Trouble::Size {
                wanted: size,
                found,
            }));
        }
        let mut reader = body.1.as_reader();
        let mut buffer = vec![0; 1 << 16];
        let mut pace = Pace::new(self.patience);
        while part.length < size {
            let room = usize::try_from(size - part.length)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            match reader.read(&mut buffer[..room]) {
                Ok(0) => {
                    return Err(Failure::Passing(Trouble::Connection(format!(
                        "the connection ended after {} of {size} bytes",
                        part.length
                    ))));
                }
                Ok(read) => {
                    part.append(&buffer[..read]).map_err(Failure::Stop)?;
                    advance(part.length);
                    pace.moved(read as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&ureq::Error::from(error))),
            }
            stop.check().map_err(Failure::Stop)?;
        }
        Ok(())
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        let seconds = self.patience.stall.as_secs();
        Failure::Passing(match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Trouble::Connection(format!("no connection within {seconds} s"))
            }
            ureq::Error::Timeout(_) => Trouble::Connection(format!("nothing came for {seconds} s")),
            ureq::Error::HostNotFound => {
                Trouble::Connection("the host's name is not known".to_owned())
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                return Failure::Final(Trouble::Connection(format!("{error}")));
            }
            other => Trouble::Connection(other.to_string().trim_start_matches("io: ").to_owned()),
        })
    }

    /// Fetches a small file whose digest is not known beforehand; `None` if no place has it.
    ///
    /// # Errors
    /// [`FetchError`] if no place answers with it or with its absence.
    pub fn get(
        &self,
        name: &str,
        urls: &[String],
        limit: u64,
        progress: &dyn Progress,
        cancel: &AtomicBool,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let agent = self.config.new_agent();
        let stop = Stop::default();
        let mut places = Places::new(urls);
        let mut tries = 0;
        while let Some(url) = places.next() {
            if cancel.load(Ordering::Relaxed) {
                return Err(FetchError::Cancelled);
            }
            let result = match agent.get(url).call() {
                Ok(mut response) => match response.status().as_u16() {
                    200 => response
                        .body_mut()
                        .with_config()
                        .limit(limit)
                        .read_to_vec()
                        .map_err(|error| self.failure(&error)),
                    status @ (408 | 425 | 429 | 500..=599) => {
                        Err(Failure::Passing(Trouble::Status(status)))
                    }
                    status => Err(Failure::Final(Trouble::Status(status))),
                },
                Err(error) => Err(self.failure(&error)),
            };
            let trouble = match result {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Failure::Stop(error)) => return Err(error),
                Err(Failure::Final(trouble)) => places.strike(trouble),
                Err(Failure::Passing(trouble)) => {
                    tries += 1;
                    let trouble = places.note(trouble);
                    if tries >= self.patience.tries {
                        break;
                    }
                    trouble
                }
            };
            if places.is_empty() {
                break;
            }
            progress.note(&format!("{name}: {trouble}; trying again"));
            let doublings = (tries / u32::try_from(urls.len()).unwrap_or(1)).min(5);
            stop.wait(self.patience.pause * 2_u32.pow(doublings))?;
        }
        let outcome = places.tried;
        let absent = |(_, trouble): &(String, Trouble)| matches!(trouble, Trouble::Status(404));
        if !outcome.is_empty() && outcome.iter().all(absent) {
            return Ok(None);
        }
        Err(FetchError::Failed {
            name: name.to_owned(),
            tried: outcome,
        })
    }
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
