//! The trait of machines, and QEMU's implementation.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use super::plan::file;
use crate::{
    Acceleration, Boot, Folder, FolderError, MachineLock, OnReboot, Plan, PortError, Process, Qmp,
    Record, RunState, StopError, Stopped, Tools, choose_ports, clock::milliseconds, power,
    timestamp, wait_until,
};

/// What a kind of machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Boots through UEFI firmware.
    pub const FIRMWARE: Self = Self(1);
    /// Boots a kernel directly.
    pub const KERNEL: Self = Self(1 << 1);
    /// Forwards host ports without privileges.
    pub const FORWARD: Self = Self(1 << 2);
    /// Asks the guest to power off.
    pub const POWER_BUTTON: Self = Self(1 << 3);
    /// Has a serial console that can be attached to.
    pub const CONSOLE: Self = Self(1 << 4);
    /// Carries the node's reports.
    pub const REPORT: Self = Self(1 << 5);
    /// Runs on a host without hardware virtualisation.
    pub const EMULATION: Self = Self(1 << 6);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A way to run machines. Changes of state need the machine's lock.
pub trait Machine {
    /// What this kind can do.
    fn capabilities(&self) -> Capabilities;

    /// Starts the machine, unless it runs, and returns its record with process and ports. It
    /// goes on when the caller ends.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    fn start(&self, folder: &Folder, lock: &MachineLock) -> Result<Record, StartError>;

    /// Asks the guest to power off, and ends the machine if it has not after `limit`.
    ///
    /// # Errors
    /// [`StopError`] if it cannot be ended.
    fn stop(
        &self,
        folder: &Folder,
        lock: &MachineLock,
        limit: Duration,
    ) -> Result<Stopped, StopError> {
        power::stop(folder, lock, limit)
    }
}

/// Machines of QEMU.
#[derive(Debug)]
pub struct Qemu<'tools> {
    tools: &'tools dyn Tools,
    acceleration: Acceleration,
    on_reboot: OnReboot,
}

/// Why a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its ports cannot be forwarded.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A file that it boots from cannot be prepared; the source names it.
    #[error("what machine `{name}` boots from cannot be prepared")]
    Prepare {
        /// The machine.
        name: String,
        /// What failed.
        source: io::Error,
    },
    /// QEMU could not be run at all.
    #[error("QEMU cannot be run")]
    Spawn(#[source] io::Error),
    /// QEMU ended before it ran the guest.
    #[error("QEMU ended at once ({status}): {said}")]
    Ended {
        /// Its exit status.
        status: String,
        /// The last lines that it wrote.
        said: String,
        /// All that it wrote.
        log: PathBuf,
    },
    /// QEMU runs and does not answer.
    #[error("QEMU does not answer on its control socket within {0} s")]
    Silent(u64, #[source] crate::QmpError),
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.hint(),
            Self::Port(error) => error.hint(),
            Self::Ended { log, .. } => Some(format!("all of its output is in {}", log.display())),
            Self::Prepare { .. } | Self::Spawn(_) | Self::Silent(..) => None,
        }
    }
}

/// How long QEMU may take until it answers; it needs less than a second.
const ANSWER: Duration = Duration::from_secs(20);

impl<'tools> Qemu<'tools> {
    /// QEMU of these tools. Choose the acceleration with [`crate::choose_acceleration`].
    pub fn new(tools: &'tools dyn Tools, acceleration: Acceleration) -> Self {
        Self {
            tools,
            acceleration,
            on_reboot: OnReboot::Restart,
        }
    }

    /// What a reboot by the guest does; it starts again by default.
    #[must_use]
    pub fn on_reboot(mut self, on_reboot: OnReboot) -> Self {
        self.on_reboot = on_reboot;
        self
    }

    fn prepare(&self, folder: &Folder, record: &Record) -> io::Result<Boot> {
        let config = folder.file(file::CONFIG);
        if !config.exists() {
            crate::folder::write_private(&config, b"{}\n")?;
        }
        if record.direct_kernel {
            let command_line = fs::read_to_string(folder.file("cmdline"))?;
            return Ok(Boot::Kernel {
                command_line: command_line.trim().to_owned(),
            });
        }
        let variables = folder.file(file::VARIABLES);
        if !variables.exists() {
            let (_, template) = Plan::firmware(&self.tools.root().join("usr"));
            crate::folder::write_private(&variables, &fs::read(template)?)?;
        }
        Ok(Boot::Firmware)
    }

