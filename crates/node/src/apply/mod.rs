//! Makes a node be what its configuration says: the phases of a boot, and `lifeboat node apply`
//! at any time later.
//!
//! All files go through [`target::Target`], which knows what was there before. So each step may
//! run again and changes only what is not right already, a dry run shows what would change, and a
//! trial can be taken back.

mod accounts;
mod commands;
mod crypt;
mod diff;
mod engine;
mod fetch;
mod files;
mod generated;
mod journal;
mod kernel;
mod kernel_args;
mod keys;
mod proxy;
mod reload;
mod root;
mod runtime;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod trial;
mod verb;

use std::{path::Path, time::Duration};

use lifeboat_config::{
    NodeConfig,
    render::{self, Facts},
};

use crate::boot;
use commands::Shell;
use engine::{Outcome, Phase, Step};
use fetch::{Fetcher, Patience};
use files::Contents;
use generated::Generated;
use keys::{Login, Others};
use proxy::Proxies;
use root::Root;
use target::Target;

pub(crate) use runtime::NEEDED;
pub use runtime::{RunError, run};
pub use verb::{Applied, AppliedStep, ApplyError, How, apply, confirm, revert};

/// The longest that a command may hold up a boot.
const HOLDS_UP: Duration = Duration::from_mins(10);
/// The longest that a command of `run_cmd` may take: the kubelet waits for it.
const RUNS: Duration = Duration::from_mins(15);

/// Whether there is k3OS' login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rancher {
    /// The configuration is one of k3OS.
    Wanted,
    /// It is not.
    #[default]
    Absent,
}

/// What is applied.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The configuration.
    pub config: &'a NodeConfig,
    /// What the payload says; none without one.
    pub facts: Option<&'a Facts>,
    /// The node's name.
    pub hostname: &'a str,
    /// Whether there is k3OS' login.
    pub rancher: Rancher,
    /// The network, where there is one.
    pub fetcher: Option<&'a Fetcher>,
    /// Logs of commands.
    pub logs: &'a Path,
}

/// A job with all that its steps share.
struct Work<'a> {
    job: &'a Job<'a>,
    phase: Phase,
    generated: Generated,
    contents: Contents,
}

/// Runs these steps of a phase, in the phase's order.
fn phase(
    phase: Phase,
    steps: &[Step],
    job: &Job<'_>,
    target: &mut Target<'_>,
    mut tell: impl FnMut(&engine::Done, crate::report::Event),
) -> Vec<engine::Done> {
    let files = &job.config.write_files;
    let contents = Contents::of(files, job.fetcher, target);
    let paths = contents.paths(steps, job, target);
    target.claim(paths);
    let work = Work {
        job,
        phase,
        generated: Generated::render(job.config, job.facts, job.hostname, target),
        contents,
    };
    engine::run(
        phase,
        steps,
        target,
        |step, target, outcome| work.step(step, target, outcome),
        &mut tell,
    )
}

/// Takes a folder as the root of what is applied.
pub(crate) fn root(path: &Path) -> std::io::Result<Root> {
    Root::open(path)
}

/// What the phases before systemd made of a configuration.
#[derive(Debug, Default)]
pub(crate) struct BeforeServices {
    /// Steps that failed, and why.
    pub failures: Vec<(&'static str, String)>,
    /// Whether the runtime phase has something to do.
    pub needs_runtime: bool,
}

/// The phases before systemd, in one go.
pub(crate) fn before_services(job: &Job<'_>, root: Root) -> BeforeServices {
    let mut target = Target::new(root, &kernel::Running, target::Mode::Apply);
    let mut reporter = engine::Reporter::default();
    let first = Phase::Initrd.steps();
    let mut done = phase(Phase::Initrd, first, job, &mut target, |_, event| {
        reporter.tell(event);
    });
    let second = again(Phase::Boot, first, job.config);
    done.extend(phase(Phase::Boot, &second, job, &mut target, |_, event| {
        reporter.tell(event);
    }));
    reporter.flush();
    BeforeServices {
        needs_runtime: needs_runtime(job.config, &done),
        failures: done
            .into_iter()
            .flat_map(|done| {
                let name = done.step.name();
                done.failures.into_iter().map(move |reason| (name, reason))
            })
            .collect(),
    }
}

/// Applies the phases before systemd to a folder that is no node's root: nothing is told to the
/// running kernel, no command runs. For measurements.
///
/// # Errors
/// If the folder cannot be opened.
pub fn rehearse(
    folder: &Path,
    hostname: &str,
    config: &NodeConfig,
    facts: Option<&Facts>,
) -> std::io::Result<Vec<AppliedStep>> {
    let job = Job {
        config,
        facts,
        hostname,
        rancher: Rancher::Wanted,
        fetcher: None,
        logs: folder,
    };
    let mut target = Target::new(Root::open(folder)?, &kernel::Deaf, target::Mode::Apply);
    let quiet = |steps: &[Step]| {
        let commands = [Step::InitCommands, Step::BootCommands];
        let steps = steps.iter().copied();
        steps
            .filter(|step| !commands.contains(step))
            .collect::<Vec<_>>()
    };
    let first = quiet(Phase::Initrd.steps());
    let mut done = phase(Phase::Initrd, &first, &job, &mut target, |_, _| {});
    let second = quiet(&again(Phase::Boot, &first, config));
    done.extend(phase(Phase::Boot, &second, &job, &mut target, |_, _| {}));
    Ok(done.into_iter().map(AppliedStep::from).collect())
}

/// The steps of a phase that can find something to do after `before` have run with the same
/// configuration.
fn again(phase: Phase, before: &[Step], config: &NodeConfig) -> Vec<Step> {
    // A command may have changed anything.
    let disturbed = before
        .iter()
        .any(|step| *step == Step::InitCommands && !config.init_cmd.is_empty());
    phase
        .steps()
        .iter()
        .copied()
        .filter(|step| disturbed || !before.contains(step))
        .collect()
}

impl Work<'_> {
    fn step(&self, step: Step, target: &mut Target<'_>, outcome: &mut Outcome) {
        let job = self.job;
        let config = job.config;
        match step {
            Step::Hostname => generated::host_name(job.hostname, target, outcome),
            Step::Accounts => {
                if self.has_rancher() {
                    accounts::rancher(target, outcome);
                }
                accounts::users(config, target, outcome);
                self.generated.write(step, self.phase, target, outcome);
            }
            Step::Password => self.password(target, outcome),
            Step::Consoles => generated::consoles(config, target, outcome),
            Step::SshKeys => self.ssh_keys(target, outcome),
            Step::Files => files::apply(&config.write_files, &self.contents, target, outcome),
            Step::InitCommands | Step::BootCommands | Step::RunCommands => {
                self.commands(step, target, outcome);
            }
            Step::Modules
            | Step::Sysctls
            | Step::Network
            | Step::Certificates
            | Step::Kubernetes
            | Step::System
            | Step::Environment => {
                self.generated.write(step, self.phase, target, outcome);
            }
        }
        match step {
            Step::Modules => kernel::modules(target, outcome),
            Step::Sysctls => kernel::settings(target, outcome),
            Step::Network => generated::resolver(target, outcome),
            Step::Certificates => generated::authorities(config, target, outcome),
            Step::System => {
                generated::image_units(config, target, outcome);
                kernel_args::apply(config, target, outcome);
            }
            Step::Kubernetes => {
                if let Some(facts) = job.facts {
                    generated::first_subnet(config, facts, target, outcome);
                }
                generated::commands_first(config, target, outcome);
            }
            Step::Environment => self.generated.remember(target, outcome),
            _ => {}
        }
    }

