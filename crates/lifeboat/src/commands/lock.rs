//! `lifeboat lock`

use anyhow::Result;
use serde::Serialize;

use crate::{
    cli::LockArgs,
    context::Context,
    definition,
    exit::Exit,
    pipeline::{self, LockChanges},
};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    #[serde(flatten)]
    changes: LockChanges,
}

pub fn run(arguments: &LockArgs, context: &Context) -> Result<Exit> {
    let loaded = definition::load(arguments.file.as_deref())?;
    let changes = pipeline::lock(context, &loaded, arguments.update.as_deref())?;
    let facts = Facts {
        schema: "lifeboat.lock-changes/1",
        changes,
    };
    context.printer.facts(&facts, |facts| {
        let mut text = format!("{}\n", facts.changes.lock.display());
        for (name, change) in &facts.changes.changes {
            let line = match change {
                (Some(before), Some(after)) => format!("  {name} {before} -> {after}\n"),
                (None, Some(after)) => format!("  {name} {after} (new)\n"),
                (Some(before), None) => format!("  {name} {before} (gone)\n"),
                (None, None) => continue,
            };
            text.push_str(&line);
        }
        text
    })?;
    Ok(Exit::Done)
}
