//! `lifeboat config`

mod check;
mod convert;
mod show;

use anyhow::Result;
use clap::Subcommand;

use crate::{context::Context, exit::Exit};

/// `lifeboat config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what the configuration sources of a node together say
    Show(show::ShowArgs),
    /// Check configuration files: everything that is wrong or worth a word, with its place
    Check(check::CheckArgs),
    /// Convert a configuration of another system, and say what became of each of its keys
    Convert(convert::ConvertArgs),
}

pub fn run(command: &ConfigCommand, context: &Context) -> Result<Exit> {
    match command {
        ConfigCommand::Show(arguments) => show::run(arguments, context),
        ConfigCommand::Check(arguments) => check::run(arguments, context),
        ConfigCommand::Convert(arguments) => convert::run(arguments, context),
    }
}
