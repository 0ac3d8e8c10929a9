//! `lifeboat ssh`

use anyhow::Result;

use crate::{cli::SshArgs, context::Context, exit::Exit};

pub fn run(arguments: &SshArgs, context: &Context) -> Result<Exit> {
    let folder = context.machine(&arguments.name.name)?;
    let record = super::running(&folder)?;
    let key = super::ssh_key(context)?;
    let tools = super::tools(&record, context)?;
    let mut command = key.command(tools.as_ref(), &folder, &record, &arguments.user)?;
    if !arguments.command.is_empty() {
        command.arg("--").args(&arguments.command);
    }
    Err(super::replace(command))
}
