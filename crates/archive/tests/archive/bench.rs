//! A repository of a few packages with its server and a cache, for a test.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use lifeboat_archive::{
    Cache, FetchError, Fetcher, Keys, LockedPackage, LockedSet, Mirrors, Patience,
    Repository as Source, Request, ResolveError, Silent, Wishes, download_with, resolve_with,
};

use crate::support::{Package, Repository, Server, Signer};

/// Mirrors get little of it in a test.
pub const PATIENCE: Patience = Patience {
    connections: 3,
    stall: Duration::from_millis(400),
    rate: 2000,
    tries: 4,
    pause: Duration::from_millis(5),
};

/// When the repositories of these tests are looked at.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(483_334)
}

pub struct Bench {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    pub cache: Cache,
    pub server: Server,
    pub signer: Signer,
    pub request: Request,
}

impl Bench {
    pub fn new(make: impl FnOnce(&std::path::Path, &Signer)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("mirror");
        fs::create_dir(&root).unwrap();
        let signer = Signer::new(1);
        make(&root, &signer);
        let server = Server::new(&root);
        let request = Request {
            repositories: vec![Source {
                url: server.url(),
                suite: "trixie".to_owned(),
                components: vec!["main".to_owned()],
                keys: Keys::Armoured(signer.public()),
                priority: None,
            }],
            architecture: "amd64".to_owned(),
            wishes: Wishes {
                names: vec!["boat".to_owned()],
                ..Wishes::default()
            },
        };
        Self {
            cache: Cache::open(folder.path().join("cache")).unwrap(),
            _folder: folder,
            root,
            server,
            signer,
            request,
        }
    }

    /// `boat`, which needs `oar` and has half a megabyte of content.
    pub fn usual() -> Self {
        Self::new(|root, signer| repository().write(root, signer))
    }

    pub fn resolve(&self) -> Result<LockedSet, ResolveError> {
        self.resolve_at(now())
    }

    pub fn resolve_at(&self, now: SystemTime) -> Result<LockedSet, ResolveError> {
        resolve_with(
            &Fetcher::new(PATIENCE, None),
            &self.cache,
            &self.request,
            &Mirrors::none(),
            &Silent,
            &AtomicBool::new(false),
            now,
        )
    }

    pub fn download(&self, set: &LockedSet) -> Result<Vec<(LockedPackage, PathBuf)>, FetchError> {
        download_with(
            &Fetcher::new(PATIENCE, None),
            &self.cache,
            set,
            &Mirrors::none(),
            &Silent,
            &AtomicBool::new(false),
        )
    }
}

pub fn repository() -> Repository {
    let mut noise = Vec::new();
    let mut state = 1_u64;
    while noise.len() < 500_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.extend((state >> 16).to_le_bytes());
    }
    Repository::new(vec![
        Package::new("boat", "1:2.0-1")
            .field("Depends: oar (>= 1)")
            .file("usr/lib/boat/hull", 0o644, &noise),
        Package::new("oar", "1.5"),
        Package::new("oar", "0.5"),
    ])
}

/// An error with all that is behind it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        text.push_str(": ");
        text.push_str(&source.to_string());
        at = source.source();
    }
    text
}
