//! Waiting with a limit: the only sleep of the crate.

use std::time::{Duration, Instant};

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// A deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self {
            end: Instant::now() + limit,
        }
    }

    /// What is left of it; zero when it has passed.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// Rests until the next look, but not past the deadline.
    pub fn rest(&self, pause: Duration) {
        std::thread::sleep(pause.min(self.left()));
    }
}

/// Asks `probe` until it answers or `limit` has passed; `None` then. It is asked at least once,
/// and once more after the limit, so that a slow host does not lose an answer that was there.
pub fn wait_until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(limit);
    let mut pause = Duration::from_millis(2);
    loop {
        let last = deadline.passed();
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if last {
            return None;
        }
        deadline.rest(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
