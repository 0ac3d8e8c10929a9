//! `lifeboat node`

use anyhow::Result;

use crate::{cli::NodeCommand, context::Context, exit::Exit, hint::Advised};

pub fn run(command: &NodeCommand, _context: &Context) -> Result<Exit> {
    match command {
        NodeCommand::Status => Err(Advised::new(
            "this is not a node",
            "`lifeboat ssh -- lifeboat node status` asks a machine",
        )),
    }
}
