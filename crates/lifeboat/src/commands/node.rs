//! `lifeboat node`

use std::{fmt::Write as _, path::Path};

use anyhow::Result;
use lifeboat_node::{Status, datasource};

use crate::{cli::NodeCommand, context::Context, exit::Exit, hint::Advised};

/// What only the init of a node makes.
const MARK: &str = "/run/lifeboat";

pub fn run(command: &NodeCommand, context: &Context) -> Result<Exit> {
    // The other verbs change the system that they run on.
    if !Path::new(MARK).is_dir() {
        return Err(Advised::new(
            "this is not a node",
            "`lifeboat ssh -- lifeboat node status` asks a machine",
        ));
    }
    match command {
        NodeCommand::Status => context.printer.facts(&lifeboat_node::status(), describe)?,
        NodeCommand::Prepare => lifeboat_node::prepare()?,
        NodeCommand::Provision => lifeboat_node::provision()?,
        NodeCommand::Run => lifeboat_node::run_commands()?,
        NodeCommand::Console => console(),
        NodeCommand::DataSource { names } => context
            .printer
            .facts(&datasource::run_on_node(names)?, describe_sources)?,
    }
    Ok(Exit::Done)
}

fn console() -> ! {
    match lifeboat_node::console() {}
}

fn describe_sources(outcome: &datasource::Outcome) -> String {
    let mut text = String::new();
    for step in &outcome.steps {
        let ending = format!("{:?}", step.ending).to_lowercase();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{ending:<10} {:7.1} s  {} {}",
            step.seconds, step.source, step.message
        );
    }
    text
}

fn describe(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("node", &status.hostname);
    line("state", &status.state);
    if let Some(address) = status.address {
        line("address", &address.to_string());
    }
    if let Some(payload) = &status.payload {
        line("payload", &payload.name);
    }
    for step in &status.steps {
        let state = format!("{:?}", step.state).to_lowercase();
        let what = format!("{:7.1} s  {}/{}", step.at, step.phase, step.step);
        line(&state, &format!("{what} {}", step.message));
    }
    text
}
