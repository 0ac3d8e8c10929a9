//! Each source against a server that follows its published protocol, in a network namespace
//! that owns the server's address; volumes as images.

mod faults;
pub(crate) mod images;
mod local;
mod namespace;
mod protocols;
mod server;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use super::*;

/// A machine in a folder, and a root.
pub(super) struct Bench {
    folder: tempfile::TempDir,
    pub environment: Environment,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system");
        fs_err::create_dir_all(system.join("sys/class/block")).unwrap();
        fs_err::create_dir_all(folder.path().join("root")).unwrap();
        Self {
            environment: Environment {
                system,
                command_line: String::new(),
                patience: Duration::from_secs(5),
                guess: Duration::from_secs(2),
                request: Duration::from_millis(500),
                devices: Duration::ZERO,
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            },
            folder,
        }
    }

    /// What the firmware says.
    pub fn dmi(self, field: &str, value: &str) -> Self {
        self.file(&format!("sys/class/dmi/id/{field}"), value.as_bytes())
    }

    /// A file of the machine.
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        let path = self.environment.system.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
        self
    }

    /// A block device with this content.
    pub fn device(self, name: &str, image: &[u8]) -> Self {
        let folder = self.environment.system.join("sys/class/block").join(name);
        fs_err::create_dir_all(folder).unwrap();
        self.file(&format!("dev/{name}"), image)
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn run(&self, names: &[&str]) -> Outcome {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        run(&names, &self.root(), &self.environment)
    }

    /// A file below run/config.
    pub fn got(&self, name: &str) -> Option<String> {
        fs_err::read_to_string(self.root().join("run/config").join(name)).ok()
    }
}

/// Checks the usual findings of a source that gave everything.
pub(super) fn check(bench: &Bench, outcome: &Outcome, provider: &str, user_data: &str) {
    assert_eq!(outcome.provider.as_deref(), Some(provider), "{outcome:#?}");
    assert_eq!(outcome.failures().count(), 0, "{outcome:#?}");
    assert_eq!(bench.got("provider").unwrap(), format!("{provider}\n"));
    assert_eq!(bench.got("local_hostname").as_deref(), Some("n1\n"));
    assert!(bench.got("hostname").is_some());
    assert_eq!(
        bench.got("ssh/authorized_keys").as_deref(),
        Some("ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n")
    );
    assert_eq!(bench.got("userdata").as_deref(), Some(user_data));
    assert_eq!(bench.got("instance_id").as_deref(), Some("i-1\n"));
    for (name, mode) in [
        ("userdata", 0o600),
        ("ssh/authorized_keys", 0o600),
        ("ssh", 0o700),
        ("local_hostname", 0o644),
    ] {
        let metadata = fs_err::metadata(bench.root().join("run/config").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{name}");
    }
    let log = serde_json::to_string(outcome).unwrap();
    assert!(
        !log.contains("AAAA") && !log.contains(user_data.trim()),
        "{log}"
    );
    assert!(Path::new(&bench.root()).join("run/config").is_dir());
}
