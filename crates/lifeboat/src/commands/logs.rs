//! `lifeboat logs`

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;
use lifeboat_machine::{Tail, alive, plain_text, wait_until};

use crate::{
    cli::{LogSource, LogsArgs, SshArgs},
    context::Context,
    exit::Exit,
};

pub fn run(arguments: &LogsArgs, context: &Context) -> Result<Exit> {
    let folder = context.machine(&arguments.name.name)?;
    let file = match arguments.source {
        LogSource::Console => "console.log",
        LogSource::Events => "events.jsonl",
        LogSource::Qemu => "qemu.log",
        LogSource::Journal => return journal(arguments, context),
    };
    let mut tail = Tail::new(folder.file(file), 0);
    let print = |tail: &mut Tail| -> Result<()> {
        for line in tail.lines()? {
            let clean = match arguments.source {
                // Escape sequences of a guest are not to reach the user's terminal.
                LogSource::Console => plain_text(&line),
                _ => line,
            };
            context.printer.data(clean);
        }
        Ok(())
    };
    print(&mut tail)?;
    let run = folder.running()?;
    while arguments.follow && !context.cancel.load(Ordering::Relaxed) {
        print(&mut tail)?;
        if !run.as_ref().is_some_and(|run| alive(&run.process)) {
            print(&mut tail)?;
            break;
        }
        wait_until(Duration::from_millis(200), || {
            context.cancel.load(Ordering::Relaxed).then_some(())
        });
    }
    let last = tail.unfinished();
    if !last.is_empty() {
        context.printer.data(plain_text(&last));
    }
    Ok(Exit::Done)
}

fn journal(arguments: &LogsArgs, context: &Context) -> Result<Exit> {
    let mut command = vec!["journalctl", "--boot", "--no-pager"];
    if arguments.follow {
        command.push("--follow");
    }
    let ssh = SshArgs {
        name: arguments.name.clone(),
        user: "root".to_owned(),
        command: command.into_iter().map(str::to_owned).collect(),
    };
    super::ssh::run(&ssh, context)
}
