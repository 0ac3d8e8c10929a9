//! Pid 1 of the initrd: from the kernel's hand-over to systemd in the verified root.
//!
//! All that needs no network is done here, before systemd starts: the state partition, the
//! node's configuration and every file rendered from it, the payload. So the container runtime
//! and the kubelet start at once, and nothing in the root waits for anything.

mod cmdline;
mod crc32;
mod disk;
mod failure;
mod gpt;
pub(crate) mod mode;
mod modules;
mod root;
mod state;
pub(crate) mod verity;

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fs_err as fs;

pub use cmdline::CommandLine;
pub(crate) use cmdline::hex;
pub(crate) use failure::kernel_log;
pub use mode::Mode;
pub(crate) use root::make_folder;

use crate::{
    boot,
    report::{self, State},
};

/// How long disks may take to appear.
const DISKS: Duration = Duration::from_secs(30);
/// Where the new root is mounted.
const SYSROOT: &str = "/sysroot";

/// A step of the initrd that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub(crate) struct InitError {
    /// Name of the step.
    pub step: &'static str,
    /// What, where and why.
    pub reason: String,
}

impl InitError {
    pub fn new(step: &'static str, reason: impl Into<String>) -> Self {
        Self {
            step,
            reason: reason.into(),
        }
    }
}

/// Attaches the step's name and the place to an error.
pub(crate) trait At<T> {
    fn at(self, step: &'static str, what: &str) -> Result<T, InitError>;
}

impl<T, E: std::fmt::Display> At<T> for Result<T, E> {
    fn at(self, step: &'static str, what: &str) -> Result<T, InitError> {
        self.map_err(|error| InitError::new(step, format!("{what}: {error}")))
    }
}

/// Runs as pid 1 of an initrd. Returns only by starting the next init, so never; a failure ends
/// in a message, the last lines of the kernel's log, and a restart or a shell.
pub fn run() -> std::convert::Infallible {
    let mut line = CommandLine::default();
    let error = match start(&mut line) {
        Ok(never) => return never,
        Err(error) => error,
    };
    failure::end(&error, &line)
}

fn start(line: &mut CommandLine) -> Result<std::convert::Infallible, InitError> {
    root::mount_kernel_file_systems()?;
    report::step("kernel", "start", State::Done, kernel_release());
    let text = fs::read("/proc/cmdline").at("command line", "cannot read it")?;
    // One word in another encoding must not keep the machine from starting.
    *line = cmdline::parse(&String::from_utf8_lossy(&text));
    for problem in &line.problems {
        log(4, problem);
    }
    let hash = line.root_hash.ok_or_else(|| {
        InitError::new(
            "command line",
            "there is no valid roothash=; the kernel was not started by its UKI or boot entry",
        )
    })?;

    let mut modules = modules::Modules::read(&module_folder())
        .at("modules", "cannot read the list of modules")?;
    for line in &modules.problems {
        log(4, &format!("load.list: `{line}` is not understood"));
    }
    let disk = find_disk(&hash, &mut modules)?;
    report::step("initrd", "disk", State::Done, &*disk.name);

    root::mount_verified(&disk, &hash, Path::new(SYSROOT))?;
    report::step("initrd", "root", State::Done, "");
    let sysroot = Path::new(SYSROOT);
    let mode = select_mode(line, &disk);
    mount_var(&disk, sysroot, mode)?;
    root::assemble(sysroot)?;
    root::enter(sysroot)?;
    let mode = boot::prepare(line, mode);
    report::step("initrd", "prepare", State::Done, "");
    root::start_init(line, mode)
}

fn select_mode(line: &CommandLine, disk: &disk::Disk) -> Mode {
    let state = match disk.state() {
        Some(_) => mode::StatePartition::There,
        None => mode::StatePartition::Missing,
    };
    let mode = mode::select(line.mode, line.fallback, state);
    if mode != Mode::Disk {
        report::step("initrd", "mode", State::Done, mode.to_string());
    }
    mode
}

/// Mounts what is kept, or what takes its place.
fn mount_var(disk: &disk::Disk, sysroot: &Path, mode: Mode) -> Result<(), InitError> {
    let var = sysroot.join("var");
    let done = |message: String| report::step("initrd", "state", State::Done, message);
    if mode.is_in_memory() {
        return mount_in_memory(disk, &var);
    }
    let grown = match state::mount(disk, sysroot, &var) {
        // What is to be rescued may be the state itself.
        Err(error) if mode == Mode::Rescue => {
            log(3, &format!("{error}; /var is in memory"));
            return mount_in_memory(disk, &var);
        }
        other => other.at("state", "/var")?,
    };
    match grown {
        Ok(None) => done(String::new()),
        Ok(Some(size)) => done(format!("grown to {} MiB", size >> 20)),
        Err(error) => {
            log(4, &format!("the state partition keeps its size: {error}"));
            done(format!("not grown: {error}"));
        }
    }
    Ok(())
}

fn mount_in_memory(disk: &disk::Disk, var: &Path) -> Result<(), InitError> {
    let payloads = state::mount_in_memory(disk, var).at("state", "/var in memory")?;
    let message = match payloads {
        Ok(()) => "in memory",
        Err(error) => {
            log(4, &format!("no payload can be read from the disk: {error}"));
            "in memory, without the payloads of the disk"
        }
    };
    report::step("initrd", "state", State::Done, message);
    Ok(())
}

/// Waits for the disk that holds the slot, loading drivers as devices appear.
fn find_disk(hash: &[u8; 32], modules: &mut modules::Modules) -> Result<disk::Disk, InitError> {
    let deadline = Instant::now() + DISKS;
    let mut seen = Vec::new();
    loop {
        let loaded = modules.load();
        for (path, error) in loaded.failed {
            log(4, &format!("cannot load the module {path}: {error}"));
        }
        if let Some(disk) = disk::find(hash, &mut seen)
            && disk.partition(disk.root.number).is_some()
            && disk.partition(disk.verity.number).is_some()
        {
            return Ok(disk);
        }
        if Instant::now() > deadline {
            let seen = if seen.is_empty() {
                "no disk appeared; its driver may be missing from the initrd".to_owned()
            } else {
                seen.join("; ")
            };
            return Err(InitError::new(
                "disk",
                format!(
                    "no disk holds the root {} after {} s: {seen}",
                    &hex(hash)[..16],
                    DISKS.as_secs()
                ),
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Version of the running kernel, which names its modules' folder.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn module_folder() -> PathBuf {
    Path::new("/lib/modules").join(kernel_release())
}

/// Writes to the kernel's log, so that it is on the console and later in the journal. Level 3
/// and below show on a quiet console.
pub(crate) fn log(level: u8, text: &str) {
    // There is nowhere to report to if this fails.
    let _ = write_log(level, text);
}

fn write_log(level: u8, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).open("/dev/kmsg")?;
    for line in text.lines() {
        file.write_all(format!("<{level}>lifeboat: {line}\n").as_bytes())?;
    }
    Ok(())
}
