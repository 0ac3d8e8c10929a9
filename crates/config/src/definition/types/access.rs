//! Who may log in: keys and where they are fetched from, passwords.

use super::{Password, SshKey, checks};

/// Where public keys are fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource<'a> {
    /// The keys of a user of github.com.
    GitHub(&'a str),
    /// The keys of a user of gitlab.com.
    GitLab(&'a str),
    /// A list of keys at a http or https URL.
    Url(&'a str),
}

impl KeySource<'_> {
    /// The address to fetch.
    pub fn url(self) -> String {
        match self {
            Self::GitHub(user) => format!("https://github.com/{user}.keys"),
            Self::GitLab(user) => format!("https://gitlab.com/{user}.keys"),
            Self::Url(url) => url.to_owned(),
        }
    }
}

impl SshKey {
    /// Where it is to be fetched from; none for a key that is written out.
    pub fn source(&self) -> Option<KeySource<'_>> {
        checks::key_source(&self.0)
    }
}

impl Password {
    /// The hash, or `*` or `!` for a locked account; none if this is plain text.
    pub fn hash(&self) -> Option<&str> {
        (self.0.starts_with('$') || matches!(&*self.0, "*" | "!")).then_some(&*self.0)
    }

    /// The password itself, if it is plain text.
    pub fn plain(&self) -> Option<&str> {
        self.hash().is_none().then_some(&*self.0)
    }
}
