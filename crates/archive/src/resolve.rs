//! From a request to locked packages, and from those to files.

use std::{
    io::Read,
    path::PathBuf,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, SystemTime},
};

use fs_err as fs;

use crate::{
    Cache, Digest, FetchError, Fetcher, IndexError, Keys, LockedPackage, LockedRepository,
    LockedSet, Mirrors, Origin, Package, Patience, Progress, Release, ReleaseError, SignatureError,
    Universe, Unsolvable, Wanted, Wishes, read_packages,
    release::show_time,
    solve,
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

/// What is to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where packages may come from.
    pub repositories: Vec<Repository>,
    /// For which architecture, such as `amd64`.
    pub architecture: String,
    /// Which packages.
    pub wishes: Wishes,
}

impl Request {
    /// The digest that a lock keeps, to notice that another set is wanted now.
    pub fn digest(&self) -> Digest {
        let Self {
            repositories,
            architecture,
            wishes,
        } = self;
        let mut parts: Vec<String> = vec![architecture.clone(), format!("{:?}", wishes.base)];
        for repository in repositories {
            let keys = match &repository.keys {
                Keys::Debian => "debian".to_owned(),
                Keys::Armoured(text) => Digest::of(text.trim()).to_string(),
            };
            parts.extend([
                repository.url.clone(),
                repository.suite.clone(),
                repository.components.join(" "),
                keys,
                format!("{:?}", repository.priority),
            ]);
        }
        let mut names = wishes.names.clone();
        names.sort();
        names.dedup();
        parts.push("names".to_owned());
        parts.extend(names);
        parts.push("pins".to_owned());
        for (name, suite) in &wishes.pins {
            parts.extend([name.clone(), suite.clone()]);
        }
        parts.push("exclude".to_owned());
        parts.extend(wishes.exclude.iter().cloned());
        Digest::of_parts(parts.iter().map(String::as_bytes))
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A repository cannot be reached.
    #[error("cannot read the repository {repository}")]
    Fetch {
        /// Its URL and suite.
        repository: String,
        /// Why.
        source: FetchError,
    },
    /// There is no signed table of contents.
    #[error("{repository} has neither InRelease nor Release with Release.gpg")]
    NoRelease {
        /// Its URL and suite.
        repository: String,
    },
    /// The table of contents is not believed.
    #[error("{url} is refused")]
    Signature {
        /// Its URL.
        url: String,
        /// Why.
        source: SignatureError,
    },
    /// The table of contents cannot be read.
    #[error("{url} cannot be read")]
    Release {
        /// Its URL.
        url: String,
        /// Where and why.
        source: ReleaseError,
    },
    /// The table of contents is right but not for us: another suite, too old, no such
    /// component.
    #[error("{url} is refused: {reason}")]
    Unfit {
        /// Its URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// An index cannot be read although its digest is right.
    #[error("the index {name} cannot be read")]
    Index {
        /// Its path.
        name: String,
        /// Where and why.
        source: IndexError,
    },
    /// An index cannot be unpacked although its digest is right.
    #[error("the index {name} cannot be unpacked: {reason}")]
    Unpack {
        /// Its path.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no set of packages like that.
    #[error(transparent)]
    Unsolvable(#[from] Unsolvable),
}

impl ResolveError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch { source, .. } => source.hint(),
            Self::Unsolvable(error) => error.hint(),
            Self::Signature { .. } => Some(
                "the mirror or something on the way to it changed the file, or it is signed with \
                 a new key; try another mirror (LIFEBOAT_DEBIAN_MIRROR)"
                    .to_owned(),
            ),
            Self::NoRelease { .. } => Some("check the URL and the suite".to_owned()),
            _ => None,
        }
    }
}

/// A repository's table of contents that was checked, and its indices.
struct Contents {
    locked: LockedRepository,
    origin: Origin,
    indices: Vec<Index>,
}

/// One index to fetch.
struct Index {
    path: String,
    wanted: Wanted,
    /// Size and digest when unpacked, if the table of contents says so.
    plain: Option<(u64, Digest)>,
}

/// Solves a request against the present state of its repositories.
///
/// Each table of contents is asked for anew, and its signature, suite and dates are checked
/// at the time `now`; indices come from the cache where they are unchanged.
///
/// # Errors
/// [`ResolveError`] if a repository cannot be had or believed, or no set of packages fits.
pub fn resolve(
    cache: &Cache,
    request: &Request,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    cancel: &AtomicBool,
    now: SystemTime,
) -> Result<LockedSet, ResolveError> {
    resolve_with(
        &mirrors.fetcher(Patience::default()),
        cache,
        request,
        mirrors,
        progress,
        cancel,
        now,
    )
}

/// As [`resolve`], with a fetcher of the caller's.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(
    fetcher: &Fetcher,
    cache: &Cache,
    request: &Request,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    cancel: &AtomicBool,
    now: SystemTime,
) -> Result<LockedSet, ResolveError> {
    let refresh = Refresh {
        fetcher,
        mirrors,
        progress,
        cancel,
        now,
        architecture: &request.architecture,
    };
    let contents = refresh.all(&request.repositories)?;
    let texts = refresh.indices(cache, &contents)?;
    let packages = read_all(&texts)?;
    let origins = contents
        .iter()
        .map(|contents| contents.origin.clone())
        .collect();
    let universe =
        Universe::new(&request.architecture, packages, origins).map_err(Unsolvable::from)?;
    let packages = solve(&universe, &request.wishes)?
        .into_iter()
        .map(|package| lock_package(package, &texts))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(LockedSet {
        request: request.digest(),
        architecture: request.architecture.clone(),
        repositories: contents
            .into_iter()
            .map(|contents| contents.locked)
            .collect(),
        packages,
    })
}

