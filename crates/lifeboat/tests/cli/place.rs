//! A folder for a test, with all folders of the command in it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lifeboat_machine::{Expected, Forward, Hardware, Machines, Record};

/// A folder in which the command is run.
pub struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Puts a file there.
    pub fn file(self, name: &str, text: &str) -> Self {
        fs_err::write(self.new_path(name), text).unwrap();
        self
    }

    /// Where something is put there.
    fn new_path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Puts a symbolic link there.
    pub fn link(self, name: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.new_path(name)).unwrap();
        self
    }

    /// Puts a pipe there that nobody writes to.
    pub fn pipe(self, name: &str) -> Self {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, self.new_path(name), FileType::Fifo, Mode::RUSR, 0).unwrap();
        self
    }

    /// Puts a file of zeros there, which takes no room.
    pub fn sparse(self, name: &str, bytes: u64) -> Self {
        let file = fs_err::File::create(self.new_path(name)).unwrap();
        file.set_len(bytes).unwrap();
        self
    }

    /// Puts a machine there that was stopped.
    pub fn machine(self, name: &str) -> Self {
        let machines = Machines::at(self.folder.path().join("state/machines"));
        let record = Record::new(
            name.parse().unwrap(),
            "2026-01-01T00:00:00Z".into(),
            "0123abcd".into(),
            "1.36.3".into(),
            Hardware {
                cpus: 2,
                memory_mib: 4096,
                disk_mib: 20_480,
            },
            Forward::basic(),
            "/tools".into(),
            Expected::default(),
        );
        let lock = machines.lock(&record.name, &false.into(), || {}).unwrap();
        machines
            .create(&record, &lock, |_| {
                Ok::<(), lifeboat_machine::FolderError>(())
            })
            .unwrap();
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Runs the command there and tells all that a user sees, with this folder's path replaced.
    pub fn run(&self, arguments: &[&str]) -> String {
        let path = |name: &str| self.folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", path("home"))
            .env("LIFEBOAT_CACHE", path("cache"))
            .env("LIFEBOAT_STATE", path("state"))
            .env("LIFEBOAT_CONFIG", path("config"))
            .envs(self.variables.clone())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| {
            let folder: &Path = self.folder.path();
            String::from_utf8_lossy(bytes).replace(&*folder.to_string_lossy(), "[PLACE]")
        };
        let mut said = format!("status: {}\n", output.status.code().unwrap_or(-1));
        said.push_str(&text(&output.stdout));
        if !output.stderr.is_empty() {
            said.push_str("--- stderr\n");
            said.push_str(&text(&output.stderr));
        }
        said
    }
}
