//! Cloud data sources (`data_sources`): what the platform knows of this node is read and put
//! where the sources of the configuration look for it, below `/run/config`, as k3OS did.
//!
//! The sources are asked in the order of their list; the first that is there is taken. What the
//! firmware says about the machine comes first, so that no time goes into asking for other
//! platforms; then short requests, as soon as there is a route.

mod dmi;
mod found;
mod http;
mod low_port;
mod machine;
mod names;
mod providers;
mod volume;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use found::Found;
use machine::Machine;
use names::Name;

/// The names of the sources that this boot asks for, one per line; `lifeboat node data-source`
/// reads it where it is given none, and its service starts only if it is there.
pub const REQUEST: &str = "/run/lifeboat/data_sources";

/// Asks the service of this boot to read these sources; without any it does not start.
///
/// # Errors
/// If [`REQUEST`] cannot be written.
pub(crate) fn request<'a>(names: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let text: String = names.into_iter().flat_map(|name| [name, "\n"]).collect();
    if text.is_empty() {
        return Ok(());
    }
    // A seed's URL may hold a password.
    crate::boot::write_file(Path::new(REQUEST), text.as_bytes(), 0o600)
}

/// What a run sees of the machine.
#[derive(Clone)]
pub struct Environment {
    /// Where `/sys`, `/dev` and programs are: `/` on a node.
    pub system: PathBuf,
    /// The kernel command line.
    pub command_line: String,
    /// How long to wait for the network and for answers on the platform that the firmware names.
    pub patience: Duration,
    /// The same where the firmware does not say which platform it is.
    pub guess: Duration,
    /// How long one request may take.
    pub request: Duration,
    /// How long to wait for devices that the kernel has not found yet.
    pub devices: Duration,
    /// The time by which keys expire.
    pub now: SystemTime,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The command line may hold a token.
        formatter
            .debug_struct("Environment")
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// That of the node that this runs on.
    pub fn of_node() -> Self {
        Self {
            system: PathBuf::from("/"),
            command_line: String::from_utf8_lossy(
                &fs_err::read("/proc/cmdline").unwrap_or_default(),
            )
            .into_owned(),
            patience: Duration::from_mins(1),
            guess: Duration::from_secs(15),
            request: Duration::from_secs(10),
            devices: Duration::from_secs(3),
            now: SystemTime::now(),
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The source is not that of this machine.
    Skipped,
    /// Done, or something worth a line.
    Done,
    /// Failed; what else can be done is done.
    Failed,
}

/// A line of what was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The source as the list names it; `data_sources` for the list itself.
    pub source: String,
    /// How it ended.
    pub ending: Ending,
    /// For a person; holds no secret.
    pub message: String,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `lifeboat.data-source/1`.
    pub schema: String,
    /// The source that was taken, by its first name: `aws`.
    pub provider: Option<String>,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

impl Outcome {
    /// What failed.
    pub fn failures(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| step.ending == Ending::Failed)
    }

    fn step(&mut self, source: &str, ending: Ending, message: impl Into<String>, since: Instant) {
        self.steps.push(Step {
            source: source.to_owned(),
            ending,
            message: message.into(),
            seconds: since.elapsed().as_secs_f64(),
        });
    }
}

/// Why a source gives nothing.
#[derive(Debug)]
pub(crate) enum Miss {
    /// It is not that of this machine.
    NotHere(String),
    /// It should be, but does not answer as it must.
    Failed(String),
}

/// Asks the sources in their order and writes what the first that is there knows to
/// `run/config` below `root`. A name that is not known, or a source that fails, costs itself
/// only.
pub fn run(names: &[String], root: &Path, environment: &Environment) -> Outcome {
    let mut outcome = Outcome {
        schema: "lifeboat.data-source/1".to_owned(),
        ..Outcome::default()
    };
    let machine = Machine::new(root, environment);
    let mut asked = false;
    for text in names {
        let since = Instant::now();
        let shown = names::shown(text);
        let name = match Name::parse(text) {
            Ok(name) => name,
            Err(why) => {
                outcome.step(&shown, Ending::Failed, why, since);
                continue;
            }
        };
        asked = true;
        match providers::ask(&name, &machine) {
            Err(Miss::NotHere(why)) => outcome.step(&shown, Ending::Skipped, why, since),
            Err(Miss::Failed(why)) => outcome.step(&shown, Ending::Failed, why, since),
            Ok(found) => {
                take(&mut outcome, &shown, &name, found, root, since);
                return outcome;
            }
        }
    }
    if asked {
        outcome.step(
            "data_sources",
            Ending::Failed,
            "no source of the list is there; the node keeps the configuration that it has",
            Instant::now(),
        );
    }
    outcome
}

fn take(
    outcome: &mut Outcome,
    text: &str,
    name: &Name,
    mut found: Found,
    root: &Path,
    since: Instant,
) {
    found.unpack();
    outcome.provider = Some(name.provider.name().to_owned());
    outcome.step(text, Ending::Done, found.summary(), since);
    for note in &found.notes {
        outcome.step(text, Ending::Done, note, since);
    }
    for problem in &found.problems {
        outcome.step(text, Ending::Failed, problem, since);
    }
    for (file, result) in found.write(root, name.provider.name()) {
        if let Err(error) = result {
            outcome.step(
                text,
                Ending::Failed,
                format!("cannot write {file}: {error}"),
                since,
            );
        }
    }
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum DataSourceError {
    /// The list is not there.
    #[error("cannot read which data sources are wanted; name them, or list them in data_sources")]
    Request(#[source] io::Error),
    /// Something failed; all else was done.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
}

/// Runs on this node and reports: the sources that are named, or else those that the boot wrote
/// to [`REQUEST`].
///
/// # Errors
/// [`DataSourceError`], after everything that can be done is done.
pub fn run_on_node(names: &[String]) -> Result<Outcome, DataSourceError> {
    let listed;
    let names = if names.is_empty() {
        listed = fs_err::read_to_string(REQUEST)
            .map_err(DataSourceError::Request)?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        &listed
    } else {
        names
    };
    let outcome = run(names, Path::new("/"), &Environment::of_node());
    for step in &outcome.steps {
        let state = match step.ending {
            Ending::Failed => crate::report::State::Failed,
            Ending::Skipped | Ending::Done => crate::report::State::Done,
        };
        let message = format!("{} ({:.1} s)", step.message, step.seconds);
        crate::report::step(
            "userspace",
            &format!("data source {}", step.source),
            state,
            message,
        );
    }
    let failures: Vec<String> = outcome
        .failures()
        .map(|step| format!("{}: {}", step.source, step.message))
        .collect();
    if failures.is_empty() {
        return Ok(outcome);
    }
    Err(DataSourceError::Failed(failures))
}
