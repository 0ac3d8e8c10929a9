//! The places of a file, how well they do, and when to stop.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{FetchError, Patience, Trouble, session::Failure};

/// `bytes 5-9/10`: the start, and the whole size if it is known.
pub(super) fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, total.parse().ok()))
}

/// How often each server failed in a row, whatever was asked of it.
#[derive(Default)]
pub(super) struct Health(Mutex<HashMap<String, u32>>);

/// `http://host:port`
fn server(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    &url[..end]
}

impl Health {
    /// So many failures in a row are no accident.
    const BAD: u32 = 3;

    fn is_bad(&self, url: &str) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .get(server(url))
            .is_some_and(|count| *count >= Self::BAD)
    }

    pub(super) fn report(&self, url: &str, good: bool) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(server(url).to_owned()).or_default();
        *count = if good { 0 } else { count.saturating_add(1) };
    }
}

/// The URLs of a file that are still worth a try, in turn.
pub(super) struct Places<'a> {
    urls: Vec<&'a String>,
    at: usize,
    pub(super) tried: Vec<(String, Trouble)>,
}

impl<'a> Places<'a> {
    /// Bad servers come last: a dead mirror costs its time-out a few times, not for each file.
    pub(super) fn new(urls: &'a [String], health: &Health) -> Self {
        let mut urls: Vec<&String> = urls.iter().collect();
        urls.sort_by_key(|url| health.is_bad(url));
        Self {
            urls,
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

    fn remember(&mut self, trouble: Trouble) -> String {
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
