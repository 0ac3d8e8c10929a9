//! The runtime phase of a boot: what needs the network, and `run_cmd`.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use fs_err as fs;
use lifeboat_config::NodeConfig;
use sha2::{Digest as _, Sha256};

use super::{
    Job, Phase, Rancher, Step, accounts,
    engine::{Done, Reporter},
    fetch::Patience,
    fetcher, host_name,
    kernel::Running,
    keys, phase, reload,
    root::Root,
    state::NewFile,
    target::{Mode, Target},
    trial::Desk,
    verb::DESK,
};
use crate::{
    boot::{self, Boot, Failure, write_file},
    init::hex,
    provision,
};

/// Tells that this boot has a runtime phase; a condition of its unit.
pub(crate) const NEEDED: &str = "/run/lifeboat/runtime";
/// How often this boot has come here.
const ROUNDS: &str = "/run/lifeboat/rounds";
/// Which `run_cmd` this boot has run, and how it ended.
const COMMANDS: &str = "/run/lifeboat/commands";
/// How often a server that refuses is asked again.
const MOST_ROUNDS: u32 = 12;
/// How long the network may take before the rest goes on without it.
const ADDRESS: Duration = Duration::from_secs(30);
/// For servers of the node's own network, where there is no way out: the kubelet waits.
const LOCAL: Patience = Patience {
    tries: 2,
    pause: Duration::from_secs(1),
    timeout: Duration::from_secs(5),
    total: Duration::from_secs(10),
};

/// Why the phase was not applied as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This machine was not started by Lifeboat's initrd.
    #[error("cannot read what the boot left: {0}")]
    Boot(#[source] io::Error),
    /// Others apply something, and it is not known when they end.
    #[error("cannot wait for others: {0}")]
    Turn(#[source] io::Error),
    /// Some failed; the others were done.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
}

/// Applies what the boot could not, and runs `run_cmd` once. What comes back later for what
/// servers refused leaves all else as it is in force.
///
/// # Errors
/// [`RunError`]; also reported.
pub fn run() -> Result<(), RunError> {
    // Some networks never come; the commands may be what mends them.
    let deadline = Instant::now() + ADDRESS;
    while provision::address().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let desk = Desk::new(DESK);
    let turn = desk.turn().map_err(RunError::Turn)?;
    let round = round();
    if desk.is_open() {
        // Whether its changes stay is not known yet.
        come_again(round);
        return Ok(());
    }
    let mut boot = Boot::read().map_err(RunError::Boot)?;
    let root = Root::open(Path::new("/")).map_err(RunError::Boot)?;
    let mut target = Target::new(root, &Running, Mode::Apply);
    let found = if round == 0 {
        boot::configuration()
    } else {
        in_force(&boot, &target).map_err(RunError::Boot)?
    };
    let config = &found.config;
    // Without a way out there may still be a server in the node's own network.
    let routed = provision::address().is_some();
    let patience = if routed { Patience::default() } else { LOCAL };
    let network = fetcher(config, patience);
    let hostname = host_name(config, &boot);
    let facts = boot.facts();
    let job = Job {
        config,
        facts: facts.as_ref(),
        hostname: &hostname,
        rancher: found.rancher,
        fetcher: Some(&network),
        logs: Path::new(boot::LOGS),
    };
    let same = fs::read_to_string(boot::CONFIG).is_ok_and(|text| text == config.to_json());
    let mut steps: Vec<Step> = if round > 0 || same {
        vec![Step::SshKeys, Step::Files]
    } else {
        Phase::Runtime.steps().to_vec()
    };
    steps.retain(|step| *step != Step::RunCommands);
    let mut reporter = Reporter::default();
    let mut done = phase(Phase::Runtime, &steps, &job, &mut target, |_, event| {
        reporter.tell(event);
    });
    let mut failed = remember(
        &mut target,
        &mut boot,
        config,
        &hostname,
        &found.sources,
        &done,
    );
    // The commands may take long, and may themselves apply something.
    drop(turn);
    let commands = Commands::read(config);
    if !commands.ran && (round == 0 || commands.first) {
        commands.note("started");
        // They fetch nothing.
        let job = Job {
            fetcher: None,
            ..job
        };
        let steps = [Step::RunCommands];
        let ran = phase(Phase::Runtime, &steps, &job, &mut target, |_, event| {
            reporter.tell(event);
        });
        commands.note_end(&ran);
        failed.extend(remember_failures(&desk, &mut target, &ran));
        done.extend(ran);
    }
    reporter.flush();
    failed.extend(reload::tell(&target.changes));
    // A network may come at any time; what a server refuses so often is refused for good.
    if done.iter().any(|done| !done.later.is_empty())
        || ((round < MOST_ROUNDS || !routed) && could_be_better(&done))
    {
        come_again(round);
    }
    failed.extend(done.drain(..).flat_map(|done| {
        let name = done.step.name();
        done.failures
            .into_iter()
            .map(move |reason| format!("{name}: {reason}"))
    }));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(RunError::Failed(failed))
    }
}