    /// Starts QEMU in a session of its own, so that it outlives this process and its terminal,
    /// and waits until it answers.
    fn spawn(&self, folder: &Folder, plan: &Plan) -> Result<Process, StartError> {
        let log = folder.file(file::LOG);
        let open = || -> io::Result<(fs::File, fs::File)> {
            let output = fs::File::create(&log)?;
            let errors = output.try_clone()?;
            Ok((output, errors))
        };
        let (output, errors) = open().map_err(StartError::Spawn)?;
        let mut command = self.tools.command("qemu-system-x86_64");
        command
            .args(plan.arguments())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.into_file())
            .stderr(errors.into_file());
        own_session(&mut command);
        let mut child = command.spawn().map_err(StartError::Spawn)?;
        let process = Process::of(child.id());
        let answered = wait_until(ANSWER, || {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(Err(Some(status)));
            }
            Qmp::connect(folder, Duration::from_secs(5)).ok().map(Ok)
        });
        let failed = match answered {
            Some(Ok(_)) => {
                return process.map_err(StartError::Spawn);
            }
            Some(Err(status)) => status,
            None => None,
        };
        if let Some(status) = failed {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(StartError::Ended {
                status: status.to_string(),
                said: summary(&said),
                log,
            });
        }
        let error = Qmp::connect(folder, Duration::from_secs(1))
            .err()
            .unwrap_or(crate::QmpError::Closed);
        // Nothing may be left running that no record names.
        let _ = child.kill();
        let _ = child.wait();
        Err(StartError::Silent(ANSWER.as_secs(), error))
    }
}

impl Machine for Qemu<'_> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::FIRMWARE
            .and(Capabilities::KERNEL)
            .and(Capabilities::FORWARD)
            .and(Capabilities::POWER_BUTTON)
            .and(Capabilities::CONSOLE)
            .and(Capabilities::REPORT)
            .and(Capabilities::EMULATION)
    }

    fn start(&self, folder: &Folder, _lock: &MachineLock) -> Result<Record, StartError> {
        let mut record = folder.record()?;
        if record
            .running
            .as_ref()
            .is_some_and(|run| crate::alive(&run.process))
        {
            return Ok(record);
        }
        power::end_stray(folder);
        let boot = self
            .prepare(folder, &record)
            .map_err(|source| StartError::Prepare {
                name: record.name.to_string(),
                source,
            })?;
        let length = |name: &str| fs::metadata(folder.file(name)).map_or(0, |file| file.len());
        let (events_from, console_from) = (length(file::EVENTS), length(file::CONSOLE_LOG));
        // Another process may take a chosen port before QEMU does: then other ones are chosen.
        let mut tries = 3;
        let mut since;
        let process = loop {
            record.ports = choose_ports(&record.wanted_ports, &record.ports)?;
            let plan = Plan {
                name: record.name.clone(),
                hardware: record.hardware.clone(),
                acceleration: self.acceleration,
                boot: boot.clone(),
                ports: record.ports.clone(),
                on_reboot: self.on_reboot,
                tools: self.tools.root().join("usr"),
            };
            tries -= 1;
            since = SystemTime::now();
            match self.spawn(folder, &plan) {
                Err(StartError::Ended { said, .. })
                    if tries > 0 && said.contains("host forwarding rule") => {}
                other => break other?,
            }
        };
        record.first_start = !record.started;
        record.started = true;
        record.running = Some(RunState {
            process,
            acceleration: self.acceleration,
            since: timestamp(since),
            since_ms: milliseconds(since),
            events_from,
            console_from,
            ready: false,
        });
        folder.write(&record)?;
        Ok(record)
    }
}

/// Makes a child the leader of a new session: no terminal's hang-up or Ctrl-C reaches it.
#[expect(unsafe_code, reason = "std has no safe call for a child's own session")]
fn own_session(command: &mut Command) {
    let leave = || {
        rustix::process::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes one system call, allocates nothing and
    // takes no lock.
    unsafe {
        command.pre_exec(leave);
    }
}

/// The last lines that are more than warnings.
fn summary(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(|line| line.trim().trim_start_matches("qemu-system-x86_64: "))
        .filter(|line| !line.is_empty() && !line.starts_with("warning:"))
        .collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_sets() {
        let both = Capabilities::FIRMWARE.and(Capabilities::CONSOLE);
        assert!(both.has(Capabilities::CONSOLE));
        assert!(!both.has(Capabilities::KERNEL.and(Capabilities::CONSOLE)));
    }

    #[test]
    fn the_summary_leaves_warnings_out() {
        let said = "qemu-system-x86_64: warning: x\nqemu-system-x86_64: -drive: no file\n";
        assert_eq!(summary(said), "-drive: no file");
    }
}
