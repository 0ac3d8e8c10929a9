//! Events: what the node does, one JSON object per line, to the host that watches the machine
//! (a virtio-serial port) and to a file under /run that the console and `status` read.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port on which the host listens.
pub const PORT: &str = "io.lifeboat.report";
/// Version of the events.
pub const SCHEMA: &str = "lifeboat.event/1";
/// Events of this boot, one JSON object per line.
pub const LOG: &str = "/run/lifeboat/events.jsonl";

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It began.
    Started,
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: String,
    /// Seconds since the kernel started, sleep included.
    pub at: f64,
    /// `kubeconfig` or `failed` for the events that carry more than a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Part of the boot: `kernel`, `initrd`, `userspace`, `payload`, `kubeadm`, `addons`,
    /// `ready`.
    pub phase: String,
    /// Name of the step in the phase.
    pub step: String,
    /// How far it is.
    pub state: State,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The administrator's kubeconfig; only in `kubeconfig` events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// Last lines of the log that explains a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Seconds that the step took, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Event {
    /// An event of a step, at this moment.
    pub fn new(phase: &str, step: &str, state: State, message: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            at: since_start(),
            event: None,
            phase: phase.to_owned(),
            step: step.to_owned(),
            state,
            message: message.into(),
            kubeconfig: None,
            log: Vec::new(),
            seconds: None,
        }
    }

    /// A failure with the last lines of its log.
    pub fn failed(phase: &str, step: &str, message: impl Into<String>, log: Vec<String>) -> Self {
        Self {
            event: Some("failed".to_owned()),
            log,
            ..Self::new(phase, step, State::Failed, message)
        }
    }

    /// The event's line, with its end. It never holds a newline otherwise.
    pub fn line(&self) -> String {
        // Strings and numbers always serialise.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// Seconds since the kernel started, in milliseconds' precision.
pub fn since_start() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let millis = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for the first 285,000 years of a boot"
    )]
    {
        millis as f64 / 1000.0
    }
}

/// Sends an event: to [`LOG`], and to the host where there is a port. A secret goes only to
/// the port. Reporting never fails a boot.
pub fn send(event: &Event) {
    let line = event.line();
    if event.kubeconfig.is_none() {
        // Without /run there is nothing to tell either.
        let _ = append(Path::new(LOG), &line);
    }
    if let Some(port) = port(Path::new("/sys/class/virtio-ports")) {
        let _ = write_to_port(&port, line.as_bytes());
    }
}

/// Keeps events in [`LOG`] without telling the host: steps that went as they should.
pub(crate) fn keep(events: &[Event]) {
    if !events.is_empty() {
        let lines: String = events.iter().map(Event::line).collect();
        // Without /run there is nothing to tell.
        let _ = append(Path::new(LOG), &lines);
    }
}

/// Reports a step; see [`Event::new`].
pub fn step(phase: &str, step: &str, state: State, message: impl Into<String>) {
    send(&Event::new(phase, step, state, message));
}

/// Reports the administrator's kubeconfig to the host.
pub fn kubeconfig(text: &str) {
    send(&Event {
        event: Some("kubeconfig".to_owned()),
        kubeconfig: Some(text.to_owned()),
        ..Event::new("kubeadm", "kubeconfig", State::Done, "")
    });
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .open(path)?
        .write_all(line.as_bytes())
}

/// The device of the host's port. By its name in sysfs, so that it needs no udev.
fn port(class: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(class).ok()?.flatten() {
        if let Ok(name) = fs::read_to_string(entry.path().join("name"))
            && name.trim() == PORT
        {
            return Some(Path::new("/dev").join(entry.file_name()));
        }
    }
    None
}

/// Writes a line without waiting for a host that does not read. The port can be open once: if
/// another process of ours writes just now, this one tries again.
fn write_to_port(port: &Path, mut bytes: &[u8]) -> io::Result<()> {
    const NONBLOCK: i32 = 0o4000;
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut file = None;
    while !bytes.is_empty() {
        let result = match &mut file {
            None => OpenOptions::new()
                .write(true)
                .custom_flags(NONBLOCK)
                .open(port)
                .map(|opened| file = Some(opened)),
            Some(open) => open.write(bytes).map(|count| bytes = &bytes[count..]),
        };
        if let Err(error) = result {
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Events of this boot. Lines that cannot be read are left out.
pub fn read_log(path: &Path) -> Vec<Event> {
    parse_log(&fs::read_to_string(path).unwrap_or_default())
}

/// Events in the text of a log.
pub fn parse_log(text: &str) -> Vec<Event> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The last `count` lines of a text, without control characters.
pub fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_is_one_line_of_the_schema() {
        let event = Event {
            at: 1.25,
            ..Event::new("kubeadm", "certificates", State::Done, "two\nlines")
        };
        assert_eq!(
            event.line(),
            "{\"schema\":\"lifeboat.event/1\",\"at\":1.25,\"phase\":\"kubeadm\",\
             \"step\":\"certificates\",\"state\":\"done\",\"message\":\"two\\nlines\"}\n"
        );
    }

    #[test]
    fn half_a_line_at_the_end_is_left_out() {
        let event = Event::failed("initrd", "root", "gone", vec!["a".to_owned()]);
        let text = format!("{}{}", event.line(), &event.line()[..20]);
        assert_eq!(parse_log(&text), [event]);
    }

    #[test]
    fn last_lines_drop_blank_ones_and_escapes() {
        assert_eq!(
            last_lines("a\n\n\x1b[31mb\nc\n", 2),
            ["[31mb", "c"].map(str::to_owned)
        );
        assert!(last_lines("", 3).is_empty());
    }

    proptest! {
        #[test]
        fn an_event_reads_back(step: String, message: String, log: Vec<String>) {
            let event = Event { at: 2.5, ..Event::failed("p", &step, message, log) };
            prop_assert_eq!(parse_log(&event.line()), vec![event]);
        }
    }
}
