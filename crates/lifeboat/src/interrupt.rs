//! Ctrl-C: the first one asks to end well, the second one ends.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

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
