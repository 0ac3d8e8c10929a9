//! The wait for a node as a pure state machine: told what events, console, API and process
//! say and when, it says how far the node is, that it is ready, or what failed and where to
//! look.

use std::{collections::VecDeque, fmt, time::Duration};

use serde::Serialize;

use crate::{Alarm, Event, Readiness, StepState, plain_text};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    /// The node is Ready.
    Node,
    /// The node is Ready and all system pods run.
    Pods,
}

/// A stretch of a boot, as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// From power-on to the kernel.
    Firmware,
    /// Kernel and initrd.
    Kernel,
    /// systemd, to the service that provisions.
    Userspace,
    /// kubeadm and what it starts, to a live API or the node's first word of being Ready.
    Kubeadm,
    /// From then to the node being Ready, if that was not the end of the former.
    Ready,
    /// From then to all system pods running.
    Pods,
}

impl Stage {
    /// The stage that a report begins. Steps of one phase may overlap another (kubeadm makes
    /// its files while systemd starts), so only the ones on the way count.
    fn begun(phase: &str, step: &str, state: StepState) -> Option<Self> {
        match (phase, step, state) {
            ("initrd", "prepare", StepState::Done) => Some(Self::Userspace),
            ("userspace", "services", StepState::Done) => Some(Self::Kubeadm),
            ("kubeadm", "api", StepState::Done) | ("ready", ..) => Some(Self::Ready),
            _ => None,
        }
    }

    /// Its name, as in `machine.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Kernel => "kernel",
            Self::Userspace => "userspace",
            Self::Kubeadm => "kubeadm",
            Self::Ready => "ready",
            Self::Pods => "pods",
        }
    }
}

/// When the stages of a boot began and the whole ended, in seconds since power-on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    marks: Vec<(Stage, f64)>,
    end: f64,
}

impl Timeline {
    fn mark(&mut self, stage: Stage, at: f64) {
        // A stage that comes again (a unit restarts) goes on; none goes back.
        if self.marks.last().is_none_or(|(last, _)| stage > *last) {
            self.marks.push((stage, at));
        }
    }

    /// Stages that happened with their seconds, in their order.
    pub fn seconds(&self) -> Vec<(&'static str, f64)> {
        let ends = self.marks.iter().skip(1).map(|(_, at)| *at);
        self.marks
            .iter()
            .zip(ends.chain([self.end]))
            .map(|((stage, start), end)| (stage.name(), (end - start).max(0.0)))
            .collect()
    }

    /// Seconds from power-on to the end.
    pub fn total(&self) -> f64 {
        self.end
    }
}

/// Which log shows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogName {
    /// The serial console.
    Console,
    /// QEMU's own output.
    Qemu,
    /// A log of the node, sent with its report.
    Node,
    /// The answers of the Kubernetes API.
    Api,
    /// The steps that the node reported.
    Events,
}

impl fmt::Display for LogName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Console => "console",
            Self::Qemu => "qemu",
            Self::Node => "node",
            Self::Api => "api",
            Self::Events => "events",
        })
    }
}

/// Why a node does not get ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("step `{step}` failed: {reason}")]
pub struct Failure {
    /// What failed.
    pub step: String,
    /// Why.
    pub reason: String,
    /// The log that shows it.
    pub log: LogName,
    /// Its last lines.
    pub lines: Vec<String>,
}

/// How far a boot is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Phase and step.
    pub step: String,
    /// What there is to say about it.
    pub message: String,
    /// Seconds since power-on.
    pub seconds: f64,
}

/// What the watch says now.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Go on.
    Waiting(Progress),
    /// The goal is reached.
    Ready(Timeline),
    /// It will not be.
    Failed(Failure),
}

/// Lines that a failure shows.
const SHOWN: usize = 20;
/// Characters of a line that are kept.
const WIDEST: usize = 400;
/// After an alarm the console gets this long to say the rest.
const AFTERMATH: Duration = Duration::from_secs(2);
/// A node that started so often without getting ready is going round.
const MOST_RESTARTS: u32 = 3;

