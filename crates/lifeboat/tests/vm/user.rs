//! A user with folders of their own, who runs the real command.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

/// Folders for the definition, keys and machines; the cache is the one of the person who runs
/// the tests, as packages are the same for all.
pub struct User {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Machines run one after the other, whatever the number of threads.
static ALONE: Mutex<()> = Mutex::new(());

impl User {
    /// A user with this definition.
    pub fn new(definition: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs_err::write(folder.path().join("lifeboat.yaml"), definition).expect("it is ours");
        Self {
            folder,
            _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A file beside the definition.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key that `lifeboat ssh` logs in with, as a line for `authorized_keys`.
    pub fn public_key(&self) -> String {
        let key = lifeboat_machine::SshKey::ensure(&self.file("config"));
        key.expect("the folder is ours").public().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LIFEBOAT_CONFIG", self.file("config"))
            .env("LIFEBOAT_STATE", self.file("state"));
        command
    }

    /// Starts `up`, and when the node is in this phase ends the command: by Ctrl-C, after which
    /// it exits with `code`, or by a kill if there is none.
    pub fn end_up_at(&self, phase: &str, code: Option<i32>) {
        let mut command = self.command(&["up"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the command starts");
        let wanted = format!("\"phase\":\"{phase}\"");
        self.wait(phase, Duration::from_mins(10), || {
            let events = self.file("state/machines/default/events.jsonl");
            let said = fs_err::read_to_string(events).unwrap_or_default();
            let ended = child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "`up` ended: {}", self.console());
            said.contains(&wanted).then_some(())
        });
        let id = rustix::process::Pid::from_child(&child);
        let signal = match code {
            Some(_) => rustix::process::Signal::INT,
            None => rustix::process::Signal::KILL,
        };
        rustix::process::kill_process(id, signal).expect("it runs");
        let status = child.wait().expect("it is ours");
        assert_eq!(status.code(), code, "{status}");
    }

    /// What the command prints as data, or all it says if it fails.
    pub fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self
            .command(arguments)
            .output()
            .expect("the command starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stdout) + &text(&output.stderr))
        }
    }

    /// What the command prints as data.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|said| {
            panic!("{arguments:?}: {said}\nconsole:\n{}", self.console());
        })
    }

    /// Data and news of the command.
    pub fn both(&self, arguments: &[&str]) -> String {
        let output = self
            .command(arguments)
            .output()
            .expect("the command starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The document that the command prints.
    pub fn json(&self, arguments: &[&str]) -> Json {
        let text = self.run(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    fn console(&self) -> String {
        let log = fs_err::read(self.file("state/machines/default/console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Asks until there is an answer.
    pub fn wait<T>(&self, what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(answer) = probe() {
                return answer;
            }
            assert!(
                Instant::now() < end,
                "{what}: not in {limit:?}\n{}\n{}",
                self.pods(),
                self.console()
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn pods(&self) -> String {
        self.both(&["kubectl", "--", "get", "pods", "-A", "-o", "wide"])
    }

    /// Names the boot that the node is in.
    pub fn boot_id(&self) -> Result<String, String> {
        self.try_run(&["ssh", "--", "cat", "/proc/sys/kernel/random/boot_id"])
    }

    /// Memory of the node that is not available to programs.
    pub fn memory_in_use_mib(&self) -> u64 {
        let text = self.run(&["ssh", "--", "cat", "/proc/meminfo"]);
        let kib = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_whitespace().nth(1));
            value
                .and_then(|value| value.parse().ok())
                .expect("meminfo has it")
        };
        (kib("MemTotal:") - kib("MemAvailable:")) / 1024
    }

    /// The sizes that SPECIFICATION.md promises.
    pub fn sizes_are_kept(&self) {
        self.run(&["build", "-o", "out"]);
        let mib = |name: &str| {
            fs_err::metadata(self.file("out").join(name))
                .expect("it is built")
                .len()
                >> 20
        };
        let (root, uki) = (mib("root.erofs") + mib("root.verity"), mib("lifeboat.efi"));
        let bytes = self.run(&["ssh", "--", "stat -c %s /var/lib/lifeboat/payloads/*.raw"]);
        let payload = bytes.trim().parse::<u64>().expect("one payload") >> 20;
        println!("root {root} MiB, UKI {uki} MiB, payload {payload} MiB");
        assert!(payload <= 200, "the payload has {payload} MiB");
        assert!(root <= 150, "the root has {root} MiB");
        assert!(uki <= 25, "the UKI has {uki} MiB");
    }

    /// The port that `up` named for Cockpit speaks HTTP.
    pub fn cockpit_answers(&self, facts: &Json) {
        let ports = facts["ports"].as_array().expect("a list of ports");
        let port = ports.iter().find(|port| port["guest"] == 9090);
        let port = port
            .and_then(|port| port["host"].as_u64())
            .expect("a port for Cockpit");
        let said = self.wait("Cockpit answers", Duration::from_mins(2), || {
            let port = u16::try_from(port).ok()?;
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .ok()?;
            stream
                .write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                .ok()?;
            let mut said = String::new();
            stream.read_to_string(&mut said).ok()?;
            said.starts_with("HTTP/1.").then_some(said)
        });
        assert!(said.contains("200 OK") || said.contains("301"), "{said}");
    }
}

impl Drop for User {
    /// Nothing that was started stays, whatever failed.
    fn drop(&mut self) {
        let _ = self.try_run(&["down"]);
    }
}
