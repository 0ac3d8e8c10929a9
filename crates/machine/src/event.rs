//! What a node reports over its virtio-serial port: one JSON object a line.

use serde::Deserialize;

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It began.
    Started,
    /// It ended well.
    Done,
    /// It ended badly; whether that is the end is said by [`Event::Failed`].
    Failed,
}

/// One report. Unknown fields are left alone: the node may be newer than this host.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step of a phase began or ended.
    Step {
        /// Seconds since the guest's kernel started.
        at: f64,
        /// The phase: `initrd`, `kubeadm`, …
        phase: String,
        /// The step in it; empty for the phase itself.
        step: String,
        /// How it stands.
        state: StepState,
        /// What there is to say.
        message: String,
    },
    /// The cluster's administrator configuration.
    Kubeconfig(String),
    /// The node gave up.
    Failed {
        /// Phase and step that failed.
        step: String,
        /// Why.
        message: String,
        /// The last lines of the log that shows it.
        log: Vec<String>,
    },
    /// Something that this version does not know.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    schema: String,
    at: f64,
    phase: String,
    step: String,
    state: String,
    message: String,
    event: String,
    kubeconfig: String,
    log: Log,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Log {
    Lines(Vec<String>),
    Text(String),
}

impl Default for Log {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Event {
    /// Reads one line. Anything that is no report of a known schema is [`Event::Other`]: the
    /// port carries what a guest writes, and a guest may write anything.
    pub fn parse(line: &str) -> Self {
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            return Self::Other;
        };
        if line.schema != "lifeboat.event/1" {
            return Self::Other;
        }
        match line.event.as_str() {
            "kubeconfig" if !line.kubeconfig.is_empty() => Self::Kubeconfig(line.kubeconfig),
            "failed" => Self::Failed {
                step: [line.phase, line.step]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("/"),
                message: line.message,
                log: match line.log {
                    Log::Lines(lines) => lines,
                    Log::Text(text) => text.lines().map(str::to_owned).collect(),
                },
            },
            "" | "step" if !line.phase.is_empty() => Self::Step {
                at: line.at,
                phase: line.phase,
                step: line.step,
                state: match line.state.as_str() {
                    "done" | "ok" => StepState::Done,
                    "failed" => StepState::Failed,
                    _ => StepState::Started,
                },
                message: line.message,
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_are_read_and_newer_fields_ignored() {
        let step = r#"{"schema":"lifeboat.event/1","at":3.5,"phase":"initrd","step":"root","state":"done","message":"ok","later":1}"#;
        assert_eq!(
            Event::parse(step),
            Event::Step {
                at: 3.5,
                phase: "initrd".into(),
                step: "root".into(),
                state: StepState::Done,
                message: "ok".into()
            }
        );
        let failed =
            r#"{"schema":"lifeboat.event/1","event":"failed","step":"kubeadm","log":["a","b"]}"#;
        assert!(matches!(Event::parse(failed), Event::Failed { log, .. } if log == ["a", "b"]));
        let kubeconfig = r#"{"schema":"lifeboat.event/1","event":"kubeconfig","kubeconfig":"x"}"#;
        assert_eq!(Event::parse(kubeconfig), Event::Kubeconfig("x".into()));
        let newer = r#"{"schema":"lifeboat.event/2","phase":"initrd"}"#;
        assert_eq!(Event::parse(newer), Event::Other);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            let _ = Event::parse(&line);
        }
    }
}
