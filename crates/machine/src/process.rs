//! Which process is ours: a process id alone is reused.

use std::{io, path::Path};

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, told apart from a later one of the same id by when it started, and from one
/// before a reboot of the host by the host's boot id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start in clock ticks after the host's boot (proc(5), `stat`, field 22).
    pub started: u64,
    /// The host's boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

impl Process {
    /// Describes the running process `pid`.
    ///
    /// # Errors
    /// If there is no such process, or `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, started) = parse_stat(&stat)
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form")))?;
        Ok(Self {
            pid,
            started,
            boot: boot_id()?,
        })
    }

    /// Sends it a signal if it is still that process.
    pub(crate) fn signal(&self, signal: Signal) {
        if !alive(self) {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile, which is what the signal was to bring about.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Whether this very process still runs; one that ended and waits to be reaped does not.
pub fn alive(process: &Process) -> bool {
    if boot_id().ok().as_deref() != Some(&process.boot) {
        return false;
    }
    let path = format!("/proc/{}/stat", process.pid);
    let Ok(stat) = fs::read_to_string(Path::new(&path)) else {
        return false;
    };
    parse_stat(&stat)
        .is_some_and(|(state, started)| started == process.started && !matches!(state, 'Z' | 'X'))
}

fn boot_id() -> io::Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

/// State and start time of a `stat` line. The name in it may hold blanks and brackets, so
/// fields count from its last bracket.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_another_start_is_not_ours() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(alive(&own));
        let reused = Process {
            started: own.started + 1,
            ..own.clone()
        };
        assert!(!alive(&reused));
        let before_reboot = Process {
            boot: "another".into(),
            ..own
        };
        assert!(!alive(&before_reboot));
    }

    #[test]
    fn an_ended_process_that_nobody_reaped_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        let ended = crate::wait_until(std::time::Duration::from_secs(10), || {
            (!alive(&process)).then_some(())
        });
        assert!(ended.is_some());
        child.wait().unwrap();
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 999 20";
        assert_eq!(parse_stat(stat), Some(('S', 999)));
        assert_eq!(parse_stat("7 (a"), None);
    }
}