/// Has every package of a set in the cache; the paths of the verified files are in the order
/// of the set.
///
/// # Errors
/// [`FetchError`] of the first file that cannot be had.
pub fn download(
    cache: &Cache,
    set: &LockedSet,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Vec<(LockedPackage, PathBuf)>, FetchError> {
    download_with(
        &mirrors.fetcher(Patience::default()),
        cache,
        set,
        mirrors,
        progress,
        cancel,
    )
}

/// As [`download`], with a fetcher of the caller's.
///
/// # Errors
/// As [`download`].
pub fn download_with(
    fetcher: &Fetcher,
    cache: &Cache,
    set: &LockedSet,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Vec<(LockedPackage, PathBuf)>, FetchError> {
    let wanted: Vec<Wanted> = set
        .packages
        .iter()
        .map(|package| {
            let repository = set.repositories.get(package.repository);
            let bases = repository.map_or_else(Vec::new, |one| mirrors.urls(&one.url));
            Wanted {
                name: format!("{} {}", package.name, package.version),
                urls: bases
                    .iter()
                    .map(|base| format!("{base}/{}", package.path))
                    .collect(),
                size: package.size,
                sha256: package.sha256,
            }
        })
        .collect();
    let paths = fetcher.fetch(cache, &wanted, progress, cancel)?;
    Ok(set.packages.iter().cloned().zip(paths).collect())
}

fn lock_package(package: &Package<'_>, texts: &[IndexText]) -> Result<LockedPackage, ResolveError> {
    let index = |source| ResolveError::Index {
        name: texts
            .iter()
            .find(|text| text.repository == package.repository)
            .map_or_else(String::new, |text| text.name.clone()),
        source,
    };
    Ok(LockedPackage {
        name: package.name.to_owned(),
        version: package.version.parse().map_err(|_| {
            index(IndexError::Field {
                package: package.name.to_owned(),
                line: 0,
                field: "Version",
            })
        })?,
        architecture: package.architecture.to_owned(),
        repository: package.repository,
        size: package.size,
        sha256: package.sha256().map_err(index)?,
        path: package.filename.to_owned(),
    })
}

/// An unpacked index.
struct IndexText {
    name: String,
    repository: usize,
    text: String,
}

fn read_all(texts: &[IndexText]) -> Result<Vec<Package<'_>>, ResolveError> {
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
struct Refresh<'r> {
    fetcher: &'r Fetcher,
    mirrors: &'r Mirrors,
    progress: &'r dyn Progress,
    cancel: &'r AtomicBool,
    now: SystemTime,
    architecture: &'r str,
}

impl Refresh<'_> {
    fn all(&self, repositories: &[Repository]) -> Result<Vec<Contents>, ResolveError> {
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

    fn get(&self, url: &str) -> Result<Option<Vec<u8>>, ResolveError> {
        self.fetcher
            .get(
                url,
                &[url.to_owned()],
                RELEASE_LIMIT,
                self.progress,
                self.cancel,
            )
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
        let url = format!("{base}/{folder}InRelease");
        let signature = |url: &str| {
            let url = url.to_owned();
            move |source| ResolveError::Signature { url, source }
        };
        let (url, digest, text) = if let Some(bytes) = self.get(&url)? {
            let message = String::from_utf8_lossy(&bytes);
            let text = repository
                .keys
                .verify_clear(&message, self.now)
                .map_err(signature(&url))?;
            (url, Digest::of(&bytes), text)
        } else {
            let url = format!("{base}/{folder}Release");
            let (Some(bytes), Some(detached)) = (self.get(&url)?, self.get(&format!("{url}.gpg"))?)
            else {
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
            && date > self.now + Duration::from_secs(3600)
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

    fn indices(
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
fn unpack(index: &Index, path: &std::path::Path) -> Result<String, String> {
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
