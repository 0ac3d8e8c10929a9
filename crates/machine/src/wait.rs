//! Waits until a machine's node is ready: feeds a [`Watch`] with what happens.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use crate::{
    Api, Deadline, Event, Failure, Folder, FolderError, Goal, Kubeconfig, Progress, Qmp, Readiness,
    Record, RunState, Tail, Timeline, Verdict, Watch, alive, clock::milliseconds, judge,
    parse_timestamp, qemu_file as file, timestamp,
};

/// What to wait for, and who is told meanwhile.
pub struct Waiting<'a> {
    /// What is waited for.
    pub goal: Goal,
    /// How long at most, from now.
    pub limit: Duration,
    /// Ends the wait when set.
    pub cancel: &'a AtomicBool,
    /// Told about each change.
    pub progress: &'a mut dyn FnMut(&Progress),
}

impl std::fmt::Debug for Waiting<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Waiting")
            .field("goal", &self.goal)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why a wait ended without a ready node.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The machine's folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A log of the machine cannot be read; the source names it.
    #[error("the logs of the machine cannot be read")]
    Log(#[from] std::io::Error),
    /// The machine does not run.
    #[error("machine `{0}` does not run")]
    NotRunning(String),
    /// The node does not get ready.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The caller ended it.
    #[error("the wait was ended; the machine goes on")]
    Cancelled,
}

/// How often files are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the API is asked, if no report of the node says that it is time: each answer costs
/// an emulated guest time that it boots with.
const API_PAUSE: Duration = Duration::from_secs(10);
/// How often QEMU is asked whether the machine runs on.
const STATE_PAUSE: Duration = Duration::from_secs(5);
/// How long one answer of the API may take.
const API_LIMIT: Duration = Duration::from_secs(10);

/// Waits until the node of a running machine is ready, and keeps its kubeconfig and the
/// seconds of its stages in the folder.
///
/// # Errors
/// [`WaitError`]; the machine goes on running.
pub fn wait_ready(folder: &Folder, waiting: Waiting<'_>) -> Result<Timeline, WaitError> {
    let record = folder.record()?;
    let Some(run) = record.running.clone().filter(|run| alive(&run.process)) else {
        return Err(WaitError::NotRunning(record.name.to_string()));
    };
    let Waiting {
        goal,
        limit,
        cancel,
        progress: tell,
    } = waiting;
    let mut session = Session::new(folder, &record, &run, goal, limit)?;
    let mut shown = None;
    loop {
        session.look()?;
        let now = session.now();
        match session.watch.verdict(now) {
            Verdict::Ready(timeline) => {
                session.keep(&timeline)?;
                return Ok(timeline);
            }
            Verdict::Failed(failure) => return Err(failure.into()),
            Verdict::Waiting(progress) => {
                let key = (progress.step.clone(), progress.message.clone());
                if shown.as_ref() != Some(&key) {
                    tell(&progress);
                    shown = Some(key);
                }
            }
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(WaitError::Cancelled);
        }
        Deadline::after(PAUSE).rest(PAUSE);
    }
}

struct Session<'a> {
    folder: &'a Folder,
    record: &'a Record,
    run: &'a RunState,
    goal: Goal,
    watch: Watch,
    events: Tail,
    console: Tail,
    qemu: Tail,
    api: Option<Api>,
    next_ask: Deadline,
    next_state: Deadline,
}

impl<'a> Session<'a> {
    fn new(
        folder: &'a Folder,
        record: &'a Record,
        run: &'a RunState,
        goal: Goal,
        limit: Duration,
    ) -> Result<Self, WaitError> {
        // What a node that was ready once said before is no longer news.
        let from = |name: &str, start: u64| {
            if run.ready {
                fs::metadata(folder.file(name)).map_or(start, |file| file.len())
            } else {
                start
            }
        };
        let mut session = Self {
            folder,
            record,
            run,
            goal,
            watch: Watch::new(goal, Duration::ZERO),
            events: Tail::new(
                folder.file(file::EVENTS),
                from(file::EVENTS, run.events_from),
            ),
            console: Tail::new(
                folder.file(file::CONSOLE_LOG),
                from(file::CONSOLE_LOG, run.console_from),
            ),
            qemu: Tail::new(folder.file(file::LOG), from(file::LOG, 0)),
            api: None,
            next_ask: Deadline::after(Duration::ZERO),
            next_state: Deadline::after(STATE_PAUSE),
        };
        session.watch = Watch::new(goal, session.now() + limit);
        if record.direct_kernel {
            session.watch = session.watch.direct_kernel();
        }
        if let Ok(text) = fs::read_to_string(folder.file(file::KUBECONFIG)) {
            session.kubeconfig(&text)?;
        }
        Ok(session)
    }

    /// Time since power-on.
    fn now(&self) -> Duration {
        let now = milliseconds(SystemTime::now());
        Duration::from_millis(now.saturating_sub(self.run.since_ms))
    }

