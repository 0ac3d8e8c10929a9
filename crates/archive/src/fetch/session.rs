//! One call of the fetcher: its connections, and what it learnt of its servers.

use std::{
    io::{self, Read as _},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::{
    FetchError, Fetcher, Patience, Trouble, Wanted,
    attempt::{Health, Pace, Places, Stop, parse_range},
    part::Part,
    proxy::Agents,
};
use crate::{Cache, Progress};

/// A place that will not answer better the next time, or one that may.
pub(super) enum Failure {
    Final(Trouble),
    Passing(Trouble),
    Stop(FetchError),
}

/// The connections of one call. Stopping it closes them for good.
pub(super) struct Session {
    agents: Agents,
    patience: Patience,
    stop: Stop,
    health: Health,
}

impl Session {
    pub(super) fn new(fetcher: &Fetcher) -> Self {
        Self {
            agents: Agents::new(fetcher.patience, fetcher.proxy.as_ref()),
            patience: fetcher.patience,
            stop: Stop::default(),
            health: Health::default(),
        }
    }

    /// Waits for all workers; at the first error, or when `cancel` is set, stops the others.
    pub(super) fn watch(
        &self,
        results: &mpsc::Receiver<Result<(), FetchError>>,
        cancel: &AtomicBool,
    ) -> Result<(), FetchError> {
        let mut first_error = None;
        loop {
            let event = results.recv_timeout(Duration::from_millis(50));
            let error = match event {
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return first_error.map_or(Ok(()), Err);
                }
                Ok(Err(error)) => Some(error),
                _ if cancel.load(Ordering::Relaxed) => Some(FetchError::Cancelled),
                _ => None,
            };
            if error.is_some() && first_error.is_none() {
                first_error = error;
                self.stop.set();
                self.agents.shutdown();
            }
        }
    }

    /// Tries all places of a file in turn until it is whole or too many tries brought nothing.
    pub(super) fn fetch_one(
        &self,
        cache: &Cache,
        file: &Wanted,
        progress: &dyn Progress,
    ) -> Result<(), FetchError> {
        let _lock = cache.lock("blob", &file.sha256, || {
            progress.note(&format!(
                "{} is being fetched by another process",
                file.name
            ));
        })?;
        if cache.blob(&file.sha256).is_some() {
            progress.advance(file.size);
            return Ok(());
        }
        let mut part = Part::open(cache, file)?;
        let mut reported = 0;
        let mut advance = |position: u64| {
            if position > reported {
                progress.advance(position - reported);
                reported = position;
            }
        };
        advance(part.length);
        let mut places = Places::new(&file.urls, &self.health);
        let mut tries = 0;
        while let Some(url) = places.next() {
            self.stop.check()?;
            let before = part.length;
            let failure = match self.receive(&mut part, url, &mut advance) {
                Ok(()) => match part.finish(cache)? {
                    None => {
                        self.health.report(url, true);
                        return Ok(());
                    }
                    // What was there before may have been bad; from its start this place has
                    // one chance more.
                    Some(found) if before > 0 => Failure::Passing(found),
                    Some(found) => Failure::Final(found),
                },
                Err(failure) => failure,
            };
            self.stop.check()?;
            let trouble = match failure {
                Failure::Stop(error) => return Err(error),
                Failure::Final(trouble) => places.strike(trouble),
                Failure::Passing(trouble) => {
                    self.health.report(url, false);
                    let enough = self.patience.rate * self.patience.stall.as_secs().max(1);
                    if part.length.saturating_sub(before) >= enough {
                        tries = 0;
                    }
                    tries += 1;
                    let trouble = places.note(trouble);
                    if tries >= self.patience.tries {
                        break;
                    }
                    trouble
                }
            };
            progress.note(&format!("{}: {trouble}; trying again", file.name));
            if places.is_empty() {
                break;
            }
            let doublings = (tries / u32::try_from(file.urls.len()).unwrap_or(1)).min(5);
            self.stop.wait(self.patience.pause * 2_u32.pow(doublings))?;
        }
        Err(FetchError::Failed {
            name: file.name.clone(),
            tried: places.tried,
        })
    }

    /// Asks `url` for what `part` still lacks, and appends it.
    fn receive(
        &self,
        part: &mut Part<'_>,
        url: &str,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        if part.length == part.wanted.size {
            return Ok(());
        }
        let mut request = self.agents.of(url).get(url);
        if part.length > 0 {
            request = request.header("Range", format!("bytes={}-", part.length));
        }
        let response = request.call().map_err(|error| self.failure(&error))?;
        let size = part.wanted.size;
        let status = response.status().as_u16();
        let mut body = response.into_parts();
        let found = match status {
            206 => {
                let range = body.0.headers.get("content-range");
                let range = range.and_then(|value| value.to_str().ok());
                match range.and_then(parse_range) {
                    Some((start, total)) if start == part.length => total,
                    _ => {
                        part.restart().map_err(Failure::Stop)?;
                        return Err(Failure::Passing(Trouble::Connection(
                            "the server sent another part than the one asked for".to_owned(),
                        )));
                    }
                }
            }
            200 => {
                part.restart().map_err(Failure::Stop)?;
                body.1.content_length()
            }
            416 => {
                part.restart().map_err(Failure::Stop)?;
                return Err(Failure::Passing(Trouble::Status(416)));
            }
            408 | 425 | 429 | 500..=599 => return Err(Failure::Passing(Trouble::Status(status))),
            _ => return Err(Failure::Final(Trouble::Status(status))),
        };
        if let Some(found) = found
            && found != size
        {
            return Err(Failure::Final(Trouble::Size {
                wanted: size,
                found,
            }));
        }
        let mut reader = body.1.as_reader();
        let mut buffer = vec![0; 1 << 16];
        let mut pace = Pace::new(self.patience);
        while part.length < size {
            let room = usize::try_from(size - part.length)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            match reader.read(&mut buffer[..room]) {
                Ok(0) => {
                    return Err(Failure::Passing(Trouble::Connection(format!(
                        "the connection ended after {} of {size} bytes",
                        part.length
                    ))));
                }
                Ok(read) => {
                    part.append(&buffer[..read]).map_err(Failure::Stop)?;
                    advance(part.length);
                    pace.moved(read as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&ureq::Error::from(error))),
            }
            self.stop.check().map_err(Failure::Stop)?;
        }
        Ok(())
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        let seconds = self.patience.stall.as_secs();
        Failure::Passing(match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Trouble::Connection(format!("no connection within {seconds} s"))
            }
            ureq::Error::Timeout(_) => Trouble::Connection(format!("nothing came for {seconds} s")),
            ureq::Error::HostNotFound => {
                Trouble::Connection("the host's name is not known".to_owned())
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
                return Failure::Final(Trouble::Connection(format!("{error}")));
            }
            other => Trouble::Connection(other.to_string().trim_start_matches("io: ").to_owned()),
        })
    }

    /// A small file; `None` if no place has it.
    pub(super) fn get(
        &self,
        urls: &[String],
        limit: u64,
        tries_at_most: u32,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let mut places = Places::new(urls, &self.health);
        let mut tries = 0;
        while let Some(url) = places.next() {
            self.stop.check()?;
            let result = match self.agents.of(url).get(url).call() {
                Ok(mut response) => match response.status().as_u16() {
                    200 => response
                        .body_mut()
                        .with_config()
                        .limit(limit)
                        .read_to_vec()
                        .map_err(|error| self.failure(&error)),
                    status @ (408 | 425 | 429 | 500..=599) => {
                        Err(Failure::Passing(Trouble::Status(status)))
                    }
                    status => Err(Failure::Final(Trouble::Status(status))),
                },
                Err(error) => Err(self.failure(&error)),
            };
            let trouble = match result {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Failure::Stop(error)) => return Err(error),
                Err(Failure::Final(trouble)) => places.strike(trouble),
                Err(Failure::Passing(trouble)) => {
                    tries += 1;
                    let trouble = places.note(trouble);
                    if tries >= self.patience.tries.min(tries_at_most) {
                        break;
                    }
                    trouble
                }
            };
            if places.is_empty() {
                break;
            }
            progress.note(&format!("{trouble}; trying again"));
            let doublings = (tries / u32::try_from(urls.len()).unwrap_or(1)).min(5);
            self.stop.wait(self.patience.pause * 2_u32.pow(doublings))?;
        }
        let outcome = places.tried;
        let absent = |(_, trouble): &(String, Trouble)| matches!(trouble, Trouble::Status(404));
        if !outcome.is_empty() && outcome.iter().all(absent) {
            return Ok(None);
        }
        Err(FetchError::Failed {
            name: urls.first().cloned().unwrap_or_default(),
            tried: outcome,
        })
    }
}
