//! One file in, a Kubernetes node out: the command.
//!
//! It parses, dispatches and maps the exit code; the crates below do the work. On a node the
//! same program is the init of the initrd.

mod cli;
mod commands;
mod context;
mod definition;
mod env;
mod exit;
mod hint;
mod interrupt;
mod pipeline;
mod printer;
mod progress;
mod reference;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{cli::Cli, context::Context, printer::Printer};

fn main() -> ExitCode {
    exit::report_bugs();
    if exit::is_init() {
        exit::run_init();
    }
    if let Some(code) = exit::run_sandbox_helper() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return printer::usage(&error).into(),
    };
    let printer = Printer::new(&cli.output);
    let result = Context::new(printer, &cli.output).and_then(|context| {
        let result = commands::run(cli.command, &context);
        // A terminal sends Ctrl-C to our children as well: their end is no error of its own.
        result.map_err(|error| context.check_cancel().err().unwrap_or(error))
    });
    result.unwrap_or_else(|error| printer.error(&error)).into()
}
