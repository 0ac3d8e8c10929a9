//! `lifeboat inspect`

use std::{io::Read as _, path::Path};

use anyhow::Result;
use fs_err as fs;
use lifeboat_payload::{OpenError, VerifyingKey, key};
use serde::Serialize;

use crate::{cli::InspectArgs, context::Context, exit::Exit};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    kind: &'static str,
    text: String,
}

pub fn run(arguments: &InspectArgs, context: &Context) -> Result<Exit> {
    let (kind, text) = look(&arguments.file, context)?;
    let facts = Facts {
        schema: "lifeboat.inspect/1",
        kind,
        text,
    };
    context.printer.facts(&facts, |facts| facts.text.clone())?;
    Ok(Exit::Done)
}

fn look(path: &Path, context: &Context) -> Result<(&'static str, String)> {
    let mut start = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut start)?;
    let named = ["yaml", "yml"].map(|name| path.extension().is_some_and(|end| end == name));
    // A cut in the middle of a character is no binary.
    let text = std::str::from_utf8(&start).is_ok_and(|text| !text.contains('\0'));
    if text || named.contains(&true) {
        let name = path.display().to_string();
        let definition = lifeboat_config::parse(&name, &fs::read(path)?)?;
        // With every default in it, and again a definition.
        let value = serde_json::to_value(definition)?;
        return Ok(("definition", lifeboat_machine::to_yaml(&value)));
    }
    match lifeboat_payload::open(path, &keys(context)) {
        Ok(payload) => Ok(("payload", lifeboat_payload::dump(&payload.manifest))),
        Err(OpenError::NoTrailer(_)) => Ok(("image", lifeboat_image::inspect(path)?)),
        Err(error) => Err(error.into()),
    }
}

/// The user's own key, if there is one already: looking makes none.
fn keys(context: &Context) -> Vec<VerifyingKey> {
    let Ok(folder) = context.config_folder() else {
        return Vec::new();
    };
    if !folder.join("keys/payload.pem").is_file() {
        return Vec::new();
    }
    key::signing_key(&folder)
        .map(|key| vec![key.verifying_key()])
        .unwrap_or_default()
}
