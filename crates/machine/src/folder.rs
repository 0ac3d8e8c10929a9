//! The folder of a machine: all of its state, as plain files.
//!
//! A folder is made under a hidden name and renamed when whole; `machine.json` is replaced
//! whole. Changes of state (start, stop, remove) happen under the machine's lock, which is
//! outside of the folder so that removing the folder does not remove a lock that is held.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use fs_err as fs;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

pub use crate::process::Process;
use crate::{Acceleration, Deadline, Expected, Forward, MachineName, alive};

/// The schema of `machine.json`.
const SCHEMA: &str = "lifeboat.machine/1";

/// All machines of a user.
#[derive(Clone, Debug)]
pub struct Machines {
    root: PathBuf,
}

/// The folder of one machine.
#[derive(Clone, Debug)]
pub struct Folder {
    name: MachineName,
    path: PathBuf,
}

/// The virtual hardware of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Number of processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Size of the disk in MiB.
    pub disk_mib: u64,
}

/// A start of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// QEMU's process.
    pub process: Process,
    /// How the processors are run.
    pub acceleration: Acceleration,
    /// When it was started (RFC 3339).
    pub since: String,
    /// The same in milliseconds since 1970, for measuring phases.
    pub since_ms: u64,
    /// Length of `events.jsonl` then: what comes after it is of this start.
    pub events_from: u64,
    /// Length of `console.log` then.
    pub console_from: u64,
    /// Whether this start was seen to get ready.
    #[serde(default)]
    pub ready: bool,
}

/// What is known of a machine: `machine.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    schema: String,
    /// Its name.
    pub name: MachineName,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The image that its disk began as.
    pub image: String,
    /// The Kubernetes version of that image.
    pub kubernetes: String,
    /// Its hardware.
    pub hardware: Hardware,
    /// Its forwarded ports, with the host ports of the last start.
    pub ports: Vec<Forward>,
    /// Forwards as the definition wants them; host port 0 is any.
    pub wanted_ports: Vec<Forward>,
    /// Whether it boots a kernel directly instead of through firmware.
    #[serde(default)]
    pub direct_kernel: bool,
    /// The tools tree that it runs from.
    pub tools: PathBuf,
    /// The definition that it was made from, if that was a file.
    #[serde(default)]
    pub definition: Option<PathBuf>,
    /// Which pods it must run to be whole.
    pub expected: Expected,
    /// Whether its disk was not started before the last start.
    #[serde(default)]
    pub first_start: bool,
    /// Whether its disk was ever started.
    #[serde(default)]
    pub started: bool,
    /// Its last start, while that was not stopped.
    #[serde(default)]
    pub running: Option<RunState>,
    /// Seconds per phase of its making and its last boot.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
}

/// Why the folder of a machine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file operation failed; the source names the file.
    #[error("the state of machine `{name}` cannot be used")]
    Io {
        /// The machine.
        name: String,
        /// What failed.
        source: io::Error,
    },
    /// The folder of all machines cannot be used.
    #[error("the folder of the machines cannot be used")]
    Root(#[source] io::Error),
    /// No folder for state is known.
    #[error("neither LIFEBOAT_STATE, XDG_STATE_HOME nor HOME says where machines are")]
    NoFolder,
    /// There is no machine of that name.
    #[error("there is no machine `{0}`")]
    Unknown(MachineName, Vec<String>),
    /// The caller ended the wait for the lock.
    #[error("the wait for another command to end was ended")]
    Cancelled,
    /// `machine.json` is damaged or of another version.
    #[error("`{path}` is not a {SCHEMA} document")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl FolderError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(_, known) if known.is_empty() => {
                Some("`lifeboat up` makes one".to_owned())
            }
            Self::Unknown(_, known) => Some(format!("there are: {}", known.join(", "))),
            Self::Record { .. } => Some(
                "another version of Lifeboat made it; use that one, or remove the machine with `lifeboat down`".to_owned(),
            ),
            Self::NoFolder => Some("set LIFEBOAT_STATE to a folder of yours".to_owned()),
            Self::Io { .. } | Self::Root(_) | Self::Cancelled => None,
        }
    }
}

