//! `lifeboat config`

mod show;

use anyhow::Result;
use clap::Subcommand;

use crate::{context::Context, exit::Exit};

/// `lifeboat config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what the configuration sources of a node together say
    Show(show::ShowArgs),
}

pub fn run(command: &ConfigCommand, context: &Context) -> Result<Exit> {
    match command {
        ConfigCommand::Show(arguments) => show::run(arguments, context),
    }
}
