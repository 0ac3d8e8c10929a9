//! `write_files`: whole files, from the configuration or from the network.

use std::collections::BTreeMap;

use lifeboat_config::definition::node::WriteFile;
use sha2::{Digest as _, Sha256};

use super::{
    Job, Rancher,
    accounts::{Names, RANCHER},
    engine::{Outcome, Step},
    fetch::{Fetcher, shown},
    root::normal,
    state::{NewFile, Place},
    target::Target,
};
use crate::init::hex;

/// Files from the network, by their SHA-256.
const CACHE: &str = "/var/lib/lifeboat/cache/files";

/// The contents of these files that are to be had, by their place in the list; what is wrong with
/// the others is in the outcome.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<usize, Vec<u8>>,
    failures: Vec<String>,
    later: Vec<String>,
}

impl Contents {
    /// Decodes what is in the configuration, and gets what is not.
    pub fn of(files: &[WriteFile], fetcher: Option<&Fetcher>, target: &mut Target<'_>) -> Self {
        let mut contents = Self::default();
        for (index, file) in files.iter().enumerate() {
            let path = file.path.as_str();
            let bytes = match &file.source {
                None => file.bytes(),
                Some(source) => {
                    let digest = source.sha256.as_str().to_ascii_lowercase();
                    let url = source.url.as_str();
                    match contents.fetched(url, &digest, fetcher, target) {
                        Some(bytes) => file.unpacked(&bytes),
                        None => continue,
                    }
                }
            };
            match bytes {
                Ok(bytes) => {
                    contents.files.insert(index, bytes);
                }
                Err(error) => contents
                    .failures
                    .push(format!("{path} is not written: {error}")),
            }
        }
        contents
    }

    fn fetched(
        &mut self,
        url: &str,
        digest: &str,
        fetcher: Option<&Fetcher>,
        target: &mut Target<'_>,
    ) -> Option<Vec<u8>> {
        let cached = format!("{CACHE}/{digest}");
        let kept = target.root().bytes(&cached).ok().flatten();
        if let Some(bytes) = kept.filter(|bytes| hex(&Sha256::digest(bytes)) == digest) {
            return Some(bytes);
        }
        let Some(fetcher) = fetcher else {
            self.later.push(shown(url));
            return None;
        };
        let bytes = match fetcher.get(url, WriteFile::MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.failures
                    .push(format!("cannot fetch {}: {error}", shown(url)));
                return None;
            }
        };
        let found = hex(&Sha256::digest(&bytes));
        if found != digest {
            self.failures.push(format!(
                "{} is not the file that is wanted: its SHA-256 is {found} instead of {digest}",
                shown(url)
            ));
            return None;
        }
        // Without it the next boot waits for the network again.
        if let Err(error) = target.put(&cached, NewFile::new(bytes.as_slice(), 0o600)) {
            self.failures.push(format!(
                "cannot keep {} for later boots: {error}",
                shown(url)
            ));
        }
        Some(bytes)
    }

    /// The paths of these files, which nothing else is written to. Those that have no content or
    /// cannot be written are not among them: what Lifeboat generates is better than nothing.
    pub fn paths(&self, steps: &[Step], job: &Job<'_>, target: &Target<'_>) -> Vec<String> {
        let files = &job.config.write_files;
        let names = Names::read(target);
        // The last one of a path is the one that is written.
        let last: BTreeMap<String, (&WriteFile, &[u8])> = self
            .files
            .iter()
            .filter_map(|(index, bytes)| {
                let file = files.get(*index)?;
                Some((normal(file.path.as_str()), (file, bytes.as_slice())))
            })
            .collect();
        last.into_iter()
            .filter(|(path, (file, bytes))| {
                if steps.contains(&Step::Files) {
                    has_owner(file, &names, job) && has_place(path, target)
                } else {
                    // It was their turn in an earlier phase.
                    match target.look(path) {
                        Ok(Place::File(there)) => there.bytes == *bytes,
                        Ok(Place::Large { .. }) => true,
                        _ => false,
                    }
                }
            })
            .map(|(path, _)| path)
            .collect()
    }
}

/// Whether the owner of a file is there, or is made before the file.
fn has_owner(file: &WriteFile, names: &Names, job: &Job<'_>) -> bool {
    let is_rancher = |name: &str| job.rancher == Rancher::Wanted && name == RANCHER;
    let users = &job.config.users;
    let is_user = |name: &str| {
        is_rancher(name)
            || users.iter().any(|user| user.name.as_str() == name)
            || names.owner(name, None).is_ok()
    };
    let is_group = |name: &str| {
        let mut groups = job.config.groups.iter();
        is_rancher(name)
            || groups.any(|group| group.name.as_str() == name)
            // Groups of the users' own.
            || users.iter().any(|user| user.name.as_str() == name)
            || names.owner("", Some(name)).is_ok()
    };
    let (user, group) = file.owner.parts();
    is_user(user) && group.is_none_or(is_group)
}

/// Whether a file can be at a path: no folder is there, and all above it are folders.
fn has_place(path: &str, target: &Target<'_>) -> bool {
    let above = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
    let mut missing = above.filter(|folder| !target.root().exists(folder));
    // A link that leads nowhere is in the way, too.
    missing.all(|folder| matches!(target.look(folder), Ok(Place::Nothing)))
        && matches!(
            target.look(path),
            Ok(Place::Nothing | Place::File(_) | Place::Link(_) | Place::Large { .. })
        )
}

/// Writes the files in their order, each although one before it failed.
pub(super) fn apply(
    files: &[WriteFile],
    contents: &Contents,
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) {
    outcome.failures.extend(contents.failures.iter().cloned());
    outcome.later.extend(contents.later.iter().cloned());
    let names = Names::read(target);
    // Of several for one path the last one stays; the others would only be written over.
    let last: BTreeMap<String, usize> = files
        .iter()
        .enumerate()
        .filter(|(index, _)| contents.files.contains_key(index))
        .map(|(index, file)| (normal(file.path.as_str()), index))
        .collect();
    for (index, bytes) in &contents.files {
        let Some(file) = files.get(*index) else {
            continue;
        };
        let path = file.path.as_str();
        if last.get(&normal(path)) != Some(index) {
            continue;
        }
        let (user, group) = file.owner.parts();
        let written = names.owner(user, group).and_then(|(uid, gid)| {
            let new = NewFile {
                bytes: bytes.clone(),
                mode: file.permissions.bits(),
                uid,
                gid,
            };
            target.put(path, new)
        });
        outcome.check(&format!("{path} is not written"), written);
    }
    let wanted: Vec<String> = files
        .iter()
        .filter_map(|file| Some(file.source.as_ref()?.sha256.as_str().to_ascii_lowercase()))
        .collect();
    for name in target.root().names(CACHE) {
        if !wanted.contains(&name) {
            let removed = target.remove(&format!("{CACHE}/{name}"));
            outcome.check("cannot forget a file that is not wanted any more", removed);
        }
    }
}
