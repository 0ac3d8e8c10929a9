//! Debian package archives: what they offer, whether it is signed, which packages belong
//! together, and their files as a tree. Never touches a disk image or runs a program.

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
    lock::{Lock, LockError, LockedPackage, LockedRepository, LockedSet},
    merge::{Diversion, MergeError, MergeOptions, StatOverride, merge},
    openpgp::{Keys, SignatureError},
    package::{IndexError, MultiArch, Package, Priority, read_packages},
    progress::{Progress, Silent},
    release::{Release, ReleaseError},
    repository::Repository,
    resolve::{Request, ResolveError, download, download_with, resolve, resolve_with},
    solver::{Base, Unsolvable, Wishes, solve},
    sources::{DEBIAN, DEBIAN_SECURITY, Mirrors},
    tar::{TarError, read_tar, write_tar},
    tree::{Content, Inode, InodeId, Kind, Tree, TreeError, TreePath},
    universe::{Origin, Universe},
    unpack::{DebFile, UnpackError, UnpackedDeb, unpack},
    version::{ParseVersionError, Version},
};
