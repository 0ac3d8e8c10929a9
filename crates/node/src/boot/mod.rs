//! Everything that is made ready before systemd starts: the node's identity and configuration,
//! every rendered file, kernel modules and settings, the payload.
//!
//! Each step runs although one before it failed; what failed is in the status and on the
//! console.

pub(crate) mod identity;
pub(crate) mod kmod;
mod payload;
pub(crate) mod source;

use std::{io, path::Path};

use fs_err as fs;
use lifeboat_config::{NodeConfig, definition::k3os::DataSource, parse_node, render::Facts};
use serde::{Deserialize, Serialize};

pub use payload::Payload;
use source::{Found, Source};

use crate::{
    apply::{self, Rancher},
    datasource,
    init::{self, CommandLine, Mode, log, make_folder, mode},
    provision,
    report::{self, Event, State},
};

/// What the boot made of the node, for the parts that run later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// The node's name.
    pub hostname: String,
    /// What this boot is for.
    #[serde(default)]
    pub mode: Mode,
    /// Where the configuration came from.
    pub sources: Vec<Source>,
    /// The payload that is mounted.
    pub payload: Option<Payload>,
    /// Steps that failed.
    pub failures: Vec<Failure>,
}

/// A step that failed and was gone past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its name.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// Where [`Boot`] is kept for this boot.
pub(crate) const BOOT: &str = "/run/lifeboat/boot.json";
/// Where the configuration is kept for this boot, as JSON; only root may read it.
pub(crate) const CONFIG: &str = "/run/lifeboat/node.json";
/// Logs of what runs before the journal, for root alone: commands may tell secrets.
pub(crate) const LOGS: &str = "/run/lifeboat/log";

impl Boot {
    /// Reads what the initrd left.
    ///
    /// # Errors
    /// If this machine was not started by Lifeboat's initrd.
    pub fn read() -> io::Result<Self> {
        let text = fs::read_to_string(BOOT)?;
        serde_json::from_str(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn step<T>(&mut self, step: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(step, error.to_string());
                None
            }
        }
    }

    fn fail(&mut self, step: &str, reason: String) {
        log(3, &format!("{step}: {reason}"));
        report::step("initrd", step, State::Failed, &*reason);
        self.failures.push(Failure {
            step: step.to_owned(),
            reason,
        });
    }

    /// As JSON that [`Self::read`] reads.
    pub fn to_json(&self) -> io::Result<String> {
        serde_json::to_string_pretty(self).map_err(io::Error::other)
    }

    /// The facts that rendering needs; none without a payload.
    pub fn facts(&self) -> Option<Facts> {
        let payload = self.payload.as_ref()?;
        let mut facts = Facts::new(
            &payload.kubernetes,
            payload.runtime,
            payload.cni,
            &self.hostname,
        );
        facts.pause_image.clone_from(&payload.pause_image);
        // The payload's own go before those of the operating system.
        for (name, program) in [
            ("crun", &mut facts.oci_runtime),
            ("conmon", &mut facts.monitor),
        ] {
            let own = Path::new("/opt/kubernetes/current/bin").join(name);
            if own.exists() {
                *program = own.display().to_string();
            }
        }
        facts.pinned_images.clone_from(&payload.images);
        facts.certificate_names.push(self.hostname.clone());
        let mode = self.mode.of_k3os().to_owned();
        facts.labels.insert("k3os.io/mode".to_owned(), mode);
        Some(facts)
    }
}

/// Prepares the root, which is `/` already, and starts what can run while systemd starts.
/// Returns the mode that the configuration allows.
pub(crate) fn prepare(line: &CommandLine, mode: Mode) -> Mode {
    let root = Path::new("/");
    let mut boot = Boot {
        mode,
        ..Boot::default()
    };
    let logs = make_folder(Path::new(LOGS), 0o700);
    boot.step("logs", logs);

    let Found {
        config,
        sources,
        rancher,
    } = configuration();
    for source in sources.iter().filter(|source| !source.problems.is_empty()) {
        boot.fail(
            "configuration",
            format!("{}: {}", source.name, source.problems.join("; ")),
        );
    }
    boot.sources = sources;
    let asked = datasource::request(config.data_sources.iter().map(DataSource::as_str));
    boot.step("data sources", asked);
    let locked = |text: Option<&str>| matches!(text, Some("*" | "!"));
    let password = config.password.as_ref();
    let opens = password.is_some_and(|one| !locked(one.hash()));
    choose_mode(&mut boot, line, opens);
    identity(&mut boot, root, &config, line);

    let mounted = payload::mount_chosen();
    match mounted {
        Ok(payload) => boot.payload = payload,
        Err(error) => {
            boot.fail("payload", error.to_string());
            // There is no Kubernetes without it; the rest comes up to be looked at.
            let log = init::kernel_log();
            report::send(&Event::failed("initrd", "payload", error.to_string(), log));
        }
    }
    if let Some(payload) = &boot.payload {
        report::step("payload", "mount", State::Done, &*payload.name);
    }
    apply_configuration(&mut boot, root, &config, rancher);

    let saved = write_file(Path::new(CONFIG), config.to_json().as_bytes(), 0o600)
        .and_then(|()| write_file(Path::new(BOOT), boot.to_json()?.as_bytes(), 0o644));
    boot.step("status", saved);
    match boot.mode {
        // It runs if the boot goes on after the shell.
        Mode::Rescue => provision::leave_to_service("not made before the rescue shell"),
        _ if boot.payload.is_none() => {}
        // A cluster keeps the name that it was made with.
        _ if !config.data_sources.is_empty() && !provision::is_provisioned() => {
            let waits = wait_for_platform();
            boot.step("data sources", waits);
        }
        _ => provision::prepare_in_background(),
    }
    boot.mode
}