/// The state of a wait. All times are since power-on.
#[derive(Debug)]
pub struct Watch {
    goal: Goal,
    deadline: Duration,
    console: VecDeque<String>,
    /// The last steps that the node reported.
    steps: VecDeque<String>,
    saw_kernel: bool,
    alarm: Option<(Alarm, Duration)>,
    /// The console around the alarm.
    alarm_lines: Vec<String>,
    failure: Option<Failure>,
    timeline: Timeline,
    kernel_start: Option<f64>,
    last_at: f64,
    restarts: u32,
    step: String,
    message: String,
    readiness: Option<Readiness>,
    silence: Option<String>,
    ready_at: Option<Duration>,
    /// When the node said so itself: it has rights on the API before this host has.
    ready_by_report: Option<Duration>,
    pods_at: Option<Duration>,
    pods_by_report: Option<Duration>,
    /// The node joins a cluster elsewhere, whose API this host has no rights on: what the node
    /// says is all there is.
    is_worker: bool,
}

impl Watch {
    /// A watch that gives up at `deadline`.
    pub fn new(goal: Goal, deadline: Duration) -> Self {
        Self {
            goal,
            deadline,
            console: VecDeque::new(),
            steps: VecDeque::new(),
            saw_kernel: false,
            alarm: None,
            alarm_lines: Vec::new(),
            failure: None,
            timeline: Timeline::default(),
            kernel_start: None,
            last_at: 0.0,
            restarts: 0,
            step: "firmware".to_owned(),
            message: String::new(),
            readiness: None,
            silence: None,
            ready_at: None,
            ready_by_report: None,
            pods_at: None,
            pods_by_report: None,
            is_worker: false,
        }
    }

    /// The machine boots its kernel without firmware.
    #[must_use]
    pub fn direct_kernel(mut self) -> Self {
        "kernel".clone_into(&mut self.step);
        self
    }

