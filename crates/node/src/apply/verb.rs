//! `lifeboat node apply`: the sources read again, and applied to the running node.

use std::{io, path::Path, time::Duration};

use serde::Serialize;

use super::{
    Job, Phase, Step,
    diff::{self, Secrets},
    engine::{Done, Reporter},
    fetch::Patience,
    fetcher, host_name,
    kernel::Running,
    phase, reload,
    root::Root,
    runtime::{self, Commands},
    target::{Mode, Target},
    trial::{self, Desk},
};
use crate::{
    boot::{self, Boot, source::Source},
    init::log,
    provision,
    report::{self, State},
};

/// Where the state of trials is.
pub(super) const DESK: &str = "/run/lifeboat";

/// How to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// For good.
    Now,
    /// Only show what would change.
    DryRun,
    /// Take it back after this time unless it is confirmed.
    Try(Duration),
}

/// Why nothing was applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// This machine was not started by Lifeboat's initrd.
    #[error("cannot read what the boot left: {0}")]
    Boot(#[source] io::Error),
    /// A trial is not ended.
    #[error("a trial is not ended")]
    Trial,
    /// There is no trial.
    #[error("there is no trial")]
    NoTrial,
    /// Files that tell of it cannot be had.
    #[error("cannot {what}: {source}")]
    State {
        /// What was done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A step as `lifeboat node apply` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AppliedStep {
    /// Its name.
    pub step: &'static str,
    /// Seconds that it took.
    pub seconds: f64,
    /// How many things it changed.
    pub changed: usize,
    /// What failed in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// What waits for the network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<String>,
}

impl From<Done> for AppliedStep {
    fn from(done: Done) -> Self {
        Self {
            step: done.step.name(),
            seconds: done.seconds,
            changed: done.changed,
            failures: done.failures,
            later: done.later,
        }
    }
}

/// What was applied, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// `lifeboat.node-apply/1`.
    pub schema: &'static str,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Seconds until it is taken back, of a trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverts_in: Option<u64>,
    /// Sources with problems, and what is wrong with them.
    pub problems: Vec<String>,
    /// Its steps.
    pub steps: Vec<AppliedStep>,
    /// The changes, as unified diffs where they are text.
    pub diff: String,
    /// What failed besides the steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Applied {
    /// Whether all went as it should.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
            && self.failures.is_empty()
            && self.steps.iter().all(|step| step.failures.is_empty())
    }
}

/// Reads the sources again and applies them.
///
/// # Errors
/// [`ApplyError`]; what fails in a step is in the result.
pub fn apply(how: How) -> Result<Applied, ApplyError> {
    let desk = Desk::new(DESK);
    let state = |what| move |source| ApplyError::State { what, source };
    let turn = desk.turn().map_err(state("wait for others"))?;
    if desk.is_open() && how != How::DryRun {
        return Err(ApplyError::Trial);
    }
    let mut boot = Boot::read().map_err(ApplyError::Boot)?;
    let boot::source::Found {
        config,
        sources,
        rancher,
    } = boot::configuration();
    let mut secrets = Secrets::of(&config);
    if let Ok(before) = boot::kept_configuration() {
        secrets.add(&before);
    }
    let network = provision::address()
        .is_some()
        .then(|| fetcher(&config, Patience::default()));
    let hostname = host_name(&config, &boot);
    let facts = boot.facts();
    let job = Job {
        config: &config,
        facts: facts.as_ref(),
        hostname: &hostname,
        rancher,
        fetcher: network.as_ref(),
        logs: Path::new(boot::LOGS),
    };
    let mode = match how {
        How::Now => Mode::Apply,
        How::DryRun => Mode::DryRun,
        How::Try(limit) => Mode::Trial(
            desk.begin(&turn, limit, trial::schedule)
                .map_err(state("start a trial"))?,
        ),
    };
    let root = Root::open(Path::new("/")).map_err(state("open the root"))?;
    let mut target = Target::new(root, &Running, mode);
    let mut steps = Phase::Runtime.steps().to_vec();
    let commands = Commands::read(&config);
    if commands.done {
        steps.retain(|step| *step != Step::RunCommands);
    }
    let mut reporter = Reporter::default();
    let done = phase(Phase::Runtime, &steps, &job, &mut target, |_, event| {
        if how != How::DryRun {
            reporter.tell(event);
        }
    });
    let mut failures = Vec::new();
    if how == How::Now {
        commands.note_end(&done);
    }
    if how != How::DryRun {
        failures.extend(runtime::remember(
            &mut target,
            &mut boot,
            &config,
            &hostname,
            &sources,
            &done,
        ));
    }
    reporter.flush();
    if how != How::DryRun {
        failures.extend(reload::tell(&target.changes));
    }
    Ok(Applied {
        schema: "lifeboat.node-apply/1",
        dry_run: how == How::DryRun,
        reverts_in: match how {
            How::Try(limit) => Some(limit.as_secs()),
            How::Now | How::DryRun => None,
        },
        problems: problems(&sources),
        steps: done.into_iter().map(AppliedStep::from).collect(),
        diff: diff::show(&target.changes, &secrets),
        failures,
    })
}

fn problems(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .flat_map(|source| {
            source
                .problems
                .iter()
                .map(|problem| format!("{}: {problem}", source.name))
        })
        .collect()
}

/// Keeps what a trial has changed.
///
/// # Errors
/// [`ApplyError::NoTrial`] if it was taken back already, or there was none.
pub fn confirm() -> Result<(), ApplyError> {
    let desk = Desk::new(DESK);
    let state = |what| move |source| ApplyError::State { what, source };
    let turn = desk.turn().map_err(state("wait for others"))?;
    if !desk.confirm(&turn).map_err(state("end the trial"))? {
        return Err(ApplyError::NoTrial);
    }
    trial::unschedule();
    report::step("runtime", "trial", State::Done, "confirmed");
    Ok(())
}

/// Takes back what a trial has changed.
///
/// # Errors
/// [`ApplyError::NoTrial`] if it was confirmed, or there was none.
pub fn revert() -> Result<Vec<String>, ApplyError> {
    let desk = Desk::new(DESK);
    let state = |what| move |source| ApplyError::State { what, source };
    let turn = desk.turn().map_err(state("wait for others"))?;
    let root = Root::open(Path::new("/")).map_err(state("open the root"))?;
    let (changes, mut failures) = desk
        .take_back(&turn, &root, &Running)
        .map_err(state("take the trial back"))?
        .ok_or(ApplyError::NoTrial)?;
    trial::unschedule();
    runtime::behind_a_trial();
    let turned: Vec<_> = changes
        .into_iter()
        .rev()
        .map(|change| super::state::Change {
            before: change.after,
            after: change.before,
            ..change
        })
        .collect();
    failures.extend(reload::tell(&turned));
    let message = if failures.is_empty() {
        "not confirmed in time, so it was taken back; the sources of the configuration still say \
         what was tried"
            .to_owned()
    } else {
        format!("taken back but for: {}", failures.join("; "))
    };
    log(4, &format!("trial of a configuration: {message}"));
    let state = if failures.is_empty() {
        State::Done
    } else {
        State::Failed
    };
    report::step("runtime", "trial", state, message);
    Ok(failures)
}