/// Kubernetes is set up when the platform has said what it knows of the node, such as its name,
/// and that was applied.
fn wait_for_platform() -> io::Result<()> {
    provision::leave_to_service("not made before the data sources have answered");
    let order =
        "# Name and labels may come from a data source.\n[Unit]\nAfter=lifeboat-run.service\n";
    write_file(
        Path::new("/run/systemd/system/lifeboat-provision.service.d/10-data-sources.conf"),
        order.as_bytes(),
        0o644,
    )
}

/// Settles the mode, and says what cannot be had of it.
fn choose_mode(boot: &mut Boot, line: &CommandLine, has_password: bool) {
    for problem in line.problems.iter().filter(|one| one.contains("mode=")) {
        boot.fail("mode", problem.clone());
    }
    boot.mode = match mode::allowed(boot.mode, has_password) {
        Ok(mode) => mode,
        Err((instead, why)) => {
            boot.fail("mode", why.to_owned());
            instead
        }
    };
    if boot.mode == Mode::Install {
        boot.fail(
            "mode",
            "installation to a disk is not in this version; the node runs as live".to_owned(),
        );
    }
}

/// The configuration of this node as its sources have it now.
pub(crate) fn configuration() -> Found {
    source::read()
}

/// The configuration that is in force.
pub(crate) fn kept_configuration() -> io::Result<NodeConfig> {
    let text = fs::read(CONFIG)?;
    // It was written by this program.
    parse_node(CONFIG, &text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// The phases before systemd: nothing in them waits for a network.
fn apply_configuration(boot: &mut Boot, root: &Path, config: &NodeConfig, rancher: Rancher) {
    let opened = apply::root(root);
    let Some(root) = boot.step("root", opened) else {
        return;
    };
    let facts = boot.facts();
    let hostname = boot.hostname.clone();
    let job = apply::Job {
        config,
        facts: facts.as_ref(),
        hostname: &hostname,
        rancher,
        fetcher: None,
        logs: Path::new(LOGS),
    };
    let applied = apply::before_services(&job, root);
    for (step, reason) in applied.failures {
        // The phase has reported it.
        boot.failures.push(Failure {
            step: step.to_owned(),
            reason,
        });
    }
    if applied.needs_runtime {
        let marked = write_file(Path::new(apply::NEEDED), b"", 0o644);
        boot.step("runtime", marked);
    }
}

/// Writes a file as a whole with this mode, making its folders.
pub(crate) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    use std::io::Write as _;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lifeboat-tmp");
    let unfinished = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        // The umask has no say.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        // What is kept must be whole after a power cut; the rest is in memory.
        if path.starts_with("/var") {
            file.sync_all()?;
        }
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&unfinished);
    })
}

fn identity(boot: &mut Boot, root: &Path, config: &NodeConfig, line: &CommandLine) {
    let id = identity::machine_id(root);
    let id = boot.step("machine id", id).unwrap_or_default();
    if !id.is_empty() {
        let written = write_file(
            &root.join("etc/machine-id"),
            format!("{id}\n").as_bytes(),
            0o444,
        );
        boot.step("machine id", written);
    }
    let outside = line.hostname.clone().or_else(source::machine_name);
    let name = identity::host_name(root, config, outside.as_deref(), &id);
    boot.hostname = boot
        .step("host name", name)
        .unwrap_or_else(|| "lifeboat".to_owned());
    let key = identity::ssh_host_key(root, &boot.hostname);
    boot.step("ssh host key", key);
}
