//! `write_files`: whole files, from the configuration or from the network.

use std::collections::BTreeMap;

use lifeboat_config::definition::node::WriteFile;
use sha2::{Digest as _, Sha256};

use super::{
    accounts::Names,
    engine::Outcome,
    fetch::{Fetcher, shown},
    root::normal,
    state::NewFile,
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

    /// The paths of these files; those of files without content are not among them.
    pub fn paths(&self, files: &[WriteFile]) -> Vec<String> {
        self.files
            .keys()
            .filter_map(|index| Some(normal(files.get(*index)?.path.as_str())))
            .collect()
    }
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
