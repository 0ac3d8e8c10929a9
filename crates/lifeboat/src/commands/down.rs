//! `lifeboat down`

use std::time::Duration;

use anyhow::Result;
use lifeboat_machine::{Stopped, stop};
use serde::Serialize;

use crate::{cli::DownArgs, context::Context, exit::Exit};

/// Units get 90 s by default, and the kubelet holds its shutdown for its pods.
const LIMIT: Duration = Duration::from_mins(2);

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    name: String,
    stopped: &'static str,
    removed: bool,
}

pub fn run(arguments: &DownArgs, context: &Context) -> Result<Exit> {
    let name = &arguments.name.name;
    let machines = context.machines()?;
    machines.open(name)?;
    let lock = machines.lock(name, &context.cancel, || {
        context
            .printer
            .note("waiting for another command on this machine to end");
    })?;
    // The other command may have removed it.
    let folder = machines.open(name)?;
    // A disk that is thrown away needs no clean end.
    let limit = match arguments.timeout {
        Some(limit) => limit,
        None if arguments.keep_state => LIMIT,
        None => Duration::ZERO,
    };
    let stopped = match folder.record() {
        Ok(_) => stop(&folder, &lock, limit)?,
        // One that cannot be read cannot be stopped, and is only to go away.
        Err(error) if arguments.keep_state => return Err(error.into()),
        Err(error) => {
            context.printer.warning(error);
            Stopped::Already
        }
    };
    if !arguments.keep_state {
        machines.remove(&folder, &lock)?;
    }
    let facts = Facts {
        schema: "lifeboat.down/1",
        name: name.to_string(),
        stopped: match stopped {
            Stopped::Already => "already",
            Stopped::PoweredOff => "powered_off",
            Stopped::Cut => "cut",
        },
        removed: !arguments.keep_state,
    };
    context.printer.facts(&facts, |facts| {
        if facts.removed {
            return format!("machine `{name}` is removed");
        }
        match stopped {
            Stopped::Already => format!("machine `{name}` did not run"),
            Stopped::PoweredOff => format!("machine `{name}` is powered off"),
            Stopped::Cut => format!("machine `{name}` was cut off"),
        }
    })?;
    Ok(Exit::Done)
}
