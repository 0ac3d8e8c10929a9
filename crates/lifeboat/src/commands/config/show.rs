//! `lifeboat config show`

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lifeboat_config::{k3os, render};
use lifeboat_node::sources;
use serde::Serialize;
use serde_json::Value as Json;

use crate::{context::Context, exit::Exit};

/// `lifeboat config show`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Reads k3OS' sources below DIR, from low to high: k3os/system/config.yaml, the kernel's command
line, var/lib/rancher/k3os/config.yaml, the metadata and user data in run/config, then every file
in var/lib/rancher/k3os/config.d. What is passed over is told on stderr, one warning a line. The
text form is a k3OS configuration file; --format json has the same as JSON.

Any user may look at any folder, and nothing is written.

Examples:
  lifeboat config show                            this node
  lifeboat config show --root /mnt                a disk that is mounted there
  lifeboat config show --root . --cmdline 'k3os.labels.zone=b hostname=n1'
  lifeboat config show --root /mnt --strict >/dev/null && echo nothing was passed over
  lifeboat config show --show-secrets --format json | jq -r .k3os.token")]
pub struct ShowArgs {
    /// Whose keys to show
    #[arg(long = "as", value_enum, default_value_t = Form::K3os, value_name = "FORM")]
    form: Form,
    /// Folder that stands for `/`
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Kernel command line, in place of DIR/proc/cmdline
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<OsString>,
    /// Fail if there is any warning
    #[arg(long)]
    strict: bool,
    /// Show passwords, tokens and passphrases
    #[arg(long)]
    show_secrets: bool,
}

/// Whose keys are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The merged configuration with k3OS' keys
    K3os,
}

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    #[serde(flatten)]
    config: Json,
}

pub fn run(arguments: &ShowArgs, context: &Context) -> Result<Exit> {
    let command_line = arguments.cmdline.as_ref().map(|text| text.as_bytes());
    let inputs = sources::read(&arguments.root, command_line)?;
    let merged = match arguments.form {
        Form::K3os => k3os::merge(&inputs.k3os),
    };
    for warning in &merged.warnings {
        context.printer.warning(warning);
    }
    let facts = Facts {
        schema: "lifeboat.config.k3os/1",
        config: merged.config.to_json(arguments.show_secrets),
    };
    let text = |facts: &Facts| render::yaml(&facts.config);
    context.printer.facts(&facts, text)?;
    let failed = arguments.strict && !merged.warnings.is_empty();
    Ok(if failed { Exit::Failed } else { Exit::Done })
}
