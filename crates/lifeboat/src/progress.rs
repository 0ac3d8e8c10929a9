//! Progress of long verbs, as bars, lines or events.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{cli::ProgressMode, printer};

/// Shows what is being done, and measures the phases.
#[derive(Debug)]
pub struct Reporter {
    mode: ProgressMode,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    done: u64,
    told: Instant,
    phase: Option<(String, Instant)>,
    seconds: BTreeMap<String, f64>,
}

impl Reporter {
    /// A reporter of that kind.
    pub fn new(mode: ProgressMode) -> Self {
        Self {
            mode,
            state: Mutex::new(State {
                bar: None,
                what: String::new(),
                total: 0,
                done: 0,
                told: Instant::now(),
                phase: None,
                seconds: BTreeMap::new(),
            }),
        }
    }

    /// A phase of the whole begins; the one before it ends. Its seconds are kept by its name.
    pub fn phase(&self, name: &str, text: &str) {
        let mut state = self.state();
        end_phase(&mut state);
        state.phase = Some((name.to_owned(), Instant::now()));
        drop(state);
        self.begin(name, text, 0);
    }

    /// The last phase ended; seconds of each phase so far.
    pub fn seconds(&self) -> BTreeMap<String, f64> {
        let mut state = self.state();
        end_phase(&mut state);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        state.seconds.clone()
    }

    /// The step of something that has no number of bytes, such as a boot.
    pub fn step(&self, step: &str, message: &str) {
        match self.mode {
            ProgressMode::Json => {
                event(&json!({"event": "step", "step": step, "message": message}));
            }
            ProgressMode::Lines => {
                let colon = if message.is_empty() { "" } else { ": " };
                printer::progress_line(&format!("  {step}{colon}{message}"));
            }
            ProgressMode::Bar => {
                let mut state = self.state();
                bar(&mut state).set_message(format!("{step} {message}"));
            }
            ProgressMode::None | ProgressMode::Auto => {}
        }
    }

    fn begin(&self, phase: &str, what: &str, total: u64) {
        let mut state = self.state();
        what.clone_into(&mut state.what);
        state.total = total;
        state.done = 0;
        state.told = Instant::now();
        match self.mode {
            ProgressMode::Json => event(
                &json!({"event": "start", "phase": phase, "what": what, "total_bytes": total}),
            ),
            ProgressMode::Lines => printer::progress_line(what),
            ProgressMode::Bar => {
                let bar = bar(&mut state);
                bar.set_style(style(total > 0));
                bar.set_length(total);
                bar.set_position(0);
                bar.set_message(what.to_owned());
            }
            ProgressMode::None | ProgressMode::Auto => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panicked thread left is shown as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl lifeboat_archive::Progress for Reporter {
    fn start(&self, what: &str, total_bytes: u64) {
        self.begin("", what, total_bytes);
    }

    fn advance(&self, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        if let Some(bar) = &state.bar {
            bar.inc(bytes);
        }
        // Lines and events are for logs: one in ten seconds, one in a second.
        let pause = match self.mode {
            ProgressMode::Lines => Duration::from_secs(10),
            ProgressMode::Json => Duration::from_secs(1),
            _ => return,
        };
        if state.told.elapsed() < pause || state.total == 0 {
            return;
        }
        state.told = Instant::now();
        let (done, total) = (state.done, state.total);
        if self.mode == ProgressMode::Json {
            event(&json!({"event": "advance", "bytes": done, "total_bytes": total}));
        } else {
            let mib = |bytes: u64| bytes >> 20;
            printer::progress_line(&format!("  {} of {} MiB", mib(done), mib(total)));
        }
    }

    fn finish(&self) {
        let state = self.state();
        if self.mode == ProgressMode::Json {
            event(&json!({"event": "finish", "what": state.what}));
        }
        if let Some(bar) = &state.bar {
            bar.set_style(style(false));
        }
    }

    fn note(&self, text: &str) {
        match self.mode {
            ProgressMode::Json => event(&json!({"event": "note", "message": text})),
            ProgressMode::None | ProgressMode::Auto => {}
            ProgressMode::Lines => printer::progress_line(text),
            ProgressMode::Bar => {
                let state = self.state();
                match &state.bar {
                    Some(bar) => bar.suspend(|| printer::progress_line(text)),
                    None => printer::progress_line(text),
                }
            }
        }
    }
}

fn end_phase(state: &mut State) {
    if let Some((name, start)) = state.phase.take() {
        *state.seconds.entry(name).or_default() += start.elapsed().as_secs_f64();
    }
}

fn bar(state: &mut State) -> &ProgressBar {
    state.bar.get_or_insert_with(|| {
        let bar = ProgressBar::new(0).with_style(style(false));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    })
}

fn style(bytes: bool) -> ProgressStyle {
    let template = if bytes {
        "{spinner} {wide_msg} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
    } else {
        "{spinner} {wide_msg} {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn event(event: &serde_json::Value) {
    let mut line = json!({"schema": "lifeboat.progress/1"});
    if let (Some(line), Some(event)) = (line.as_object_mut(), event.as_object()) {
        line.extend(event.clone());
    }
    printer::progress_line(&line.to_string());
}
