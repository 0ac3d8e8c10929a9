//! `lifeboat.lock`: every input of a build by name, version, size and digest.
//!
//! TOML with one line for each package, in a stable order, so that a change is read as a diff.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::Deserialize;

use crate::{Digest, Version};

/// The version of the format that this program writes.
const VERSION: u32 = 1;

/// All that a build takes from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Package sets by what they are for: `image`, `tools`, `payload`.
    pub sets: BTreeMap<String, LockedSet>,
}

/// The packages that answer one request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSet {
    /// Digest of the request; a changed one shows that the set has to be solved again.
    pub request: Digest,
    /// The architecture, such as `amd64`.
    pub architecture: String,
    /// Where the packages come from.
    pub repositories: Vec<LockedRepository>,
    /// The packages in the order of their names.
    pub packages: Vec<LockedPackage>,
}

/// A repository as it was when the lock was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRepository {
    /// Its URL. For Debian's own archives this is the public one; downloads use the mirrors of
    /// the machine at hand.
    pub url: String,
    /// The suite, or a folder that ends in `/`.
    pub suite: String,
    /// The components.
    pub components: Vec<String>,
    /// Digest of its signed `InRelease` (or `Release`).
    pub release: Digest,
}

/// One package file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// `amd64`, `all`.
    pub architecture: String,
    /// Place of its repository in [`LockedSet::repositories`].
    pub repository: usize,
    /// Size of the file in bytes.
    pub size: u64,
    /// Digest of the file.
    pub sha256: Digest,
    /// Path of the file, relative to the repository's URL.
    pub path: String,
}

/// A package that differs between two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The package.
    pub name: String,
    /// Version and digest before; `None` if it was not there.
    pub old: Option<(Version, Digest)>,
    /// Version and digest now; `None` if it is gone.
    pub new: Option<(Version, Digest)>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = |side: &Option<(Version, Digest)>, none: &str| match side {
            Some((version, _)) => version.to_string(),
            None => none.to_owned(),
        };
        let (old, new) = (version(&self.old, "(new)"), version(&self.new, "(gone)"));
        write!(f, "{} {old} -> {new}", self.name)
    }
}

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is not the TOML that Lifeboat writes.
    #[error("{}:{line}:{column}: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A newer Lifeboat wrote it.
    #[error("{} has version {found}; this Lifeboat reads up to version {VERSION}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version it has.
        found: u32,
    },
    /// It is well-formed but says something that cannot be.
    #[error("{}: {reason}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What cannot be.
        reason: String,
    },
    /// It cannot be read or written; the source names the file.
    #[error("the lock cannot be used")]
    Io(#[from] std::io::Error),
}

impl LockError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } | Self::Content { .. } => Some(
                "restore the file from version control, or remove it and make a new one with \
                 `lifeboat lock`"
                    .to_owned(),
            ),
            Self::Newer { .. } => Some("use the Lifeboat that wrote it, or a newer one".to_owned()),
            Self::Io(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Probe {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    sets: BTreeMap<String, LockedSet>,
}

impl Lock {
    /// Reads a lock from `text`; `file` is for messages.
    ///
    /// # Errors
    /// [`LockError`] with the line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, LockError> {
        let syntax = |error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
            LockError::Syntax {
                file: file.to_owned(),
                line: 1 + above.split('\n').count() - usize::from(!before.contains('\n')),
                column: 1 + line.chars().count(),
                reason: error.message().replace('\n', ", "),
            }
        };
        let probe: Probe = toml::from_str(text).map_err(syntax)?;
        if probe.version > VERSION {
            return Err(LockError::Newer {
                file: file.to_owned(),
                found: probe.version,
            });
        }
        let content = |reason: String| LockError::Content {
            file: file.to_owned(),
            reason,
        };
        if probe.version == 0 {
            return Err(content("there is no version 0".to_owned()));
        }
        let File { sets, .. } = toml::from_str(text).map_err(syntax)?;
        for (name, set) in &sets {
            set.check()
                .map_err(|reason| content(format!("set `{name}`: {reason}")))?;
        }
        Ok(Self { sets })
    }

    /// Reads a lock; `None` if there is no such file.
    ///
    /// # Errors
    /// [`LockError`] with the line, or if the file cannot be read.
    pub fn read(file: &Path) -> Result<Option<Self>, LockError> {
        match fs::read(file) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|error| LockError::Content {
                    file: file.to_owned(),
                    reason: format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()),
                })?;
                Ok(Some(Self::parse(file, &text)?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file by this lock, whole or not at all.
    ///
    /// # Errors
    /// [`LockError::Io`] if it cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), LockError> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut new = tempfile::Builder::new()
            .prefix(".lifeboat.lock.")
            .tempfile_in(folder)?;
        new.write_all(self.to_string().as_bytes())?;
        // A temporary file is private, a lock is for everyone who may read the folder.
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::fchmod(new.as_file(), mode).map_err(std::io::Error::from)?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)?;
        Ok(())
    }
}

