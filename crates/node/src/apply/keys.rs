//! Who may log in by SSH: keys of the configuration and of the places that it names.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat_config::definition::types::{KeySource, SshKey};

use super::{
    engine::Outcome,
    fetch::{FetchError, Fetcher, shown},
    state::NewFile,
    target::Target,
};
use crate::init::hex;

/// Where sshd looks (files/sshd.conf), by user.
const KEYS: &str = "/etc/ssh/authorized_keys.d";
/// Where they are kept over boots.
const KEPT: &str = "/var/lib/lifeboat/ssh/authorized_keys";
/// Where answers of servers are kept, by the hash of their URL.
const CACHE: &str = "/var/lib/lifeboat/cache/keys";
/// Takes the second place away where sshd looks for keys, a user's own file.
const EXCLUSIVE: &str = "/etc/ssh/sshd_config.d/05-lifeboat-keys.conf";
/// The most that an answer with keys has.
const MOST_BYTES: u64 = 1 << 20;
/// Servers that are asked at the same time.
const AT_ONCE: usize = 8;

/// Keys of a user.
#[derive(Debug)]
pub(super) struct Login<'a> {
    /// The user.
    pub user: &'a str,
    /// Their keys, and places that have some.
    pub keys: &'a [SshKey],
}

/// Whether keys of earlier configurations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// They do.
    Stay,
    /// Only those of the configuration count.
    Go,
}

/// Whether this boot has written the keys of a user.
pub(super) fn has(user: &str, target: &Target<'_>) -> bool {
    target.root().exists(&format!("{KEYS}/{user}"))
}

/// Where an entry that names a place is fetched from.
fn url(key: &SshKey, fetcher: Option<&Fetcher>) -> Option<String> {
    Some(match (key.source()?, fetcher) {
        (KeySource::GitHub(user), Some(fetcher)) => format!("{}/{user}.keys", fetcher.github),
        (KeySource::GitLab(user), Some(fetcher)) => format!("{}/{user}.keys", fetcher.gitlab),
        (source, _) => source.url(),
    })
}

/// Writes the keys of each user. Without a fetcher, what other machines have comes from the
/// cache; what is not in it is put off.
pub(super) fn apply(
    logins: &[Login<'_>],
    others: Others,
    fetcher: Option<&Fetcher>,
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) {
    let urls: BTreeSet<String> = logins
        .iter()
        .flat_map(|login| login.keys)
        .filter_map(|key| url(key, fetcher))
        .collect();
    let found = fetched(&urls, fetcher, target, outcome);
    let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for login in logins {
        let mut wanted = Vec::new();
        for key in login.keys {
            match url(key, fetcher) {
                None => wanted.push(key.as_str().to_owned()),
                Some(url) => wanted.extend(found.get(&url).into_iter().flatten().cloned()),
            }
        }
        // A user may be listed twice: root, whose keys are those of the node.
        texts.entry(login.user).or_default().extend(wanted);
    }
    for (user, wanted) in &texts {
        write(user, wanted, others, target, outcome);
    }
    for user in target.root().names(KEYS) {
        if !texts.contains_key(user.as_str()) {
            let removed = target.retire(&format!("{KEYS}/{user}"));
            outcome.check(&format!("cannot take the keys of {user} away"), removed);
        }
    }
    for name in target.root().names(CACHE) {
        if !urls.iter().any(|url| cache_name(url) == name) {
            let removed = target.remove(&format!("{CACHE}/{name}"));
            outcome.check("cannot forget keys that are not wanted any more", removed);
        }
    }
    let only = match others {
        Others::Go => target.generate(
            EXCLUSIVE,
            "# ssh_keys_exclusive: no other file counts.\nAuthorizedKeysFile /etc/ssh/authorized_keys.d/%u\n",
            0o644,
        ),
        Others::Stay => target.retire(EXCLUSIVE),
    };
    outcome.check("cannot write the settings of sshd", only);
}

fn write(
    user: &str,
    wanted: &[String],
    others: Others,
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) {
    let kept = format!("{KEPT}/{user}");
    let before = match others {
        Others::Stay => target.text(&kept),
        Others::Go => String::new(),
    };
    let text = merged(&before, wanted);
    // Nothing was kept and nothing is to be.
    if !text.is_empty() || target.root().exists(&kept) {
        let done = target.put(&kept, NewFile::new(text.as_str(), 0o600));
        outcome.check(&format!("cannot keep the keys of {user}"), done);
    }
    // sshd reads it as that user.
    let mode = if user == "root" { 0o600 } else { 0o644 };
    let done = target.generate(&format!("{KEYS}/{user}"), text, mode);
    outcome.check(&format!("cannot write the keys of {user}"), done);
}

/// The text with these keys added that are not there yet.
fn merged(text: &str, wanted: &[String]) -> String {
    let mut seen = BTreeSet::new();
    let mut merged = String::new();
    for line in text.lines().chain(wanted.iter().map(String::as_str)) {
        let line = line.trim();
        if !line.is_empty() && seen.insert(identity(line)) {
            merged.push_str(line);
            merged.push('\n');
        }
    }
    merged
}

/// What makes a key that key: its options, its type and its body. The comment is for people.
fn identity(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let kind = words.windows(2).position(|pair| {
        ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|start| pair[0].starts_with(start))
            && pair[1].starts_with("AAAA")
    });
    match kind {
        Some(at) => words[..at + 2].join(" "),
        None => words.join(" "),
    }
}

