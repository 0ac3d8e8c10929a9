//! `lifeboat node`

use std::{fmt::Write as _, path::Path};

use anyhow::Result;
use lifeboat_node::{Applied, ApplyError, How, Status, datasource};

use crate::{
    cli::{ApplyArgs, NodeCommand},
    context::Context,
    exit::Exit,
    hint::Advised,
};

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
        NodeCommand::Apply(arguments) => return apply(arguments, context),
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
        let took = step.seconds.map_or_else(String::new, |seconds| {
            format!(" ({:.0} ms)", seconds * 1000.0)
        });
        let what = format!("{:7.1} s  {}/{}{took}", step.at, step.phase, step.step);
        line(&state, &format!("{what} {}", step.message));
    }
    text
}

fn apply(arguments: &ApplyArgs, context: &Context) -> Result<Exit> {
    let printer = context.printer;
    if arguments.confirm {
        lifeboat_node::confirm().map_err(advised)?;
        printer.success("what was tried stays");
        return Ok(Exit::Done);
    }
    if arguments.revert {
        let failures = match lifeboat_node::revert() {
            // The timer of a trial that was confirmed meanwhile.
            Err(ApplyError::NoTrial) => Vec::new(),
            failures => failures.map_err(advised)?,
        };
        for failure in &failures {
            printer.warning(failure);
        }
        return Ok(if failures.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        });
    }
    let how = match (arguments.dry_run, arguments.try_for) {
        (true, _) => How::DryRun,
        (false, Some(time)) => How::Try(time),
        (false, None) => How::Now,
    };
    let applied = lifeboat_node::apply(how).map_err(advised)?;
    printer.facts(&applied, applied_text)?;
    for problem in &applied.problems {
        printer.warning(problem);
    }
    for step in &applied.steps {
        for failure in &step.failures {
            printer.warning(format!("{}: {failure}", step.step));
        }
        if !step.later.is_empty() {
            let later = step.later.join(", ");
            printer.note(format!("{}: waiting for the network: {later}", step.step));
        }
    }
    for failure in &applied.failures {
        printer.warning(failure);
    }
    if let Some(seconds) = applied.reverts_in {
        printer.note(format!(
            "taken back in {seconds} s unless `lifeboat node apply --confirm` comes before"
        ));
    }
    Ok(if applied.is_whole() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn advised(error: ApplyError) -> anyhow::Error {
    let hint = match error {
        ApplyError::Trial => {
            "keep it with `lifeboat node apply --confirm`, or end it with `--revert`"
        }
        ApplyError::NoTrial => "it was taken back in time; `lifeboat node status` says when",
        _ => return error.into(),
    };
    Advised::new(error.to_string(), hint)
}

fn applied_text(applied: &Applied) -> String {
    if applied.dry_run {
        return if applied.diff.is_empty() {
            "nothing would change".to_owned()
        } else {
            applied.diff.clone()
        };
    }
    let mut text = String::new();
    for step in applied.steps.iter().filter(|step| step.changed > 0) {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:<20} {} changed ({:.0} ms)",
            step.step,
            step.changed,
            step.seconds * 1000.0
        );
    }
    if text.is_empty() {
        "nothing had to change".clone_into(&mut text);
    }
    text
}