impl Machines {
    /// The machines below `root`, a folder that need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where machines are by default: `LIFEBOAT_STATE/machines`, else
    /// `XDG_STATE_HOME/lifeboat/machines`, else `HOME/.local/state/lifeboat/machines`.
    /// `variable` reads the environment.
    ///
    /// # Errors
    /// [`FolderError::NoFolder`] if none of them is set.
    pub fn default_root(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<PathBuf, FolderError> {
        let set = |name| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        set("LIFEBOAT_STATE")
            .or_else(|| set("XDG_STATE_HOME").map(|path| path.join("lifeboat")))
            .or_else(|| set("HOME").map(|path| path.join(".local/state/lifeboat")))
            .map(|path| path.join("machines"))
            .ok_or(FolderError::NoFolder)
    }

    /// The folder of all machines.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The machine of that name.
    ///
    /// # Errors
    /// [`FolderError::Unknown`] if there is none.
    pub fn open(&self, name: &MachineName) -> Result<Folder, FolderError> {
        match self.find(name) {
            Some(folder) => Ok(folder),
            None => Err(FolderError::Unknown(
                name.clone(),
                self.list()?
                    .iter()
                    .map(|folder| folder.name.to_string())
                    .collect(),
            )),
        }
    }

    /// The machine of that name, if there is one.
    pub fn find(&self, name: &MachineName) -> Option<Folder> {
        let path = self.root.join(name.as_str());
        path.join("machine.json").is_file().then(|| Folder {
            name: name.clone(),
            path,
        })
    }

    /// All machines, by name.
    ///
    /// # Errors
    /// [`FolderError::Root`] if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Folder>, FolderError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(FolderError::Root)?,
        };
        let mut folders = Vec::new();
        for entry in entries {
            let name = entry.map_err(FolderError::Root)?.file_name();
            let parsed = name.to_str().and_then(|name| name.parse().ok());
            folders.extend(parsed.and_then(|name| self.find(&name)));
        }
        folders.sort_by(|left: &Folder, right| left.name.cmp(&right.name));
        Ok(folders)
    }

    /// Waits for, then holds, the lock of a machine's changes. `waiting` is called once if
    /// another process holds it; `cancel` ends the wait.
    ///
    /// # Errors
    /// [`FolderError::Io`] if the lock file cannot be made, [`FolderError::Cancelled`].
    pub fn lock(
        &self,
        name: &MachineName,
        cancel: &AtomicBool,
        waiting: impl FnOnce(),
    ) -> Result<MachineLock, FolderError> {
        const PAUSE: Duration = Duration::from_millis(100);
        let io = |source| FolderError::Io {
            name: name.to_string(),
            source,
        };
        let folder = self.root.join(".locks");
        fs::create_dir_all(&folder).map_err(io)?;
        let file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(folder.join(name.as_str()))
            .map_err(io)?;
        let mut waiting = Some(waiting);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(MachineLock { _file: file }),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(io(error.into())),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(FolderError::Cancelled);
            }
            Deadline::after(PAUSE).rest(PAUSE);
        }
    }

    /// Makes the folder of a machine. `fill` puts disk, firmware variables and the rest into a
    /// folder under a hidden name, which becomes the machine's when all of it is there.
    ///
    /// # Errors
    /// Those of `fill`, and [`FolderError::Io`].
    pub fn create<E: From<FolderError>>(
        &self,
        record: &Record,
        _lock: &MachineLock,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Folder, E> {
        let name = &record.name;
        let io = |source| FolderError::Io {
            name: name.to_string(),
            source,
        };
        let unfinished = self.root.join(format!(".{name}.tmp"));
        remove(&unfinished).map_err(io)?;
        fs::create_dir_all(&unfinished).map_err(io)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&unfinished, mode).map_err(io)?;
        let folder = Folder {
            name: name.clone(),
            path: unfinished.clone(),
        };
        let filled = fill(&unfinished).and_then(|()| Ok(folder.write(record)?));
        if let Err(error) = filled {
            // The first error is the one to report; what stays is removed by the next run.
            let _ = remove(&unfinished);
            return Err(error);
        }
        let path = self.root.join(name.as_str());
        remove(&path).map_err(io)?;
        fs::rename(&unfinished, &path).map_err(io)?;
        Ok(Folder {
            name: name.clone(),
            path,
        })
    }

    /// Removes a machine's folder and with it its disk.
    ///
    /// # Errors
    /// [`FolderError::Io`] if it cannot be removed.
    pub fn remove(&self, folder: &Folder, _lock: &MachineLock) -> Result<(), FolderError> {
        // Renamed first: half a folder must not be taken for a machine after a kill.
        let hidden = self.root.join(format!(".{}.tmp", folder.name));
        let io = |source| folder.io(source);
        remove(&hidden).map_err(io)?;
        fs::rename(&folder.path, &hidden).map_err(io)?;
        remove(&hidden).map_err(io)
    }
}

/// The lock of a machine, held. Released when dropped, also by a kill.
#[derive(Debug)]
pub struct MachineLock {
    _file: fs::File,
}