fn cache_name(url: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(url))
}

/// The keys of each URL: from the network, else those that are kept from the last time.
fn fetched(
    urls: &BTreeSet<String>,
    fetcher: Option<&Fetcher>,
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) -> BTreeMap<String, Vec<String>> {
    let answers = match fetcher {
        Some(fetcher) => ask(urls, fetcher),
        None => Vec::new(),
    };
    let mut found = BTreeMap::new();
    for (index, url) in urls.iter().enumerate() {
        let cached = format!("{CACHE}/{}", cache_name(url));
        match answers.get(index) {
            None => {
                if target.root().exists(&cached) {
                    found.insert(url.clone(), lines(&target.text(&cached)));
                }
                // Also what is known is asked for again: keys are given and taken.
                outcome.later.push(shown(url));
            }
            Some(Ok(keys)) => {
                let text = keys.join("\n") + "\n";
                let kept = target.put(&cached, NewFile::new(text, 0o600));
                outcome.check("cannot keep the keys of a server", kept);
                found.insert(url.clone(), keys.clone());
            }
            Some(Err(error)) => {
                let gone = matches!(error, KeysError::Fetch(error) if error.is_gone());
                let known = !gone && target.root().exists(&cached);
                let rest = if known {
                    found.insert(url.clone(), lines(&target.text(&cached)));
                    "; those of the last time stay"
                } else {
                    let removed = target.remove(&cached);
                    outcome.check("cannot forget the keys of a server", removed);
                    ""
                };
                outcome.fail(format!("no keys from {}: {error}{rest}", shown(url)));
            }
        }
    }
    found
}

/// Why a server gave no keys.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer holds no keys but something else")]
    NoKeys,
}

/// Asks all servers, some at a time; the answers are in the order of the URLs.
fn ask(urls: &BTreeSet<String>, fetcher: &Fetcher) -> Vec<Result<Vec<String>, KeysError>> {
    let urls: Vec<&String> = urls.iter().collect();
    let mut answers = Vec::new();
    for some in urls.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|url| scope.spawn(move || keys(fetcher, url)))
                .collect();
            answers.extend(running.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| {
                    let ended = "its thread ended".to_owned();
                    Err(FetchError::Connection(ended).into())
                })
            }));
        });
    }
    answers
}

fn keys(fetcher: &Fetcher, url: &str) -> Result<Vec<String>, KeysError> {
    let body = fetcher.get(url, MOST_BYTES)?;
    let text = String::from_utf8_lossy(&body);
    let keys = lines(&text);
    if keys.is_empty() && !text.trim().is_empty() {
        return Err(KeysError::NoKeys);
    }
    Ok(keys)
}

/// The lines of a text that are keys.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter(|line| {
            line.parse::<SshKey>()
                .is_ok_and(|key| key.source().is_none())
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_not_written_twice() {
        let wanted = [
            "ssh-ed25519 AAAAx me@here",
            "ssh-ed25519 AAAAx",
            "from=\"h\" ssh-ed25519 AAAAx",
            "ssh-rsa AAAAy",
        ]
        .map(str::to_owned);
        assert_eq!(
            merged("ssh-rsa AAAAy old\n\n", &wanted),
            "ssh-rsa AAAAy old\nssh-ed25519 AAAAx me@here\nfrom=\"h\" ssh-ed25519 AAAAx\n"
        );
    }

    proptest! {
        #[test]
        fn merging_again_changes_nothing(text: String, wanted: Vec<String>) {
            let wanted: Vec<String> = wanted.iter().map(|key| key.replace(['\n', '\r'], " ")).collect();
            let once = merged(&text, &wanted);
            prop_assert_eq!(merged(&once, &wanted), once);
        }
    }
}
