//! Ctrl-C: the first one asks to end well, the second one ends.

use std::{
    io,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

use crate::exit;

/// How long a build may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// A flag that the first Ctrl-C (or a request to terminate) sets. The second ends the process
/// at once: what is half-made has a hidden name then, and the next run replaces it.
pub fn flag() -> io::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the conditional one must see the flag as it was before the signal.
        flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancel))?;
        flag::register(signal, Arc::clone(&cancel))?;
    }
    Ok(cancel)
}

/// From now on a first Ctrl-C ends the process after some seconds, if it has not ended by then:
/// some steps of a build, and the wait for another build, look at no flag. Half-made things are
/// left as a kill leaves them.
pub fn end_soon() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            if signals.forever().next().is_none() {
                return;
            }
            // Nobody sends: it is the clock that is waited for.
            let (_keep, never) = mpsc::channel::<()>();
            if never.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                exit::interrupted();
            }
        })?;
    Ok(())
}
