//! `lifeboat kubectl`

use std::process::Command;

use anyhow::Result;

use crate::{cli::KubectlArgs, context::Context, exit::Exit, hint::Advised};

pub fn run(arguments: &KubectlArgs, context: &Context) -> Result<Exit> {
    let folder = context.machine(&arguments.name.name)?;
    super::running(&folder)?;
    let kubeconfig = folder.file("kubeconfig");
    if !kubeconfig.is_file() {
        return Err(Advised::new(
            format!("machine `{}` has no cluster yet", folder.name()),
            format!("`lifeboat up --name {}` waits for it", folder.name()),
        ));
    }
    let mut command = Command::new(folder.file("kubectl"));
    command.env("KUBECONFIG", kubeconfig);
    command.args(&arguments.arguments);
    Err(super::replace(command))
}
