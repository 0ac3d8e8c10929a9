//! `lifeboat config show`

use std::{ffi::OsString, fmt::Display, os::unix::ffi::OsStrExt as _, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lifeboat_config::{k3os, layers::Explained, render};
use lifeboat_node::sources;
use serde::Serialize;
use serde_json::Value as Json;

use crate::{context::Context, exit::Exit, hint::Advised};

/// `lifeboat config show`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Reads all sources below DIR, from low to high: those of k3OS, which are k3os/system/config.yaml,
the kernel's command line, var/lib/rancher/k3os/config.yaml, the metadata and user data in
run/config, and every file in var/lib/rancher/k3os/config.d; then run/config/lifeboat.yaml, which
has what else a cloud says, what a hypervisor hands in through fw_cfg or SMBIOS,
var/lib/lifeboat/config.yaml, and the files of var/lib/lifeboat/config.d whose names end in .yaml,
.yml or .json. What is passed over is told on stderr, one warning a line. The text form is a
configuration file; --format json has the same as JSON.

Any user may look at any folder, and nothing is written.

Examples:
  lifeboat config show                            this node
  lifeboat config show --explain hostname         which source set it, and which it overrode
  lifeboat config show --root /mnt                a disk that is mounted there
  lifeboat config show --root . --cmdline 'k3os.labels.zone=b hostname=n1'
  lifeboat config show --root /mnt --strict >/dev/null && echo nothing was passed over
  lifeboat config show --as k3os --show-secrets --format json | jq -r .k3os.token")]
pub struct ShowArgs {
    /// Whose keys to show
    #[arg(long = "as", value_enum, default_value_t = Form::Native, value_name = "FORM")]
    form: Form,
    /// Tell which source set KEY, such as hostname, token or install.device
    #[arg(long, value_name = "KEY")]
    explain: Option<String>,
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
    /// What is in force, with the keys of `node`
    Native,
    /// What k3OS' sources together say, with k3OS' keys
    K3os,
}

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    #[serde(flatten)]
    config: Json,
}

#[derive(Serialize)]
struct Keys {
    schema: &'static str,
    keys: Vec<Explained>,
}

pub fn run(arguments: &ShowArgs, context: &Context) -> Result<Exit> {
    let command_line = arguments.cmdline.as_ref().map(|text| text.as_bytes());
    let mut inputs = sources::read(&arguments.root, command_line)?;
    if arguments.form == Form::K3os {
        inputs.native.clear();
    }
    let (printer, secrets) = (context.printer, arguments.show_secrets);
    if arguments.form == Form::K3os && arguments.explain.is_none() {
        let merged = k3os::merge(&inputs.k3os);
        let facts = Facts {
            schema: "lifeboat.config.k3os/1",
            config: merged.config.to_json(secrets),
        };
        printer.facts(&facts, |facts| render::yaml(&facts.config))?;
        return Ok(done(arguments, &merged.warnings, context));
    }
    let made = inputs.effective();
    if let Some(key) = &arguments.explain {
        let keys = made
            .explain(key, secrets)
            .map_err(|why| Advised::new(why, "`lifeboat schema` has all keys"))?;
        let facts = Keys {
            schema: "lifeboat.config.explain/1",
            keys,
        };
        printer.facts(&facts, |facts| {
            let texts: Vec<String> = facts.keys.iter().map(Explained::text).collect();
            texts.concat()
        })?;
    } else {
        let facts = Facts {
            schema: "lifeboat.config.native/1",
            config: made.to_json(secrets),
        };
        printer.facts(&facts, |facts| render::yaml(&facts.config))?;
    }
    Ok(done(arguments, &made.findings, context))
}

fn done(arguments: &ShowArgs, warnings: &[impl Display], context: &Context) -> Exit {
    for warning in warnings {
        context.printer.warning(warning);
    }
    if arguments.strict && !warnings.is_empty() {
        Exit::Failed
    } else {
        Exit::Done
    }
}
