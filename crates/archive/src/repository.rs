//! Package repositories, and their present state as far as it can be believed.

use std::{
    io::Read,
    path::Path,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, SystemTime},
};

use fs_err as fs;

use crate::{
    Cache, Digest, FetchError, Fetcher, Keys, LockedRepository, Mirrors, Origin, Package, Progress,
    Release, ResolveError, Wanted, read_packages,
    release::show_time,
    sources::{DEBIAN, DEBIAN_SECURITY},
};

/// The largest `InRelease` that is read; Debian's has 140 kB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// The largest index that is unpacked; Debian's has 55 MB.
const INDEX_LIMIT: u64 = 1 << 30;

/// A package repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its URL, without `dists` and what follows.
    pub url: String,
    /// The suite, or for a flat repository the folder of its index, ending in `/` (`./`, `/`).
    pub suite: String,
    /// The components; none for a flat repository.
    pub components: Vec<String>,
    /// Who may sign it.
    pub keys: Keys,
    /// See [`Origin::priority`]; `None` is 500, or 100 if the repository says that its
    /// packages are taken only when named.
    pub priority: Option<i32>,
}

impl Repository {
    /// Debian's archive with its updates and security updates, component `main`.
    pub fn debian(release: &str) -> Vec<Self> {
        let one = |url: &str, suite: String| Self {
            url: url.to_owned(),
            suite,
            components: vec!["main".to_owned()],
            keys: Keys::Debian,
            priority: None,
        };
        let mut all = vec![one(DEBIAN, release.to_owned())];
        if !matches!(release, "sid" | "unstable" | "testing") {
            all.push(one(DEBIAN, format!("{release}-updates")));
            all.push(one(DEBIAN_SECURITY, format!("{release}-security")));
        }
        all
    }

    /// One more suite of Debian's archive whose packages are taken only when they are named
    /// or nothing else will do: `trixie-backports`, `testing`.
    pub fn debian_on_demand(suite: &str) -> Self {
        Self {
            url: DEBIAN.to_owned(),
            suite: suite.to_owned(),
            components: vec!["main".to_owned()],
            keys: Keys::Debian,
            priority: Some(100),
        }
    }

    fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// The folder of its `InRelease`, relative to the URL; empty or ending in `/`.
    fn folder(&self) -> String {
        if !self.is_flat() {
            return format!("dists/{}/", self.suite);
        }
        let folder = self.suite.trim_start_matches("./").trim_matches('/');
        if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        }
    }
}

/// A repository's table of contents that was checked, and its indices.
pub(crate) struct Contents {
    pub(crate) locked: LockedRepository,
    pub(crate) origin: Origin,
    indices: Vec<Index>,
}

/// One index to fetch.
pub(crate) struct Index {
    path: String,
    wanted: Wanted,
    /// Size and digest when unpacked, if the table of contents says so.
    plain: Option<(u64, Digest)>,
}

/// An unpacked index.
pub(crate) struct IndexText {
    pub(crate) name: String,
    pub(crate) repository: usize,
    pub(crate) text: String,
}

pub(crate) fn read_all(texts: &[IndexText]) -> Result<Vec<Package<'_>>, ResolveError> {
    let parsed: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = texts
            .iter()
            .map(|index| scope.spawn(|| read_packages(&index.text, index.repository)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut packages = Vec::new();
    for (index, parsed) in texts.iter().zip(parsed) {
        packages.extend(parsed.map_err(|source| ResolveError::Index {
            name: index.name.clone(),
            source,
        })?);
    }
    Ok(packages)
}

/// Reads the present state of repositories.
pub(crate) struct Refresh<'r> {
    pub(crate) fetcher: &'r Fetcher,
    pub(crate) mirrors: &'r Mirrors,
    pub(crate) progress: &'r dyn Progress,
    pub(crate) cancel: &'r AtomicBool,
    pub(crate) now: SystemTime,
    pub(crate) architecture: &'r str,
}

