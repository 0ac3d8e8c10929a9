//! A trial: what it changed is taken back unless it is confirmed in time.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::{
    journal::{self, Journal},
    kernel::Kernel,
    reload,
    root::Root,
    state::Change,
};

/// The timer that takes a trial back, and its service.
const UNIT: &str = "lifeboat-trial";

/// Where the state of trials and of running applications is.
#[derive(Debug)]
pub(super) struct Desk {
    folder: PathBuf,
}

/// As long as it lives, nobody else applies anything.
#[derive(Debug)]
pub(super) struct Turn {
    _file: fs::File,
}

impl Desk {
    /// In this folder, which goes away with the boot.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Waits for those who apply something now.
    pub fn turn(&self) -> io::Result<Turn> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        fs::create_dir_all(&self.folder)?;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join("apply.lock"))?;
        flock(file.file(), FlockOperation::LockExclusive)?;
        Ok(Turn { _file: file })
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("trial.jsonl")
    }

    /// Whether there is a trial that was neither confirmed nor taken back.
    pub fn is_open(&self) -> bool {
        self.journal().exists()
    }

    /// Starts a trial; `schedule` sees to it that it ends.
    pub fn begin(
        &self,
        _turn: &Turn,
        limit: Duration,
        schedule: impl FnOnce(Duration) -> io::Result<()>,
    ) -> io::Result<Journal> {
        let journal = Journal::create(&self.journal())?;
        schedule(limit).inspect_err(|_| {
            // The first error is the one to report.
            let _ = fs::remove_file(self.journal());
        })?;
        Ok(journal)
    }

    /// Keeps what a trial has changed. Returns whether there was one.
    pub fn confirm(&self, _turn: &Turn) -> io::Result<bool> {
        match fs::remove_file(self.journal()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes back what a trial has changed. Returns the changes and what failed; `None` if there
    /// is no trial.
    pub fn take_back(
        &self,
        _turn: &Turn,
        root: &Root,
        kernel: &dyn Kernel,
    ) -> io::Result<Option<(Vec<Change>, Vec<String>)>> {
        let changes = match journal::read(&self.journal()) {
            Ok(changes) => changes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let failures = journal::take_back(root, kernel, &changes);
        fs::remove_file(self.journal())?;
        Ok(Some((changes, failures)))
    }
}

/// Lets systemd take the trial back after this time, whatever becomes of this process and of the
/// session that it is in.
pub(super) fn schedule(limit: Duration) -> io::Result<()> {
    let program = std::env::current_exe().unwrap_or_else(|_| Path::new("/usr/bin/lifeboat").into());
    let command = [
        "systemd-run".to_owned(),
        "--quiet".to_owned(),
        "--collect".to_owned(),
        format!("--unit={UNIT}"),
        format!("--on-active={}s", limit.as_secs()),
        "--timer-property=AccuracySec=100ms".to_owned(),
        program.display().to_string(),
        "node".to_owned(),
        "apply".to_owned(),
        "--revert".to_owned(),
    ];
    reload::run(&command).map_err(io::Error::other)
}

/// Stops the timer. One that is not there is no error.
pub(super) fn unschedule() {
    // What it starts finds no trial.
    let _ = reload::run(&["systemctl", "stop", &format!("{UNIT}.timer")].map(str::to_owned));
}
