//! `run_cmd`: commands of the configuration that run when the network is up.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use fs_err as fs;
use lifeboat_config::parse_node;

use crate::{
    boot, provision,
    report::{self, State},
};

/// Why the commands did not all succeed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration of this boot is not there.
    #[error("cannot read the node's configuration")]
    Config(#[source] std::io::Error),
    /// Some failed; each was run.
    #[error("{} of the commands in run_cmd failed: {}; their output is in /run/lifeboat/log/run_cmd", .0.len(), .0.join("; "))]
    Failed(Vec<String>),
}

/// Runs the commands, each although one before it failed.
///
/// # Errors
/// [`RunError`]; also reported.
pub fn run_commands() -> Result<(), RunError> {
    let text = fs::read(Path::new(boot::CONFIG)).map_err(RunError::Config)?;
    // It was written by this program.
    let config = parse_node(boot::CONFIG, &text).unwrap_or_default();
    // Some networks never come; the commands may be what mends them.
    let deadline = Instant::now() + Duration::from_secs(30);
    while provision::address().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let failed: Vec<String> = config
        .run_cmd
        .iter()
        .filter_map(|command| boot::shell(command.as_str(), "run_cmd").err())
        .map(|error| error.to_string())
        .collect();
    if failed.is_empty() {
        report::step("userspace", "run_cmd", State::Done, "");
        return Ok(());
    }
    let error = RunError::Failed(failed);
    report::step("userspace", "run_cmd", State::Failed, error.to_string());
    Err(error)
}
