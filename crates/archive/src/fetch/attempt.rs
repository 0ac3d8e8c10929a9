//! The places of a file, how well they do, and when to stop.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Failure, FetchError, Patience, Trouble};

/// `bytes 5-9/10`: the start, and the whole size if it is known.
pub(super) fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, total.parse().ok()))
}

/// The URLs of a file that are still worth a try, in turn.
pub(super) struct Places<'a> {
    urls: Vec<&'a String>,
    at: usize,
    pub(super) tried: Vec<(String, Trouble)>,
}

impl<'a> Places<'a> {
    pub(super) fn new(urls: &'a [String]) -> Self {
        Self {
            urls: urls.iter().collect(),
            at: 0,
            tried: Vec::new(),
        }
    }

    pub(super) fn next(&self) -> Option<&'a str> {
        let url = self.urls.get(self.at % self.urls.len().max(1))?;
        Some(url)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    pub(super) fn remember(&mut self, trouble: Trouble) -> String {
        let url = self.urls[self.at % self.urls.len()];
        let text = format!("{url}: {trouble}");
        match self.tried.iter_mut().find(|(known, _)| known == url) {
            Some(entry) => entry.1 = trouble,
            None => self.tried.push((url.clone(), trouble)),
        }
        text
    }

    pub(super) fn note(&mut self, trouble: Trouble) -> String {
        let text = self.remember(trouble);
        self.at += 1;
        text
    }

    pub(super) fn strike(&mut self, trouble: Trouble) -> String {
        let text = self.remember(trouble);
        self.urls.remove(self.at % self.urls.len());
        text
    }
}

/// Tells all threads of a download to stop.
#[derive(Default)]
pub(super) struct Stop {
    set: Mutex<bool>,
    changed: std::sync::Condvar,
}

impl Stop {
    pub(super) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(super) fn check(&self) -> Result<(), FetchError> {
        if *self.set.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(FetchError::Cancelled);
        }
        Ok(())
    }

    pub(super) fn wait(&self, pause: Duration) -> Result<(), FetchError> {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.changed
                .wait_timeout_while(set, pause, |set| !*set)
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.check()
    }
}

/// Measures whether enough comes.
pub(super) struct Pace {
    patience: Patience,
    since: Instant,
    moved: u64,
}

impl Pace {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            since: Instant::now(),
            moved: 0,
        }
    }

    pub(super) fn moved(&mut self, bytes: u64) -> Result<(), Failure> {
        self.moved += bytes;
        let window = self.patience.stall;
        if self.since.elapsed() >= window {
            let wanted = u128::from(self.patience.rate) * window.as_millis() / 1000;
            if u128::from(self.moved) < wanted {
                return Err(Failure::Passing(Trouble::Slow {
                    rate: self.patience.rate,
                    seconds: window.as_secs().max(1),
                }));
            }
            (self.since, self.moved) = (Instant::now(), 0);
        }
        Ok(())
    }
}
