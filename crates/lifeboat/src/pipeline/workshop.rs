//! What all steps of a build share, and the steps that only need packages.

use std::{path::Path, sync::atomic::AtomicBool, time::SystemTime};

use anyhow::{Context as _, Result};
use lifeboat_archive::{
    Cache, DebFile, Digest, Lock, LockedSet, MergeOptions, Mirrors, Tree, UnpackedDeb, download,
    merge, resolve, unpack,
};
use lifeboat_sandbox::{ToolsTree, configure};

use super::sets::{self, Set};
use crate::{context::Context, progress::Reporter};

/// Cache, mirrors, progress and the Ctrl-C flag.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// The user's cache.
    pub cache: Cache,
    /// Where Debian's archive is reached.
    pub mirrors: Mirrors,
    /// Shows what is done.
    pub reporter: &'a Reporter,
    /// Set by Ctrl-C.
    pub cancel: &'a AtomicBool,
}

impl<'a> Workshop<'a> {
    /// The workshop of this user on this machine.
    pub fn new(context: &'a Context) -> Result<Self> {
        Ok(Self {
            cache: context.cache()?,
            mirrors: Mirrors::of_host(|name| std::env::var_os(name)),
            reporter: &context.reporter,
            cancel: &context.cancel,
        })
    }

    /// Solves a set against the archive as it is now.
    pub fn resolve(&self, set: &Set) -> Result<LockedSet> {
        resolve(
            &self.cache,
            &set.request,
            &self.mirrors,
            self.reporter,
            self.cancel,
            SystemTime::now(),
        )
        .with_context(|| format!("cannot resolve the packages of `{}`", set.name))
    }

    /// The packages of a set, downloaded, verified and unpacked.
    pub fn unpacked(&self, lock: &Lock, set: &'static str) -> Result<Vec<UnpackedDeb>> {
        let locked = lock
            .sets
            .get(set)
            .with_context(|| format!("the lock has no set `{set}`"))?;
        self.unpacked_set(locked, set)
    }

    /// The same of a set at hand, or of a part of one.
    pub fn unpacked_set(&self, locked: &LockedSet, set: &'static str) -> Result<Vec<UnpackedDeb>> {
        self.reporter
            .phase("download", &format!("packages of `{set}`"));
        let files = download(
            &self.cache,
            locked,
            &self.mirrors,
            self.reporter,
            self.cancel,
        )
        .with_context(|| format!("cannot download the packages of `{set}`"))?;
        let debs: Vec<DebFile> = files
            .into_iter()
            .map(|(package, path)| DebFile {
                path,
                sha256: package.sha256,
                name: format!(
                    "{}_{}_{}.deb",
                    package.name, package.version, package.architecture
                ),
            })
            .collect();
        self.reporter
            .phase("unpack", &format!("packages of `{set}`"));
        Ok(unpack(&self.cache, &debs, self.reporter, self.cancel)?)
    }

    /// The programs of the build machine; with a Go toolchain if the lock has one.
    pub fn tools(&self, lock: &Lock) -> Result<ToolsTree> {
        let mut debs = self.unpacked(lock, sets::TOOLS)?;
        if lock.sets.contains_key(sets::GO) {
            for deb in self.unpacked(lock, sets::GO)? {
                if !debs.iter().any(|other| other.name == deb.name) {
                    debs.push(deb);
                }
            }
        }
        Ok(ToolsTree::materialise(&self.cache, &debs)?)
    }

    /// The node's packages, merged and configured, and the newest time that one was made, in
    /// seconds since 1970.
    pub fn base(&self, lock: &Lock) -> Result<(Tree, i64)> {
        let debs = self.unpacked(lock, sets::IMAGE)?;
        let mut options = MergeOptions::unpacked();
        for pattern in [
            "/usr/share/doc/*",
            "/usr/share/man/*",
            "/usr/share/info/*",
            "/usr/share/lintian/*",
        ] {
            options = options.exclude(pattern);
        }
        // Licences stay with what they cover.
        options = options.include("/usr/share/doc/*/copyright");
        let digests: Vec<[u8; 32]> = debs.iter().map(|deb| deb.sha256.0).collect();
        let key = Digest::of_parts(digests.iter().map(<[u8; 32]>::as_slice));
        let newest = |tree: &Tree| tree.iter().map(|(_, _, inode)| inode.mtime).max();
        let time = debs
            .iter()
            .filter_map(|deb| newest(&deb.tree))
            .max()
            .unwrap_or_default();
        let tree = merge(&debs, &options)?;
        self.reporter.phase("configure", "maintainer scripts");
        Ok((configure(&self.cache, &tree, &key)?, time))
    }
}

/// The lock of a definition: beside it.
pub fn lock_file(folder: &Path) -> std::path::PathBuf {
    folder.join("lifeboat.lock")
}
