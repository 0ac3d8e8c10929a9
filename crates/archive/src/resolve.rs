//! From a request to locked packages, and from those to files.

use std::{collections::BTreeMap, path::PathBuf, sync::atomic::AtomicBool, time::SystemTime};

use crate::{
    Cache, Digest, FetchError, Fetcher, IndexError, Keys, LockedPackage, LockedSet, Mirrors,
    Package, Patience, Progress, ReleaseError, Repository, SignatureError, Universe, Unsolvable,
    Version, Wanted, Wishes,
    repository::{IndexText, Refresh, read_all},
    solve,
};

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
    /// Whether a set that was locked is the answer to this request, or was it to another.
    pub fn is_answered_by(&self, set: &LockedSet) -> bool {
        set.request == self.digest()
    }

    /// The digest that a lock keeps, to notice that another set is wanted now. What is kept of an
    /// earlier lock does not count: it is no part of what is asked for.
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
                "the server or something on the way to it changed the file, or it is signed with \
                 a new key; of Debian's archive try another mirror (LIFEBOAT_DEBIAN_MIRROR), of \
                 another repository fetch its key again"
                    .to_owned(),
            ),
            Self::NoRelease { .. } => Some("check the URL and the suite".to_owned()),
            _ => None,
        }
    }
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

/// The versions that the repositories of a request have of each package that it names plainly,
/// newest first, under the same checks as for [`resolve`].
///
/// # Errors
/// [`ResolveError`] if a repository cannot be had or believed.
pub fn versions(
    cache: &Cache,
    request: &Request,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    cancel: &AtomicBool,
    now: SystemTime,
) -> Result<BTreeMap<String, Vec<Version>>, ResolveError> {
    let refresh = Refresh {
        fetcher: &mirrors.fetcher(Patience::default()),
        mirrors,
        progress,
        cancel,
        now,
        architecture: &request.architecture,
    };
    let contents = refresh.all(&request.repositories)?;
    let texts = refresh.indices(cache, &contents)?;
    let mut found: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for name in &request.wishes.names {
        found.entry(name.clone()).or_default();
    }
    for package in read_all(&texts)? {
        let fits = [request.architecture.as_str(), "all"].contains(&package.architecture);
        // The reader of the index has refused any other text.
        if let (true, Some(versions), Ok(version)) = (
            fits,
            found.get_mut(package.name),
            package.version.parse::<Version>(),
        ) {
            versions.push(version);
        }
    }
    for versions in found.values_mut() {
        versions.sort_by(|one, other| other.cmp(one));
        versions.dedup();
    }
    Ok(found)
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
