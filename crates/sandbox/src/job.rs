//! What a sandbox is to do, as told to the process that becomes it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first argument of the process that becomes a sandbox.
pub(crate) const ARGUMENT: &str = "--lifeboat-sandbox";
/// What it says first on its standard output.
pub(crate) const GREETING: &[u8] = b"lifeboat-sandbox 1\n";
/// Begins the last line on standard error of a sandbox that failed itself.
pub(crate) const FAILURE: &str = "\x1elifeboat-sandbox ";
/// The exit code of a sandbox that failed itself.
pub(crate) const FAILED: u8 = 125;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) user_namespace: bool,
    pub(crate) network: Network,
    pub(crate) task: Task,
}

/// Which network a sandbox sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// None at all.
    #[default]
    None,
    /// The host's.
    Host,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Run(Run),
    Configure(Configure),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: Option<PathBuf>,
}

/// Something that a sandbox sees at a place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Mount {
    Bind { from: PathBuf, to: PathBuf },
    Tmpfs { to: PathBuf },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Configure {
    /// An empty folder.
    pub(crate) work: PathBuf,
    /// Size of a tmpfs over it, in bytes, or none.
    pub(crate) memory: Option<u64>,
    /// Whether owners are only noted, as there is one user only.
    pub(crate) note_owners: bool,
    /// The time of everything that is made, in seconds since 1970.
    pub(crate) epoch: i64,
}

/// Why a sandbox failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The package whose script failed, if one did.
    pub(crate) package: Option<String>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(what: impl std::fmt::Display) -> Self {
        Self {
            package: None,
            message: what.to_string(),
        }
    }

    /// For `map_err`: what could not be done, and the cause.
    pub(crate) fn when<E: std::fmt::Display>(
        what: impl std::fmt::Display,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format_args!("cannot {what}: {error}"))
    }
}
