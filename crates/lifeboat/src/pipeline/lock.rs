//! The lock: followed where it answers the definition, moved where it does not.

use std::{fmt, path::Path};

use anyhow::Result;
use lifeboat_archive::{Lock, LockedSet, Request};

use super::{sets::Set, workshop::Workshop};
use crate::hint::Advised;

/// What may happen to the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Resolve what the lock does not answer.
    Follow,
    /// Fail where something would have to be resolved.
    Locked,
    /// Resolve everything again.
    UpdateAll,
    /// Move these packages in the sets that hold them, and what they take along.
    Update(Vec<String>),
}

/// One package whose version moved, came or went.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The set.
    pub set: String,
    /// The package.
    pub package: String,
    /// The version before.
    pub before: Option<String>,
    /// The version now.
    pub now: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            set,
            package,
            before,
            now,
        } = self;
        match (before, now) {
            (Some(before), Some(now)) => write!(f, "{set}: {package} {before} -> {now}"),
            (None, Some(now)) => write!(f, "{set}: {package} {now} added"),
            (Some(before), None) => write!(f, "{set}: {package} {before} removed"),
            (None, None) => write!(f, "{set}: {package} unchanged"),
        }
    }
}

/// The lock that answers `sets`, read from `file` and written back where it moved, and what
/// changed in it.
pub fn settle(
    workshop: &Workshop<'_>,
    sets: &[Set],
    file: &Path,
    policy: &Policy,
) -> Result<(Lock, Vec<Change>)> {
    let found = Lock::read(file)?;
    let is_new = found.is_none();
    let old = found.unwrap_or_default();
    let missing = |names: &'_ [String]| {
        let known = |name: &&String| old.sets.values().any(|set| set.package(name).is_some());
        names.iter().find(|name| !known(name)).cloned()
    };
    if let Policy::Update(names) = policy
        && let Some(name) = missing(names)
    {
        return Err(Advised::new(
            format!("no set of `{}` holds a package `{name}`", file.display()),
            "name a package as it stands in the lock",
        ));
    }
    let mut lock = Lock::default();
    for set in sets {
        let known = old.sets.get(set.name);
        let holds = |name: &str| known.is_some_and(|known| known.package(name).is_some());
        let again = match policy {
            Policy::UpdateAll => true,
            Policy::Update(names) => names.iter().any(|name| holds(name)),
            Policy::Follow | Policy::Locked => false,
        };
        let fits = known.filter(|known| known.request == set.request.digest());
        let now = match fits {
            Some(known) if !again => known.clone(),
            _ if *policy == Policy::Locked => {
                let why = if known.is_some() {
                    "was made for other packages"
                } else {
                    "is missing"
                };
                let (file, name) = (file.display(), set.name);
                return Err(Advised::new(
                    format!("`{file}` does not answer the definition: its set `{name}` {why}"),
                    "run `lifeboat lock`, or leave out `--locked`",
                ));
            }
            _ => workshop.resolve(&Set {
                name: set.name,
                request: keeping(&set.request, known, policy),
            })?,
        };
        lock.sets.insert(set.name.to_owned(), now);
    }
    let changes = if is_new {
        Vec::new()
    } else {
        compare(&old, &lock)
    };
    if is_new || lock != old {
        lock.write(file)?;
    }
    Ok((lock, changes))
}

/// The request, such that a new lock changes only what it must: a set that is resolved again
/// because the definition asks for something else keeps all versions that still fit.
fn keeping(request: &Request, known: Option<&LockedSet>, policy: &Policy) -> Request {
    let mut request = request.clone();
    let without: &[String] = match policy {
        Policy::UpdateAll => return request,
        Policy::Update(names) => names,
        Policy::Follow | Policy::Locked => &[],
    };
    if let Some(known) = known {
        request.wishes.keep = known.kept(without);
    }
    request
}

/// What differs between two locks, by set and package.
fn compare(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    let empty = Vec::new();
    for name in new.sets.keys() {
        let packages = |lock: &'_ Lock| -> Vec<(String, String)> {
            let set: Option<&LockedSet> = lock.sets.get(name);
            set.map_or(&empty, |set| &set.packages)
                .iter()
                .map(|package| (package.name.clone(), package.version.to_string()))
                .collect()
        };
        let (before, now) = (packages(old), packages(new));
        let version = |packages: &[(String, String)], name: &str| {
            packages
                .iter()
                .find(|package| package.0 == name)
                .map(|package| package.1.clone())
        };
        let mut names: Vec<&String> = before
            .iter()
            .chain(&now)
            .map(|package| &package.0)
            .collect();
        names.sort();
        names.dedup();
        for package in names {
            let (before, now) = (version(&before, package), version(&now, package));
            if before != now {
                changes.push(Change {
                    set: name.clone(),
                    package: package.clone(),
                    before,
                    now,
                });
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::{Digest, LockedPackage};

    use super::*;

    fn lock(packages: &[(&str, &str)]) -> Lock {
        let packages = packages
            .iter()
            .map(|(name, version)| LockedPackage {
                name: (*name).to_owned(),
                version: version.parse().unwrap(),
                architecture: "amd64".to_owned(),
                repository: 0,
                size: 1,
                sha256: Digest([0; 32]),
                path: String::new(),
            })
            .collect();
        let set = LockedSet {
            request: Digest([0; 32]),
            architecture: "amd64".to_owned(),
            repositories: Vec::new(),
            packages,
        };
        Lock {
            sets: [("image".to_owned(), set)].into(),
        }
    }

    #[test]
    fn only_what_is_to_move_may_move() {
        let known = lock(&[("a", "1"), ("b", "1")])
            .sets
            .remove("image")
            .unwrap();
        let request = Request {
            repositories: Vec::new(),
            architecture: "amd64".to_owned(),
            wishes: lifeboat_archive::Wishes::default(),
        };
        let kept = |policy: &Policy| -> Vec<String> {
            let request = keeping(&request, Some(&known), policy);
            request.wishes.keep.into_keys().collect()
        };
        assert_eq!(kept(&Policy::Follow), ["a", "b"]);
        assert_eq!(kept(&Policy::Update(vec!["a".to_owned()])), ["b"]);
        assert!(kept(&Policy::UpdateAll).is_empty());
        assert!(
            keeping(&request, None, &Policy::Follow)
                .wishes
                .keep
                .is_empty()
        );
    }

    #[test]
    fn what_moved_came_and_went_is_told() {
        let changes = compare(
            &lock(&[("a", "1"), ("b", "1"), ("c", "1")]),
            &lock(&[("a", "1"), ("b", "2"), ("d", "1")]),
        );
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["image: b 1 -> 2", "image: c 1 removed", "image: d 1 added"]
        );
    }
}
