//! Phases and their steps. Every step runs although one before it failed; each is timed and
//! reported.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::report::{self, Event, State};

/// A part of a boot in which a configuration is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The first, without network and before everything else.
    Initrd,
    /// Without network, before any service starts.
    Boot,
    /// With systemd running and the network up, or at any time later.
    Runtime,
}

impl Phase {
    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initrd => "initrd",
            Self::Boot => "boot",
            Self::Runtime => "runtime",
        }
    }

    /// Its steps, in the order of k3OS. What k3OS does not have stands where what follows
    /// needs it: users before files that they own, certificates before what is fetched.
    pub fn steps(self) -> &'static [Step] {
        use Step::{
            Accounts, BootCommands, Certificates, Consoles, Environment, Files, Hostname,
            InitCommands, Kubernetes, Modules, Network, Password, RunCommands, SshKeys, Sysctls,
            System,
        };
        match self {
            Self::Initrd => &[
                Modules,
                Sysctls,
                Hostname,
                Accounts,
                Files,
                Environment,
                InitCommands,
            ],
            Self::Boot => &[
                Modules,
                Sysctls,
                Hostname,
                Network,
                Accounts,
                Password,
                Consoles,
                Certificates,
                SshKeys,
                Kubernetes,
                System,
                Files,
                Environment,
                BootCommands,
            ],
            Self::Runtime => &[
                Modules,
                Sysctls,
                Hostname,
                Network,
                Accounts,
                Password,
                Consoles,
                Certificates,
                SshKeys,
                Kubernetes,
                System,
                Files,
                Environment,
                RunCommands,
            ],
        }
    }
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Kernel modules.
    Modules,
    /// Kernel settings.
    Sysctls,
    /// The host name, in the kernel and in files.
    Hostname,
    /// Interfaces, name servers, time servers, wireless networks.
    Network,
    /// Users and groups.
    Accounts,
    /// Passwords.
    Password,
    /// Whether consoles ask who logs in.
    Consoles,
    /// Authorities that are trusted.
    Certificates,
    /// Keys that log in by SSH.
    SshKeys,
    /// Container runtime, pod network and kubeadm's configuration.
    Kubernetes,
    /// Time zone, locale, mounts, swap, units, registries.
    System,
    /// `write_files`.
    Files,
    /// `environment`.
    Environment,
    /// `init_cmd`.
    InitCommands,
    /// `boot_cmd`.
    BootCommands,
    /// `run_cmd`.
    RunCommands,
}

impl Step {
    /// Its name in events and in `lifeboat node status`: that of the key where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modules => "modules",
            Self::Sysctls => "sysctls",
            Self::Hostname => "hostname",
            Self::Network => "network",
            Self::Accounts => "users",
            Self::Password => "password",
            Self::Consoles => "consoles",
            Self::Certificates => "ca_certs",
            Self::SshKeys => "ssh_authorized_keys",
            Self::Kubernetes => "kubernetes",
            Self::System => "system",
            Self::Files => "write_files",
            Self::Environment => "environment",
            Self::InitCommands => "init_cmd",
            Self::BootCommands => "boot_cmd",
            Self::RunCommands => "run_cmd",
        }
    }
}

/// What a step says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What failed in it, each for itself.
    pub failures: Vec<String>,
    /// What waits for the network.
    pub later: Vec<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Something failed; the rest of the step goes on.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failures.push(reason.into());
    }

    /// Something failed if this is an error.
    pub fn check<E: std::fmt::Display>(&mut self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.fail(format!("{what}: {error}"));
        }
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Done {
    /// In which phase.
    pub phase: Phase,
    /// Which.
    pub step: Step,
    /// Seconds that it took.
    pub seconds: f64,
    /// How many things it changed.
    pub changed: usize,
    /// What failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// What waits for the network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<String>,
}

/// Runs these steps of a phase in their order.
pub(crate) fn run(
    phase: Phase,
    steps: &[Step],
    target: &mut Target<'_>,
    mut work: impl FnMut(Step, &mut Target<'_>, &mut Outcome),
    mut tell: impl FnMut(&Done, Event),
) -> Vec<Done> {
    let mut all = Vec::new();
    for &step in phase.steps().iter().filter(|step| steps.contains(step)) {
        let start = Instant::now();
        let before = target.changes.len();
        let mut outcome = Outcome::default();
        work(step, target, &mut outcome);
        let done = Done {
            phase,
            step,
            seconds: milliseconds(start) / 1000.0,
            changed: target.changes.len() - before,
            failures: outcome.failures,
            later: outcome.later,
        };
        tell(&done, event(&done, &outcome.notes));
        all.push(done);
    }
    all
}

fn milliseconds(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 100_000.0).round() / 100.0
}

/// The event of a step that ended.
fn event(done: &Done, notes: &[String]) -> Event {
    let state = if done.failures.is_empty() {
        State::Done
    } else {
        State::Failed
    };
    let mut words: Vec<String> = done.failures.clone();
    if !done.later.is_empty() {
        words.push(format!(
            "waiting for the network: {}",
            done.later.join(", ")
        ));
    }
    words.extend(notes.iter().cloned());
    if done.changed > 0 && done.failures.is_empty() {
        words.push(format!("{} changed", done.changed));
    }
    Event {
        seconds: Some(done.seconds),
        ..Event::new(done.phase.name(), done.step.name(), state, words.join("; "))
    }
}

/// Tells events to the log and the host: failures at once, the rest when a phase has ended, as
/// each line to the host costs a moment of the boot.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    waiting: Vec<Event>,
}

impl Reporter {
    /// Tells of a step.
    pub fn tell(&mut self, event: Event) {
        if event.state == State::Failed {
            self.flush();
            crate::init::log(
                3,
                &format!("{}/{}: {}", event.phase, event.step, event.message),
            );
            report::send(&event);
        } else {
            self.waiting.push(event);
        }
    }

    /// Tells what waits.
    pub fn flush(&mut self) {
        report::keep(&std::mem::take(&mut self.waiting));
    }
}