impl LockedSet {
    /// The digests of its packages by name, without those called so in `without`: what a new
    /// lock keeps of this one. See [`crate::Wishes::keep`].
    pub fn kept(&self, without: &[String]) -> BTreeMap<String, Digest> {
        self.packages
            .iter()
            .filter(|package| !without.contains(&package.name))
            .map(|package| (package.name.clone(), package.sha256))
            .collect()
    }

    /// Sum of the sizes of all packages in bytes.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    /// A package by its name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// What differs from an earlier set, in the order of names.
    pub fn changes_since(&self, old: Option<&Self>) -> Vec<Change> {
        let mut changes: BTreeMap<(&str, &str), Change> = BTreeMap::new();
        let none = Vec::new();
        let old = old.map_or(&none, |old| &old.packages);
        for (packages, is_new) in [(old, false), (&self.packages, true)] {
            for package in packages {
                let key = (&*package.name, &*package.architecture);
                let change = changes.entry(key).or_insert_with(|| Change {
                    name: package.name.clone(),
                    old: None,
                    new: None,
                });
                let side = if is_new {
                    &mut change.new
                } else {
                    &mut change.old
                };
                *side = Some((package.version.clone(), package.sha256));
            }
        }
        changes
            .into_values()
            .filter(|change| change.old != change.new)
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for package in &self.packages {
            let name = &package.name;
            if package.repository >= self.repositories.len() {
                return Err(format!(
                    "package `{name}` names repository {}, there are {}",
                    package.repository,
                    self.repositories.len()
                ));
            }
            if package.path.is_empty()
                || package.path.starts_with('/')
                || package.path.split('/').any(|part| part == "..")
            {
                return Err(format!(
                    "package `{name}` has the path `{}`, which leaves its repository",
                    package.path
                ));
            }
            if !seen.insert((name, &package.architecture)) {
                return Err(format!("package `{name}` is there twice"));
            }
        }
        Ok(())
    }
}

/// A key: bare where TOML allows it.
fn key(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(bare) {
        return text.to_owned();
    }
    quoted(text)
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            _ if character.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\U{:08X}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "# Made by `lifeboat lock`. Keep it under version control, and do not edit it."
        )?;
        writeln!(f, "version = {VERSION}")?;
        for (name, set) in &self.sets {
            writeln!(f, "\n[sets.{}]", key(name))?;
            writeln!(f, "request = \"{}\"", set.request)?;
            writeln!(f, "architecture = {}", quoted(&set.architecture))?;
            writeln!(f, "repositories = [")?;
            for repository in &set.repositories {
                let components: Vec<String> = repository
                    .components
                    .iter()
                    .map(|component| quoted(component))
                    .collect();
                writeln!(
                    f,
                    "  {{ url = {}, suite = {}, components = [{}], release = \"{}\" }},",
                    quoted(&repository.url),
                    quoted(&repository.suite),
                    components.join(", "),
                    repository.release
                )?;
            }
            writeln!(f, "]\npackages = [")?;
            for package in &set.packages {
                writeln!(
                    f,
                    "  {{ name = {}, version = {}, architecture = {}, repository = {}, size = {}, \
                     sha256 = \"{}\", path = {} }},",
                    quoted(&package.name),
                    quoted(package.version.as_str()),
                    quoted(&package.architecture),
                    package.repository,
                    package.size,
                    package.sha256,
                    quoted(&package.path)
                )?;
            }
            writeln!(f, "]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