/// What is in force, whatever the sources say by now.
fn in_force(boot: &Boot, target: &Target<'_>) -> io::Result<boot::source::Found> {
    Ok(boot::source::Found {
        config: boot::kept_configuration()?,
        sources: boot.sources.clone(),
        rancher: if keys::has(accounts::RANCHER, target) {
            Rancher::Wanted
        } else {
            Rancher::Absent
        },
    })
}

/// Sees to it that the sources, which still say what was tried, are not applied in this boot
/// unless somebody asks for it.
pub(super) fn behind_a_trial() {
    if round() == 0 {
        // At worst the sources are applied.
        let _ = write_file(Path::new(ROUNDS), b"1\n", 0o644);
    }
}

/// Whether something that was fetched failed; another time it may not.
fn could_be_better(done: &[Done]) -> bool {
    done.iter().any(|done| {
        matches!(done.step, Step::SshKeys | Step::Files)
            && done.failures.iter().any(|reason| {
                reason.starts_with("cannot fetch") || reason.starts_with("no keys from")
            })
    })
}

/// How often this boot has come here before.
fn round() -> u32 {
    fs::read_to_string(ROUNDS)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

/// Lets systemd start this again after a while, longer each time.
fn come_again(round: u32) {
    // Half a minute, then more, at last every ten minutes.
    let pause = (30 << round.min(5)).min(600);
    let noted = write_file(
        Path::new(ROUNDS),
        format!("{}\n", round + 1).as_bytes(),
        0o644,
    );
    let again = [
        "systemd-run",
        "--quiet",
        "--collect",
        "--no-block",
        // One that waits for a trial comes back from a unit of the same round.
        &format!("--unit=lifeboat-run-again-{round}-{}", std::process::id()),
        &format!("--on-active={pause}s"),
        "/usr/bin/lifeboat",
        "node",
        "run",
    ]
    .map(str::to_owned);
    if let Err(error) = noted
        .map_err(|error| error.to_string())
        .and_then(|()| reload::run(&again))
    {
        crate::init::log(
            4,
            &format!("what needs the network is not tried again: {error}"),
        );
    }
}

/// Keeps what is in force now for the parts that run later.
pub(super) fn remember(
    target: &mut Target<'_>,
    boot: &mut Boot,
    config: &NodeConfig,
    hostname: &str,
    sources: &[boot::source::Source],
    done: &[Done],
) -> Vec<String> {
    hostname.clone_into(&mut boot.hostname);
    boot.sources = sources.to_vec();
    note_failures(boot, done);
    // In a trial it is taken back, too.
    let kept = target
        .put(boot::CONFIG, NewFile::new(config.to_json(), 0o600))
        .and_then(|()| target.put(boot::BOOT, NewFile::new(boot.to_json()?, 0o644)));
    kept.err()
        .map(|error| format!("cannot keep the node's state: {error}"))
        .into_iter()
        .collect()
}

fn note_failures(boot: &mut Boot, done: &[Done]) {
    boot.failures
        .retain(|failure| !done.iter().any(|done| done.step.name() == failure.step));
    for done in done {
        boot.failures
            .extend(done.failures.iter().map(|reason| Failure {
                step: done.step.name().to_owned(),
                reason: reason.clone(),
            }));
    }
}

/// Keeps what failed in these steps, whatever else was applied meanwhile.
fn remember_failures(desk: &Desk, target: &mut Target<'_>, done: &[Done]) -> Option<String> {
    let kept = desk.turn().and_then(|_turn| {
        let mut boot = Boot::read()?;
        note_failures(&mut boot, done);
        target.put(boot::BOOT, NewFile::new(boot.to_json()?, 0o644))
    });
    kept.err()
        .map(|error| format!("cannot keep the node's state: {error}"))
}

/// What this boot knows of `run_cmd`.
#[derive(Debug)]
pub(super) struct Commands {
    digest: String,
    /// No commands have run in this boot.
    first: bool,
    /// These commands have run, well or not.
    pub ran: bool,
    /// These commands have all run well.
    pub done: bool,
}

impl Commands {
    pub fn read(config: &NodeConfig) -> Self {
        let mut hash = Sha256::new();
        for command in &config.run_cmd {
            hash.update(command.as_str());
            hash.update([0]);
        }
        let digest = hex(&hash.finalize());
        let text = fs::read_to_string(COMMANDS).unwrap_or_default();
        let (before, state) = text.trim().split_once(' ').unwrap_or_default();
        let ran = before == digest;
        Self {
            done: ran && state == "done",
            ran,
            first: before.is_empty(),
            digest,
        }
    }

    pub fn note(&self, state: &str) {
        // Without it they would at worst run once more.
        let _ = write_file(
            Path::new(COMMANDS),
            format!("{} {state}\n", self.digest).as_bytes(),
            0o600,
        );
    }

    pub fn note_end(&self, done: &[Done]) {
        if let Some(done) = done.iter().find(|done| done.step == Step::RunCommands) {
            self.note(if done.failures.is_empty() {
                "done"
            } else {
                "failed"
            });
        }
    }
}
