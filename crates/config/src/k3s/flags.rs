//! What a flag of k3s is, and how it is found.

use std::fmt;

use super::table::FLAGS;
use crate::finding::nearest;

/// The command that a node runs in k3s' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A control plane that runs pods as well.
    Server,
    /// A worker.
    Agent,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Agent => "agent",
        })
    }
}

/// Which commands take a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// `k3s server` only.
    Server,
    /// `k3s agent` only.
    Agent,
    /// Both.
    Both,
}

impl Roles {
    /// Whether this command takes it.
    pub fn has(self, role: Role) -> bool {
        match self {
            Self::Both => true,
            Self::Server => role == Role::Server,
            Self::Agent => role == Role::Agent,
        }
    }
}

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true` or `=false`.
    Nothing,
    /// One value; the last one counts.
    Value,
    /// A value each time it is given.
    Values,
    /// One value that is never shown.
    Secret,
}

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is kubeadm's or the kubelet's setting of that meaning: which one.
    Mapped(&'static str),
    /// Nothing is lost without it: why.
    NotNeeded(&'static str),
    /// It cannot be had: why, and what to do.
    NoEquivalent(&'static str),
}

impl Verdict {
    /// One or two words for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mapped(_) => "mapped",
            Self::NotNeeded(_) => "not needed",
            Self::NoEquivalent(_) => "no equivalent",
        }
    }

    /// Its reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Mapped(text) | Self::NotNeeded(text) | Self::NoEquivalent(text) => text,
        }
    }
}

/// A flag of `k3s server` or `k3s agent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its part of k3s' settings, for the reference page.
    pub group: &'static str,
    /// Its name without dashes.
    pub name: &'static str,
    /// Other names of the same, one letter or deprecated.
    pub aliases: &'static [&'static str],
    /// The environment variables that set it.
    pub variables: &'static [&'static str],
    /// What follows it.
    pub takes: Takes,
    /// Which commands take it.
    pub roles: Roles,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Every flag of `k3s server` and `k3s agent`, of the versions 1.19 to 1.34, in groups.
pub fn flags() -> &'static [Flag] {
    FLAGS
}

/// The flag of a name without dashes, or of one of its other names.
pub fn flag(name: &str) -> Option<&'static Flag> {
    FLAGS
        .iter()
        .find(|flag| flag.name == name || flag.aliases.contains(&name))
}

/// The flag that an environment variable sets.
pub fn flag_of_variable(variable: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.variables.contains(&variable))
}

/// The name of a flag that was most likely meant, with its dashes.
pub(super) fn meant(name: &str) -> Option<String> {
    let names = FLAGS
        .iter()
        .flat_map(|flag| std::iter::once(flag.name).chain(flag.aliases.iter().copied()))
        .filter(|name| name.len() > 1);
    nearest(name, names).map(|near| format!("--{near}"))
}
