//! `lifeboat console`

use std::{io::IsTerminal as _, os::fd::AsFd as _};

use anyhow::Result;

use crate::{
    cli::{ConsoleArgs, LogSource, LogsArgs},
    context::Context,
    exit::Exit,
};

pub fn run(arguments: &ConsoleArgs, context: &Context) -> Result<Exit> {
    if arguments.log {
        let logs = LogsArgs {
            name: arguments.name.clone(),
            source: LogSource::Console,
            follow: false,
        };
        return super::logs::run(&logs, context);
    }
    let folder = context.machine(&arguments.name.name)?;
    super::running(&folder)?;
    let (input, mut output) = (std::io::stdin(), std::io::stdout());
    if input.is_terminal() {
        context
            .printer
            .note("Enter wakes the console, Ctrl-] leaves it");
    }
    lifeboat_machine::attach(&folder, input.as_fd(), &mut output)?;
    context.printer.note("");
    Ok(Exit::Done)
}