    /// Whether k3OS' login is made: not where `users` has one of that name or number.
    fn has_rancher(&self) -> bool {
        let mut users = self.job.config.users.iter();
        self.job.rancher == Rancher::Wanted && !users.any(accounts::is_ranchers)
    }

    fn password(&self, target: &mut Target<'_>, outcome: &mut Outcome) {
        if self.job.config.password.is_none() && self.phase == Phase::Boot {
            accounts::lock_root(target, outcome);
        }
        let users: &[&str] = if self.has_rancher() {
            &["root", accounts::RANCHER]
        } else {
            &["root"]
        };
        accounts::password(self.job.config, users, target, outcome);
    }

    fn ssh_keys(&self, target: &mut Target<'_>, outcome: &mut Outcome) {
        let config = self.job.config;
        let keys = &config.ssh_authorized_keys;
        let mut logins = vec![Login { user: "root", keys }];
        if self.has_rancher() {
            logins.push(Login {
                user: accounts::RANCHER,
                keys,
            });
        }
        // Who lists root as a user gives it more keys.
        logins.extend(config.users.iter().map(|user| Login {
            user: user.name.as_str(),
            keys: &user.ssh_authorized_keys,
        }));
        let others = if config.ssh_keys_exclusive {
            Others::Go
        } else {
            Others::Stay
        };
        keys::apply(&logins, others, self.job.fetcher, target, outcome);
    }

    fn commands(&self, step: Step, target: &Target<'_>, outcome: &mut Outcome) {
        let config = self.job.config;
        let (commands, limit) = match step {
            Step::InitCommands => (&config.init_cmd, HOLDS_UP),
            Step::BootCommands => (&config.boot_cmd, HOLDS_UP),
            _ => (&config.run_cmd, RUNS),
        };
        if target.is_dry() || target.is_trial() {
            if !commands.is_empty() {
                outcome
                    .notes
                    .push("not run: what commands do cannot be taken back".to_owned());
            }
            return;
        }
        // Before there is a network there is no proxy.
        let variables = match step {
            Step::RunCommands => proxy::variables(config, self.job.facts),
            _ => Vec::new(),
        };
        let shell = Shell {
            logs: self.job.logs,
            limit,
            variables: &variables,
        };
        shell.run(step.name(), commands, outcome);
    }
}

/// A fetcher as this node's configuration wants it.
fn fetcher(config: &NodeConfig, patience: Patience) -> Fetcher {
    let trusted = fs_err::read_to_string(render::CA_BUNDLE).unwrap_or_default();
    // Those that are about to be trusted, too.
    let trusted = render::ca_bundle(&trusted, config);
    Fetcher::new(trusted.as_bytes(), &Proxies::of(config), patience)
}

/// Whether a configuration has something that only the runtime phase can do.
fn needs_runtime(config: &NodeConfig, done: &[engine::Done]) -> bool {
    !config.run_cmd.is_empty()
        || !config.data_sources.is_empty()
        || done.iter().any(|done| !done.later.is_empty())
}

/// The host name that a configuration wants, or the one that the boot has chosen.
fn host_name(config: &NodeConfig, boot: &boot::Boot) -> String {
    config
        .hostname
        .as_ref()
        .map_or_else(|| boot.hostname.clone(), ToString::to_string)
}
