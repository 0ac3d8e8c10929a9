//! The user's commands: each in a shell of its own, and the first failure ends its list.

use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fs_err as fs;
use lifeboat_config::definition::types::CommandLine;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use super::engine::Outcome;
use crate::{
    boot,
    report::{self, State},
};

/// How commands are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shell<'a> {
    /// The folder of logs; each list has one of its name.
    pub logs: &'a Path,
    /// The longest that a command may take, as other parts of the boot wait for it.
    pub limit: Duration,
    /// Variables besides `PATH` and `HOME`.
    pub variables: &'a [(String, String)],
}

impl Shell<'_> {
    /// Tells at once what runs now: a command may never end.
    fn tell(&self, list: &str, which: String) {
        let phase = match list {
            "init_cmd" => "initrd",
            "boot_cmd" => "boot",
            _ => "runtime",
        };
        // Elsewhere no node is watched.
        if self.logs == Path::new(boot::LOGS) {
            report::step(phase, list, State::Started, which);
        }
    }

    /// Runs commands in their order, until one fails.
    pub fn run(self, list: &str, commands: &[CommandLine], outcome: &mut Outcome) {
        let count = commands.len();
        for (index, command) in commands.iter().enumerate() {
            self.tell(list, format!("command {} of {count}", index + 1));
            if let Err(error) = self.one(list, command.as_str()) {
                // Not its text, which may hold a secret.
                let left = match count - index - 1 {
                    0 => String::new(),
                    left => format!("; the {left} after it did not run"),
                };
                outcome.fail(format!(
                    "command {} of {count} {error}{left}; its output is in {}",
                    index + 1,
                    self.logs.join(list).display()
                ));
                return;
            }
        }
    }

    fn one(self, list: &str, command: &str) -> io::Result<()> {
        use std::os::unix::process::CommandExt as _;

        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.logs.join(list))?
            .into_file();
        // As k3OS' shell it knows `source`, which Debian's own does not.
        let shell = ["/bin/bash", "/bin/sh"]
            .into_iter()
            .find(|shell| Path::new(shell).exists())
            .unwrap_or("/bin/sh");
        let mut child = Command::new(shell)
            .args(["-c", command])
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot be started: {error}")))?;
        if !ends_within(&child, self.limit)? {
            // Its children too; what has ended already is no error.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            child.wait()?;
            return Err(io::Error::other(format!(
                "was stopped, as it had not ended after {} s",
                self.limit.as_secs()
            )));
        }
        let status = child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("failed ({status})")))
    }
}

fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let watched = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut watched = [PollFd::new(&watched, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    loop {
        match poll(&mut watched, Some(&limit)) {
            Ok(ended) => return Ok(ended > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn run(commands: &[&str], limit: Duration) -> (Vec<String>, String) {
        let logs = tempfile::tempdir().unwrap();
        let commands: Vec<CommandLine> =
            commands.iter().map(|text| text.parse().unwrap()).collect();
        let mut outcome = Outcome::default();
        let shell = Shell {
            logs: logs.path(),
            limit,
            variables: &[("http_proxy".to_owned(), "http://p".to_owned())],
        };
        shell.run("run_cmd", &commands, &mut outcome);
        let path = logs.path().join("run_cmd");
        let log = fs::read_to_string(&path).unwrap_or_default();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        (outcome.failures, log)
    }

    #[test]
    fn each_command_has_its_own_shell_and_the_first_failure_ends_the_list() {
        let (failures, log) = run(
            &[
                "A=1; cd /tmp; pwd",
                "echo \"[$A] $(pwd) $http_proxy\"",
                "echo no; false",
                "echo never",
            ],
            MINUTE,
        );
        assert_eq!(log, "/tmp\n[] / http://p\nno\n");
        assert_eq!(failures.len(), 1);
        assert!(
            failures[0]
                .starts_with("command 3 of 4 failed (exit status: 1); the 1 after it did not run"),
            "{failures:?}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_stopped_with_its_children() {
        let (failures, _) = run(&["sleep 1000 & wait"], Duration::from_millis(20));
        assert!(failures[0].contains("was stopped"), "{failures:?}");
    }

    #[test]
    fn the_text_of_a_command_is_not_told() {
        let (failures, _) = run(&["curl -u me:hunter2 http://[ ; false"], MINUTE);
        assert!(!failures[0].contains("hunter2"), "{failures:?}");
    }
}