    /// The node reported something.
    pub fn event(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Step {
                at,
                phase,
                step,
                state,
                message,
            } => self.step(*at, phase, step, *state, message, now),
            Event::Failed { step, message, log } => {
                let lines = if log.is_empty() {
                    self.console_tail()
                } else {
                    log[log.len().saturating_sub(SHOWN)..].to_vec()
                };
                let name = if log.is_empty() {
                    LogName::Console
                } else {
                    LogName::Node
                };
                self.fail(step.clone(), message.clone(), name, lines);
            }
            Event::Kubeconfig(_) | Event::Other => {}
        }
    }

    fn step(
        &mut self,
        at: f64,
        phase: &str,
        step: &str,
        state: StepState,
        message: &str,
        now: Duration,
    ) {
        if at + 1.0 < self.last_at {
            self.restarts += 1;
            self.kernel_start = None;
        }
        self.last_at = at;
        // Reports arrive late and never early: the earliest start is the nearest one.
        let start = (now.as_secs_f64() - at).max(0.0);
        let start = self.kernel_start.map_or(start, |known| known.min(start));
        self.kernel_start = Some(start);
        if self.timeline.marks.is_empty() {
            self.timeline.mark(Stage::Firmware, 0.0);
            self.timeline.mark(Stage::Kernel, start);
        }
        if let Some(stage) = Stage::begun(phase, step, state) {
            self.timeline.mark(stage, start + at);
        }
        if (phase, step, state) == ("ready", "node", StepState::Done) {
            self.ready_by_report = Some(Duration::from_secs_f64(start + at));
        }
        if (phase, step, state) == ("ready", "pods", StepState::Done) {
            self.pods_by_report = Some(Duration::from_secs_f64(start + at));
        }
        self.is_worker |= (phase, step) == ("kubeadm", "join");
        phase.clone_into(&mut self.step);
        if !step.is_empty() && step != phase {
            self.step.push('/');
            self.step.push_str(step);
        }
        let name = match state {
            StepState::Started => "started",
            StepState::Done => "done",
            StepState::Failed => "failed",
        };
        let colon = if message.is_empty() { "" } else { ": " };
        let line = format!("{at:.1} s: {} {name}{colon}{message}", self.step);
        self.steps.push_back(line.chars().take(WIDEST).collect());
        if self.steps.len() > SHOWN {
            self.steps.pop_front();
        }
        message.clone_into(&mut self.message);
        if state == StepState::Failed && self.message.is_empty() {
            "failed".clone_into(&mut self.message);
        }
        if self.restarts >= MOST_RESTARTS {
            let lines = self.console_tail();
            let reason = format!("the machine restarted {} times", self.restarts);
            self.fail(self.step.clone(), reason, LogName::Console, lines);
        }
    }

    /// The console said a line.
    pub fn console(&mut self, line: &str, now: Duration) {
        let line: String = plain_text(line).chars().take(WIDEST).collect();
        if line.is_empty() {
            return;
        }
        if self.alarm.is_none() {
            self.alarm = Alarm::of(&line).map(|alarm| (alarm, now));
            if self.alarm.is_some() {
                // What led to it is above it; a panic's own trace is long and below.
                let skip = self.console.len().saturating_sub(SHOWN / 2);
                self.alarm_lines
                    .extend(self.console.iter().skip(skip).cloned());
            }
        }
        if self.alarm.is_some() && self.alarm_lines.len() < SHOWN {
            self.alarm_lines.push(line.clone());
        }
        // A quiet kernel says nothing: what starts it is the last that is heard.
        self.saw_kernel |= line.contains("Linux version")
            || line.starts_with("[    ")
            || line.contains("BdsDxe: starting");
        // The second of them is a guest that restarted: its old step is past.
        if self.saw_kernel && (self.step == "firmware" || line.contains("Linux version")) {
            "kernel".clone_into(&mut self.step);
        }
        self.console.push_back(line);
        if self.console.len() > 2 * SHOWN {
            self.console.pop_front();
        }
    }

    /// QEMU said a line.
    pub fn qemu(&mut self, line: &str) {
        if line.contains("KVM internal error") || line.contains("error: kvm run failed") {
            let reason = format!("this host's KVM stopped running the guest: {}", line.trim());
            let lines = vec![line.trim().to_owned()];
            self.fail("acceleration".to_owned(), reason, LogName::Qemu, lines);
        }
    }

    /// QEMU says that the machine does not run on: `io-error`, `internal-error`, …
    pub fn state(&mut self, state: &str) {
        let reason = match state {
            "io-error" => "QEMU cannot write the disk of the machine: is the host's disk full?",
            "internal-error" => "QEMU cannot run the guest on",
            "guest-panicked" => "the guest panicked",
            "paused" => "the machine is paused",
            _ => return,
        };
        let lines = self.console_tail();
        self.fail(
            self.step.clone(),
            reason.to_owned(),
            LogName::Console,
            lines,
        );
    }

    /// The API was asked.
    pub fn api(&mut self, answer: Result<Readiness, String>, now: Duration) {
        match answer {
            Err(silence) => self.silence = Some(silence),
            Ok(readiness) => {
                if readiness.nodes && self.ready_at.is_none() {
                    self.ready_at = Some(now);
                }
                if readiness.nodes && readiness.pods && self.pods_at.is_none() {
                    self.pods_at = Some(now);
                }
                self.silence = None;
                self.readiness = Some(readiness);
            }
        }
    }

    /// The machine's process ended; `log` is what QEMU said.
    pub fn ended(&mut self, log: &str) {
        let said: Vec<String> = log
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.contains("warning:"))
            .map(str::to_owned)
            .collect();
        let (name, lines) = if said.is_empty() {
            (LogName::Console, self.console_tail())
        } else {
            (
                LogName::Qemu,
                said[said.len().saturating_sub(SHOWN)..].to_vec(),
            )
        };
        let reason = match &self.alarm {
            Some((alarm, _)) => alarm.reason.clone(),
            None if said.is_empty() => "the machine powered off".to_owned(),
            None => "the machine's process ended".to_owned(),
        };
        self.fail(self.step.clone(), reason, name, lines);
    }

    /// What there is to say now.
    pub fn verdict(&self, now: Duration) -> Verdict {
        let reached = match (self.goal, self.is_worker) {
            (Goal::Node, false) => self.ready_at,
            (Goal::Pods, false) => self.pods_at,
            (Goal::Node, true) => self.ready_by_report,
            (Goal::Pods, true) => self.pods_by_report,
        };
        if let Some(end) = reached {
            return Verdict::Ready(self.finished(end));
        }
        if let Some(failure) = &self.failure {
            return Verdict::Failed(failure.clone());
        }
        if let Some((alarm, at)) = &self.alarm
            && now >= *at + AFTERMATH
        {
            return Verdict::Failed(Failure {
                step: alarm.step.to_owned(),
                reason: alarm.reason.clone(),
                log: LogName::Console,
                lines: self.alarm_lines.clone(),
            });
        }
        if now >= self.deadline {
            return Verdict::Failed(self.late());
        }
        Verdict::Waiting(self.progress(now))
    }

    fn progress(&self, now: Duration) -> Progress {
        let (step, message) = match &self.readiness {
            Some(readiness) if readiness.nodes => {
                let (ready, all) = readiness.pods_ready;
                (
                    "pods".to_owned(),
                    format!("{ready} of {all} system pods run"),
                )
            }
            Some(readiness) => (
                "ready".to_owned(),
                readiness.lacks.first().cloned().unwrap_or_default(),
            ),
            None => (self.step.clone(), self.message.clone()),
        };
        Progress {
            step,
            message,
            seconds: now.as_secs_f64(),
        }
    }

    /// The failure of the deadline: the step it was at, and what shows why.
    fn late(&self) -> Failure {
        let limit = self.deadline.as_secs();
        if let Some(readiness) = &self.readiness {
            let step = if readiness.nodes { "pods" } else { "ready" };
            let mut lines = readiness.lacks.clone();
            lines.extend(self.silence.clone());
            let first = lines.first().cloned().unwrap_or_default();
            return Failure {
                step: step.to_owned(),
                reason: format!("not done {limit} s after power-on: {first}"),
                log: LogName::Api,
                lines,
            };
        }
        let mut reason = format!("not done {limit} s after power-on");
        for more in [Some(&self.message), self.silence.as_ref()] {
            if let Some(more) = more.filter(|text| !text.is_empty()) {
                reason.push_str(": ");
                reason.push_str(more);
            }
        }
        // A quiet kernel leaves the console empty; the node's own steps say more then.
        let (log, lines) = match (self.console.is_empty(), self.steps.is_empty()) {
            (true, true) => {
                reason.push_str(": the console stayed empty");
                (LogName::Console, Vec::new())
            }
            (true, false) => (LogName::Events, self.steps.iter().cloned().collect()),
            (false, _) => (LogName::Console, self.console_tail()),
        };
        Failure {
            step: self.step.clone(),
            reason,
            log,
            lines,
        }
    }

    fn finished(&self, end: Duration) -> Timeline {
        let mut timeline = self.timeline.clone();
        if let Some(ready) = self.ready_by_report.into_iter().chain(self.ready_at).min()
            && self.goal == Goal::Pods
        {
            timeline.mark(Stage::Pods, ready.as_secs_f64());
        }
        timeline.end = end.as_secs_f64();
        timeline
    }

    fn fail(&mut self, step: String, reason: String, log: LogName, lines: Vec<String>) {
        // The first failure is the cause; others follow from it.
        if self.failure.is_none() {
            self.failure = Some(Failure {
                step,
                reason,
                log,
                lines,
            });
        }
    }

    fn console_tail(&self) -> Vec<String> {
        let skip = self.console.len().saturating_sub(SHOWN);
        self.console.iter().skip(skip).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
