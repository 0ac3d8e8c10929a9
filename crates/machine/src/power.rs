//! How a machine is ended.

use std::time::Duration;

use rustix::process::Signal;

use crate::{Folder, FolderError, MachineLock, Qmp, RunState, alive, wait_until};

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    Already,
    /// The guest powered off.
    PoweredOff,
    /// The guest did not, and was cut off.
    Cut,
}

/// Why a machine could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its process does not end.
    #[error("process {0}, QEMU of the machine, does not end")]
    Stuck(u32),
}

/// Presses the power button, and cuts the power if the guest is not off after `limit` (at
/// once if that is zero).
///
/// # Errors
/// [`StopError`] if the machine cannot be ended.
pub fn stop(folder: &Folder, _lock: &MachineLock, limit: Duration) -> Result<Stopped, StopError> {
    let mut record = folder.record()?;
    let stopped = match record.running.take() {
        Some(run) => {
            let stopped = end(folder, &run, limit)?;
            folder.write(&record)?;
            stopped
        }
        None => Stopped::Already,
    };
    Ok(if end_stray(folder) {
        Stopped::Cut
    } else {
        stopped
    })
}

/// Ends a QEMU of this folder that no record names: a start that was killed before it wrote
/// one leaves such. Says whether there was one.
pub(crate) fn end_stray(folder: &Folder) -> bool {
    let limit = Duration::from_secs(5);
    let Ok(mut stray) = Qmp::connect(folder, limit) else {
        return false;
    };
    // It ends as it answers, so that the answer may be missing.
    let _ = stray.execute("quit");
    wait_until(limit, || Qmp::connect(folder, limit).is_err().then_some(()));
    true
}

fn end(folder: &Folder, run: &RunState, limit: Duration) -> Result<Stopped, StopError> {
    let process = &run.process;
    if !alive(process) {
        return Ok(Stopped::Already);
    }
    let ended = |limit| wait_until(limit, || (!alive(process)).then_some(())).is_some();
    let ask = |command: &str| {
        // A QEMU that does not answer is ended by a signal below.
        Qmp::connect(folder, Duration::from_secs(5))
            .and_then(|mut qmp| qmp.execute(command))
            .is_ok()
    };
    if !limit.is_zero() && ask("system_powerdown") && ended(limit) {
        return Ok(Stopped::PoweredOff);
    }
    ask("quit");
    if ended(Duration::from_secs(5)) {
        return Ok(Stopped::Cut);
    }
    for signal in [Signal::TERM, Signal::KILL] {
        process.signal(signal);
        if ended(Duration::from_secs(5)) {
            return Ok(Stopped::Cut);
        }
    }
    Err(StopError::Stuck(process.pid))
}
