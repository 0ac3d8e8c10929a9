//! `lifeboat build`

use std::fmt::Write as _;

use anyhow::Result;
use fs_err as fs;
use serde::Serialize;

use crate::{
    cli::BuildArgs,
    context::Context,
    definition,
    exit::Exit,
    pipeline::{self, Locking},
};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    image: String,
    kubernetes: String,
    folder: std::path::PathBuf,
    files: Vec<File>,
    made: Vec<String>,
    seconds: std::collections::BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct File {
    name: String,
    bytes: u64,
}

pub fn run(arguments: &BuildArgs, context: &Context) -> Result<Exit> {
    let loaded = definition::load(arguments.definition.file.as_deref())?;
    let built = pipeline::build(context, &loaded, Locking::of(&arguments.definition))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&built.folder)? {
        let entry = entry?;
        let bytes = entry.metadata()?.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push(File { name, bytes });
    }
    files.sort_by(|left, right| left.name.cmp(&right.name));
    let folder = match &arguments.output {
        None => built.folder,
        Some(output) => pipeline::deliver(context, &built.folder, output)?,
    };
    let facts = Facts {
        schema: "lifeboat.build/1",
        image: built.id,
        kubernetes: built.kubernetes,
        folder,
        files,
        made: built.made,
        seconds: context.reporter.seconds(),
    };
    context.printer.facts(&facts, |facts| {
        let mut text = format!("{}\n", facts.folder.display());
        for File { name, bytes } in &facts.files {
            let _ = writeln!(text, "  {:>8} MiB  {name}", bytes.div_ceil(1 << 20));
        }
        text
    })?;
    Ok(Exit::Done)
}