impl Folder {
    /// The machine's name.
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads `machine.json`.
    ///
    /// # Errors
    /// [`FolderError`] if it cannot be read or is of another schema.
    pub fn record(&self) -> Result<Record, FolderError> {
        let path = self.file("machine.json");
        let text = fs::read_to_string(&path).map_err(|source| self.io(source))?;
        let wrong = |source| FolderError::Record {
            path: path.clone(),
            source,
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(wrong)?;
        if value.get("schema").and_then(serde_json::Value::as_str) != Some(SCHEMA) {
            let found = value
                .get("schema")
                .map_or("none".into(), ToString::to_string);
            return Err(wrong(serde::de::Error::custom(format!(
                "its schema is {found}"
            ))));
        }
        serde_json::from_value(value).map_err(wrong)
    }

    /// Replaces `machine.json`.
    ///
    /// # Errors
    /// [`FolderError::Io`] if it cannot be written.
    pub fn write(&self, record: &Record) -> Result<(), FolderError> {
        let text = serde_json::to_vec_pretty(record).map_err(|source| FolderError::Record {
            path: self.file("machine.json"),
            source,
        })?;
        self.write_private("machine.json", &text)
    }

    /// Replaces one of its files by one that only the user can read.
    ///
    /// # Errors
    /// [`FolderError::Io`] if it cannot be written.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        write_private(&self.file(name), bytes).map_err(|source| self.io(source))
    }

    /// The process that runs the machine now.
    ///
    /// # Errors
    /// Those of [`Folder::record`].
    pub fn running(&self) -> Result<Option<RunState>, FolderError> {
        Ok(self.record()?.running.filter(|run| alive(&run.process)))
    }

    /// Connects to one of its sockets.
    pub(crate) fn connect(&self, socket: &str) -> io::Result<UnixStream> {
        // An address holds 107 bytes (unix(7)); the folder may have a longer path.
        let folder = fs::File::open(&self.path)?;
        let short = format!(
            "/proc/self/fd/{}/{socket}",
            std::os::fd::AsRawFd::as_raw_fd(&folder)
        );
        UnixStream::connect(short)
    }

    fn io(&self, source: io::Error) -> FolderError {
        FolderError::Io {
            name: self.name.to_string(),
            source,
        }
    }
}

impl Record {
    /// A machine that was never started.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a required part of the document"
    )]
    pub fn new(
        name: MachineName,
        created: String,
        image: String,
        kubernetes: String,
        hardware: Hardware,
        wanted_ports: Vec<Forward>,
        tools: PathBuf,
        expected: Expected,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            name,
            created,
            image,
            kubernetes,
            hardware,
            ports: Vec::new(),
            wanted_ports,
            direct_kernel: false,
            tools,
            definition: None,
            expected,
            first_start: true,
            started: false,
            running: None,
            seconds: BTreeMap::new(),
        }
    }

    /// The host port that leads to a port of the guest.
    pub fn host_port(&self, guest: u16) -> Option<u16> {
        let forward = self.ports.iter().find(|forward| forward.guest == guest)?;
        Some(forward.host)
    }
}

/// Replaces a file, mode 0600, so that a reader sees the old or the new one whole.
///
/// # Errors
/// If it cannot be written; the error names the file.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let unfinished = PathBuf::from(unfinished);
    remove(&unfinished)?;
    let mut file = fs::OpenOptions::from_options({
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
    })
    .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        Record::new(
            name.parse().unwrap(),
            "2026-01-01T00:00:00Z".into(),
            "0123".into(),
            "1.36.3".into(),
            Hardware {
                cpus: 2,
                memory_mib: 4096,
                disk_mib: 20_480,
            },
            Forward::basic(),
            "/tools".into(),
            Expected::default(),
        )
    }

    #[test]
    fn a_machine_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let machines = Machines::at(root.path().join("machines"));
        let record = record("one");
        let lock = machines
            .lock(&record.name, &AtomicBool::new(false), || {})
            .unwrap();
        let failed: Result<_, FolderError> = machines.create(&record, &lock, |path| {
            fs::write(path.join("disk"), "half").unwrap();
            Err(FolderError::NoFolder)
        });
        assert!(failed.is_err());
        assert!(machines.list().unwrap().is_empty());
        let folder = machines
            .create(&record, &lock, |path| -> Result<(), FolderError> {
                fs::write(path.join("disk"), "whole").unwrap();
                Ok(())
            })
            .unwrap();
        assert_eq!(folder.record().unwrap(), record);
        assert_eq!(machines.list().unwrap().len(), 1);
        machines.remove(&folder, &lock).unwrap();
        assert!(machines.find(&record.name).is_none());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let root = tempfile::tempdir().unwrap();
        let machines = Machines::at(root.path());
        let record = record("one");
        let lock = machines
            .lock(&record.name, &AtomicBool::new(false), || {})
            .unwrap();
        machines
            .create(&record, &lock, |_| Ok::<(), FolderError>(()))
            .unwrap();
        let error = machines.open(&"two".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "there is no machine `two`");
        assert_eq!(error.hint().unwrap(), "there are: one");
    }

    #[test]
    fn a_record_of_another_schema_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let machines = Machines::at(root.path());
        fs::create_dir(root.path().join("one")).unwrap();
        let path = root.path().join("one/machine.json");
        fs::write(&path, r#"{"schema":"lifeboat.machine/9"}"#).unwrap();
        let folder = machines.open(&"one".parse().unwrap()).unwrap();
        assert!(matches!(folder.record(), Err(FolderError::Record { .. })));
    }
}