    fn look(&mut self) -> Result<(), WaitError> {
        // The process first: what it wrote before it ended is then read in the same look.
        let running = alive(&self.run.process);
        for line in self.events.lines()? {
            let event = Event::parse(&line);
            if let Event::Kubeconfig(text) = &event {
                self.kubeconfig(text)?;
            }
            if matches!(&event, Event::Step { phase, .. } if phase == "ready") {
                self.next_ask = Deadline::after(Duration::ZERO);
            }
            self.watch.event(&event, self.now());
        }
        for line in self.console.lines()? {
            self.watch.console(&line, self.now());
        }
        for line in self.qemu.lines()? {
            self.watch.qemu(&line);
        }
        if !running {
            let log = fs::read_to_string(self.folder.file(file::LOG)).unwrap_or_default();
            self.watch.ended(&log);
        } else if self.next_ask.passed() {
            if let Some(api) = &self.api {
                let answer = ask(api, self.record, self.run, self.goal);
                self.watch.api(answer, self.now());
            }
            self.next_ask = Deadline::after(API_PAUSE);
        }
        if running && self.next_state.passed() {
            // Another command may hold the socket for a moment; then the next look asks.
            let limit = Duration::from_millis(500);
            if let Ok(state) = Qmp::connect(self.folder, limit).and_then(|mut qmp| qmp.status()) {
                self.watch.state(&state);
            }
            self.next_state = Deadline::after(STATE_PAUSE);
        }
        Ok(())
    }

    /// Takes credentials into use, and keeps them for this host with the port of this start.
    /// Such that cannot be read are left alone: the deadline then tells that no API answered.
    fn kubeconfig(&mut self, text: &str) -> Result<(), WaitError> {
        let (Ok(kubeconfig), Some(port)) = (Kubeconfig::parse(text), self.record.host_port(6443))
        else {
            return Ok(());
        };
        let name = self.record.name.as_str();
        let text = kubeconfig.text_for_host(name, port);
        let path = self.folder.file(file::KUBECONFIG);
        if fs::read_to_string(path).ok().as_ref() != Some(&text) {
            self.folder
                .write_private(file::KUBECONFIG, text.as_bytes())?;
        }
        self.api = Api::new(&kubeconfig, port, API_LIMIT).ok();
        Ok(())
    }

    fn keep(&self, timeline: &Timeline) -> Result<(), WaitError> {
        let mut record = self.folder.record()?;
        // Another process may have stopped or restarted it meanwhile.
        let same = record
            .running
            .as_mut()
            .filter(|run| run.process == self.run.process && !run.ready);
        let Some(run) = same else {
            return Ok(());
        };
        run.ready = true;
        for (stage, seconds) in timeline.seconds() {
            record.seconds.insert(stage.to_owned(), seconds);
        }
        Ok(self.folder.write(&record)?)
    }
}

/// Asks the API once: for the nodes, and for the pods when those are Ready.
fn ask(api: &Api, record: &Record, run: &RunState, goal: Goal) -> Result<Readiness, String> {
    let text = |error: crate::ApiError| error.to_string();
    let (nodes, date) = api.get("/api/v1/nodes").map_err(text)?;
    let since = since(record, run, date);
    let first = judge(&nodes, None, &record.expected, &since);
    if !first.nodes || goal == Goal::Node {
        return Ok(first);
    }
    let (pods, _) = api.get("/api/v1/pods").map_err(text)?;
    Ok(judge(&nodes, Some(&pods), &record.expected, &since))
}

/// The guest's time at its start, before which nothing that it wrote counts. A cluster's first
/// start has no state from before; and the guest's clock may be right where the host's is not.
fn since(record: &Record, run: &RunState, guest_now: Option<SystemTime>) -> String {
    if record.first_start {
        return String::new();
    }
    let now = SystemTime::now();
    let behind = guest_now.and_then(|guest| now.duration_since(guest).ok());
    let start = parse_timestamp(&run.since).unwrap_or(now);
    timestamp(start - behind.unwrap_or_default())
}

/// What the API says of a running machine now; `None` if it runs none yet.
pub(crate) fn ask_once(folder: &Folder, limit: Duration) -> Option<Result<Readiness, String>> {
    let record = folder.record().ok()?;
    let run = record.running.clone()?;
    let text = fs::read_to_string(folder.file(file::KUBECONFIG)).ok()?;
    let kubeconfig = Kubeconfig::parse(&text).ok()?;
    let api = Api::new(&kubeconfig, record.host_port(6443)?, limit).ok()?;
    Some(ask(&api, &record, &run, Goal::Pods))
}

impl Folder {
    /// The last step that the node reported in this start, and what it said about it.
    pub fn last_step(&self) -> Option<(String, String)> {
        let run = self.running().ok()??;
        let mut events = Tail::new(self.file(file::EVENTS), run.events_from);
        let lines = events.lines().ok()?;
        lines
            .iter()
            .rev()
            .find_map(|line| match Event::parse(line) {
                Event::Step {
                    phase,
                    step,
                    message,
                    ..
                } => Some((format!("{phase}/{step}"), message)),
                Event::Failed { step, message, .. } => Some((step, format!("failed: {message}"))),
                Event::Kubeconfig(_) | Event::Other => None,
            })
    }

    /// What the Kubernetes API of this machine says now: nodes and system pods, or why it does
    /// not answer. `None` while there is no cluster yet. The answer may take twice `limit`.
    pub fn ask_kubernetes(&self, limit: Duration) -> Option<Result<Readiness, String>> {
        ask_once(self, limit)
    }
}
