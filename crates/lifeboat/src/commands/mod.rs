//! One file per verb.

mod build;
mod cache;
mod completions;
pub mod config;
mod console;
mod doctor;
mod down;
mod inspect;
mod kubeconfig;
mod kubectl;
mod list;
mod lock;
mod logs;
mod node;
mod schema;
mod ssh;
mod status;
mod up;

use anyhow::Result;
use lifeboat_machine::{Folder, Record, SshKey, Tools};

use crate::{cli::Command, context::Context, exit::Exit, hint::Advised, pipeline};

/// Does what the user asked for.
pub fn run(command: Command, context: &Context) -> Result<Exit> {
    dispatch(command, context).map_err(|error| match context.check_cancel() {
        Ok(()) => error,
        // Whatever failed on the way out is not what the user wants to know.
        Err(interrupted) => interrupted,
    })
}

fn dispatch(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Up(arguments) => up::run(&arguments, context),
        Command::Build(arguments) => build::run(&arguments, context),
        Command::Lock(arguments) => lock::run(&arguments, context),
        Command::List => list::run(context),
        Command::Status(arguments) => status::run(&arguments, context),
        Command::Down(arguments) => down::run(&arguments, context),
        Command::Ssh(arguments) => ssh::run(&arguments, context),
        Command::Console(arguments) => console::run(&arguments, context),
        Command::Logs(arguments) => logs::run(&arguments, context),
        Command::Kubectl(arguments) => kubectl::run(&arguments, context),
        Command::Kubeconfig(arguments) => kubeconfig::run(&arguments, context),
        Command::Config(command) => config::run(&command, context),
        Command::Doctor => doctor::run(context),
        Command::Cache(command) => cache::run(&command, context),
        Command::Schema => schema::run(context),
        Command::Inspect(arguments) => inspect::run(&arguments, context),
        Command::Completions(arguments) => Ok(completions::run(&arguments, context)),
        Command::Node(command) => node::run(&command, context),
    }
}

/// The tools that a machine was made with, or those of now if the cache lost them.
fn tools(record: &Record, context: &Context) -> Result<Box<dyn Tools>> {
    match pipeline::tools_at(&record.tools) {
        Some(tools) => Ok(tools),
        None => pipeline::tools(context),
    }
}

/// The record of a machine that runs; an error that says how to start it otherwise.
fn running(folder: &Folder) -> Result<Record> {
    let record = folder.record()?;
    if folder.running()?.is_none() {
        let name = folder.name();
        return Err(Advised::new(
            format!("machine `{name}` does not run"),
            format!("start it with `lifeboat up --name {name}`"),
        ));
    }
    Ok(record)
}

/// The user's key for machines, made at the first use.
fn ssh_key(context: &Context) -> Result<SshKey> {
    Ok(SshKey::ensure(&context.config_folder()?)?)
}

/// Runs a program in place of this one; returns only if it cannot be run.
fn replace(mut command: std::process::Command) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    let program = command.get_program().to_owned();
    let error = command.exec();
    anyhow::Error::new(error).context(format!("cannot run `{}`", program.display()))
}
