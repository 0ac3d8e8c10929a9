//! `lifeboat completions`

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionsArgs},
    context::Context,
    exit::Exit,
};

pub fn run(arguments: &CompletionsArgs, context: &Context) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "lifeboat",
        &mut script,
    );
    context
        .printer
        .data(String::from_utf8_lossy(&script).trim_end());
    Exit::Done
}
