//! `lifeboat schema`

use anyhow::Result;

use crate::{context::Context, exit::Exit};

pub fn run(context: &Context) -> Result<Exit> {
    let schema = lifeboat_config::schema();
    context.printer.data(serde_json::to_string_pretty(&schema)?);
    Ok(Exit::Done)
}
