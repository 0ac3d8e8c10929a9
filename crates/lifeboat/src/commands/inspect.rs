//! `lifeboat inspect`

use std::io::Read as _;

use anyhow::Result;
use fs_err as fs;
use serde_json::json;

use crate::{cli::InspectArgs, context::Context, exit::Exit, hint::Advised};

pub fn run(arguments: &InspectArgs, context: &Context) -> Result<Exit> {
    let path = &arguments.file;
    let name = path.display().to_string();
    let mut start = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut start)?;
    let text = std::str::from_utf8(&start).is_ok() || path.extension().is_some_and(|e| e == "yaml");
    if !text {
        return Err(Advised::new(
            format!("`{name}` is no file that is understood"),
            "definitions can be inspected",
        ));
    }
    let definition = lifeboat_config::parse(&name, &fs::read(path)?)?;
    let facts = json!({"schema": "lifeboat.definition/1", "definition": definition});
    context.printer.facts(&facts, |facts| {
        // With every default in it, and again a definition.
        lifeboat_machine::to_yaml(&facts["definition"])
    })?;
    Ok(Exit::Done)
}