impl Refresh<'_> {
    pub(crate) fn all(&self, repositories: &[Repository]) -> Result<Vec<Contents>, ResolveError> {
        let what = format!("{} repositories", repositories.len());
        self.progress.start(&what, 0);
        let results: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = repositories
                .iter()
                .map(|repository| scope.spawn(|| self.contents(repository)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        self.progress.finish();
        results.into_iter().collect()
    }

    /// The table of contents from the first mirror whose one is good.
    fn contents(&self, repository: &Repository) -> Result<Contents, ResolveError> {
        let bases = self.mirrors.urls(&repository.url);
        let mut first_error = None;
        for base in &bases {
            match self.contents_at(repository, base, &bases) {
                Ok(contents) => return Ok(contents),
                Err(
                    error @ ResolveError::Fetch {
                        source: FetchError::Cancelled,
                        ..
                    },
                ) => return Err(error),
                Err(error) => {
                    let source = std::error::Error::source(&error);
                    let cause = source.map_or_else(String::new, |source| format!(": {source}"));
                    self.progress.note(&format!("{error}{cause}"));
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ResolveError::NoRelease {
            repository: format!("{} {}", repository.url, repository.suite),
        }))
    }

    fn get(&self, url: &str, tries: u32) -> Result<Option<Vec<u8>>, ResolveError> {
        let urls = [url.to_owned()];
        self.fetcher
            .get(&urls, RELEASE_LIMIT, tries, self.progress, self.cancel)
            .map_err(|source| ResolveError::Fetch {
                repository: url.to_owned(),
                source,
            })
    }

    fn contents_at(
        &self,
        repository: &Repository,
        base: &str,
        bases: &[String],
    ) -> Result<Contents, ResolveError> {
        let folder = repository.folder();
        // Where there is another mirror, a bad one is not worth much waiting.
        let tries = if bases.len() > 1 { 2 } else { u32::MAX };
        let url = format!("{base}/{folder}InRelease");
        let signature = |url: &str| {
            let url = url.to_owned();
            move |source| ResolveError::Signature { url, source }
        };
        let (url, digest, text) = if let Some(bytes) = self.get(&url, tries)? {
            let message = String::from_utf8_lossy(&bytes);
            let text = repository
                .keys
                .verify_clear(&message, self.now)
                .map_err(signature(&url))?;
            (url, Digest::of(&bytes), text)
        } else {
            let url = format!("{base}/{folder}Release");
            let (Some(bytes), Some(detached)) = (
                self.get(&url, tries)?,
                self.get(&format!("{url}.gpg"), tries)?,
            ) else {
                return Err(ResolveError::NoRelease {
                    repository: format!("{base} {}", repository.suite),
                });
            };
            repository
                .keys
                .verify_detached(&detached, &bytes, self.now)
                .map_err(signature(&url))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (url, Digest::of(&bytes), text)
        };
        let release = Release::parse(&text).map_err(|source| ResolveError::Release {
            url: url.clone(),
            source,
        })?;
        self.check(repository, &release)
            .and_then(|()| {
                Ok(Contents {
                    locked: LockedRepository {
                        url: repository.url.trim_end_matches('/').to_owned(),
                        suite: repository.suite.clone(),
                        components: repository.components.clone(),
                        release: digest,
                    },
                    origin: Origin {
                        suite: repository.suite.clone(),
                        priority: repository.priority.unwrap_or(if release.not_automatic {
                            100
                        } else {
                            500
                        }),
                    },
                    indices: self.wanted(repository, &release, bases)?,
                })
            })
            .map_err(|reason| ResolveError::Unfit { url, reason })
    }

    /// Whether a table of contents is the one asked for, and of this time. Else an old one, or
    /// one of another suite, with a good signature could be passed off as this one.
    fn check(&self, repository: &Repository, release: &Release) -> Result<(), String> {
        let suite = &repository.suite;
        let names = [&release.codename, &release.suite];
        if !repository.is_flat() && !names.iter().any(|name| name.as_ref() == Some(suite)) {
            return Err(format!(
                "it is of the suite {}, not of `{suite}`",
                names
                    .iter()
                    .filter_map(|name| name.as_ref())
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(" alias ")
            ));
        }
        let clock = show_time(self.now);
        if let Some(until) = release.valid_until
            && until < self.now
        {
            return Err(format!(
                "it was valid until {}, this machine's clock says {clock}; the mirror is out of \
                 date or the clock is wrong",
                show_time(until)
            ));
        }
        if let Some(date) = release.date
            && date > self.now + Duration::from_hours(1)
        {
            return Err(format!(
                "it was made on {}, this machine's clock says {clock}; is the clock right?",
                show_time(date)
            ));
        }
        let known = |name: &str| {
            release
                .architectures
                .iter()
                .any(|known| known == name || known == "all")
        };
        if !release.architectures.is_empty() && !known(self.architecture) {
            return Err(format!(
                "it has no packages for {}, only for {}",
                self.architecture,
                release.architectures.join(", ")
            ));
        }
        Ok(())
    }

    fn wanted(
        &self,
        repository: &Repository,
        release: &Release,
        bases: &[String],
    ) -> Result<Vec<Index>, String> {
        let folder = repository.folder();
        let find =
            |path: &str| -> Option<Index> {
                let (file, (size, sha256)) = ["xz", "gz", ""].iter().find_map(|extension| {
                    let file = match *extension {
                        "" => path.to_owned(),
                        extension => format!("{path}.{extension}"),
                    };
                    release.file(&file).map(|entry| (file, entry))
                })?;
                let mut urls = Vec::new();
                if release.by_hash {
                    let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let slash = if parent.is_empty() { "" } else { "/" };
                    urls.extend(bases.iter().map(|base| {
                        format!("{base}/{folder}{parent}{slash}by-hash/SHA256/{sha256}")
                    }));
                }
                urls.extend(bases.iter().map(|base| format!("{base}/{folder}{file}")));
                Some(Index {
                    wanted: Wanted {
                        name: format!("{} {file}", repository.suite),
                        urls,
                        size,
                        sha256,
                    },
                    path: file,
                    plain: release.file(path),
                })
            };
        if repository.is_flat() {
            return find("Packages")
                .map(|index| vec![index])
                .ok_or_else(|| "it lists no index `Packages`".to_owned());
        }
        let mut indices = Vec::new();
        for component in &repository.components {
            let own = find(&format!(
                "{component}/binary-{}/Packages",
                self.architecture
            ));
            let all = find(&format!("{component}/binary-all/Packages"));
            let all = all.filter(|_| own.is_none() || !release.all_in_each);
            if own.is_none() && all.is_none() {
                return Err(format!(
                    "it has no component `{component}` for {}",
                    self.architecture
                ));
            }
            indices.extend(own);
            indices.extend(all);
        }
        Ok(indices)
    }

    pub(crate) fn indices(
        &self,
        cache: &Cache,
        contents: &[Contents],
    ) -> Result<Vec<IndexText>, ResolveError> {
        let all: Vec<(usize, &Index)> = contents
            .iter()
            .enumerate()
            .flat_map(|(repository, contents)| {
                contents
                    .indices
                    .iter()
                    .map(move |index| (repository, index))
            })
            // An empty index (of trixie-updates) has no file worth a request.
            .filter(|(_, index)| index.plain.is_none_or(|(size, _)| size > 0))
            .collect();
        let wanted: Vec<Wanted> = all.iter().map(|(_, index)| index.wanted.clone()).collect();
        let paths = self
            .fetcher
            .fetch(cache, &wanted, self.progress, self.cancel)
            .map_err(|source| ResolveError::Fetch {
                repository: match &source {
                    FetchError::Failed { name, .. } => name.clone(),
                    _ => "the indices".to_owned(),
                },
                source,
            })?;
        thread::scope(|scope| {
            let workers: Vec<_> = all
                .iter()
                .zip(&paths)
                .map(|((repository, index), path)| {
                    scope.spawn(move || {
                        let text = unpack(index, path).map_err(|reason| ResolveError::Unpack {
                            name: index.wanted.name.clone(),
                            reason,
                        })?;
                        Ok(IndexText {
                            name: index.wanted.name.clone(),
                            repository: *repository,
                            text,
                        })
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    }
}

/// The text of an index; its size and digest are checked where they are known, as an unpacker
/// is the wrong place to trust.
fn unpack(index: &Index, path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let limit = index.plain.map_or(INDEX_LIMIT, |(size, _)| size);
    let mut reader: Box<dyn Read> = match index.path.rsplit_once('.') {
        Some((_, "xz")) => Box::new(liblzma::read::XzDecoder::new(file)),
        Some((_, "gz")) => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(limit.min(1 << 28)).unwrap_or(0));
    reader
        .by_ref()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is longer than {limit} bytes"));
    }
    if let Some((size, digest)) = index.plain
        && (bytes.len() as u64 != size || Digest::of(&bytes) != digest)
    {
        return Err(format!(
            "unpacked it has {} bytes and another digest than the one that was signed",
            bytes.len()
        ));
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
