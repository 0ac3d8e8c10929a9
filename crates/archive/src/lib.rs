//! Debian package archives: what they offer, whether it is signed, which packages belong
//! together, and their files as a tree. Never touches a disk image or runs a program.
//!
//! ```no_run
//! use lifeboat_archive::*;
//! use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicBool, time::SystemTime};
//!
//! let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name))?)?;
//! let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
//! let cancel = AtomicBool::new(false);
//! let request = Request {
//!     repositories: Repository::debian("trixie"),
//!     architecture: "amd64".to_owned(),
//!     wishes: Wishes { names: vec!["systemd".to_owned()], ..Wishes::default() },
//! };
//! let set = resolve(&cache, &request, &mirrors, &Silent, &cancel, SystemTime::now())?;
//! let files = download(&cache, &set, &mirrors, &Silent, &cancel)?;
//! assert_eq!(files.len(), set.packages.len());
//! let sets = BTreeMap::from([("image".to_owned(), set)]);
//! Lock { sets }.write(Path::new("lifeboat.lock"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod deb;
mod deb822;
mod dependency;
mod digest;
mod explain;
mod fetch;
mod lock;
mod merge;
mod openpgp;
mod package;
mod progress;
mod release;
mod repository;
mod resolve;
mod room;
mod solver;
mod sources;
pub mod tar;
mod tree;
mod universe;
mod unpack;
mod version;

pub use {
    cache::{Cache, CacheError, Entry, Lock as CacheLock},
    deb::{Control, DebError, DebReason},
    deb822::{Paragraph, ParagraphError, Paragraphs},
    dependency::{Dependency, DependencyError, Relation, parse_dependencies},
    digest::{Digest, ParseDigestError},
    fetch::{FetchError, Fetcher, Patience, Trouble, Wanted, fetch},
    lock::{Change, Lock, LockError, LockedPackage, LockedRepository, LockedSet},
    merge::{Diversion, MergeError, MergeOptions, StatOverride, merge},
    openpgp::{Keys, SignatureError},
    package::{IndexError, MultiArch, Package, Priority, read_packages},
    progress::{Progress, Silent},
    release::{Release, ReleaseError},
    repository::Repository,
    resolve::{Request, ResolveError, download, download_with, resolve, resolve_with, versions},
    room::no_room,
    solver::{Base, Unsolvable, Wishes, solve},
    sources::{DEBIAN, DEBIAN_SECURITY, Mirrors},
    tar::{TarError, read_tar, write_tar},
    tree::{Content, Inode, InodeId, Kind, Tree, TreeError, TreePath},
    universe::{Origin, Universe},
    unpack::{DebFile, UnpackError, UnpackedDeb, unpack},
    version::{ParseVersionError, Version},
};
