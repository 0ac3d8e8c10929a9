//! `lifeboat config convert`

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use fs_err as fs;
use lifeboat_config::convert::{self, Converted, Entry, Format, Status};

use crate::{context::Context, exit::Exit, hint::Advised};

/// `lifeboat config convert`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The node configuration goes to stdout, or to a file by -o; what became of each key of the input
goes to stderr. Nothing is fetched and no other file is read. The exit status is 1 if the input
breaks the rules of its format; the result must not be used then.

  translated   the node configuration has the same effect
  obsolete     the format itself has dropped this form; the message names the replacement
  unsupported  not carried over; the message says why, or what to do instead
  invalid      breaks the rules of the format

Examples:
  lifeboat config convert config.ign
  lifeboat config convert --from butane config.bu -o node.yaml
  lifeboat config convert --from cloud-init user-data --report json | jq .report")]
pub struct ConvertArgs {
    /// File to convert; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of FILE; guessed from its content if not given
    #[arg(long, value_enum, value_name = "FORMAT")]
    from: Option<Source>,
    /// Form of the report; with json one object of `config` and `report` goes to stdout
    #[arg(long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    report: Form,
    /// File to write the node configuration to; one that is there is kept
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of -o
    #[arg(long, requires = "output")]
    force: bool,
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Ignition's JSON, spec 3.0 to 3.6
    Ignition,
    /// Butane's YAML
    Butane,
    /// cloud-config, or a MIME message with it
    CloudInit,
    /// A script of combustion
    Combustion,
    /// kubeadm's YAML
    Kubeadm,
    /// A configuration file of k3OS
    K3os,
}

impl Source {
    fn format(self) -> Format {
        match self {
            Self::Ignition => Format::Ignition,
            Self::Butane => Format::Butane,
            Self::CloudInit => Format::CloudInit,
            Self::Combustion => Format::Combustion,
            Self::Kubeadm => Format::Kubeadm,
            Self::K3os => Format::K3os,
        }
    }
}

/// The form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for a person, on stderr
    Text,
    /// JSON
    Json,
}

/// The largest file that is read; no format takes more.
const MOST_BYTES: u64 = 32 << 20;

pub fn run(arguments: &ConvertArgs, context: &Context) -> Result<Exit> {
    let name = arguments.file.display().to_string();
    let bytes = read(&arguments.file)?;
    let format = match arguments.from {
        Some(from) => from.format(),
        None => guess(&bytes, &name, context)?,
    };
    let converted = convert::convert(format, &name, &bytes);
    let invalid = converted.is_invalid();
    if arguments.report == Form::Text {
        report(&converted, context);
    }
    match (&arguments.output, invalid) {
        (Some(_), true) => context.printer.warning(format!(
            "{name} is not valid, so no node configuration is written"
        )),
        (Some(output), false) => {
            write(output, &converted, arguments.force)?;
            context
                .printer
                .success(format!("wrote {}", output.display()));
        }
        (None, _) => {}
    }
    if arguments.report == Form::Json {
        context
            .printer
            .data(serde_json::to_string_pretty(&converted)?);
    } else if arguments.output.is_none() && !invalid {
        context
            .printer
            .facts(&converted.node, |_| converted.yaml())?;
    }
    Ok(if invalid { Exit::Failed } else { Exit::Done })
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MOST_BYTES + 1;
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .context("cannot read stdin")?;
    } else {
        fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn guess(bytes: &[u8], name: &str, context: &Context) -> Result<Format> {
    let format = convert::guess(bytes).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        Advised::new(
            format!("{name} does not say which format it has"),
            format!("name it: --from {}", names.join("|")),
        )
    })?;
    context
        .printer
        .note(format!("{name} is read as {}", format.name()));
    Ok(format)
}

/// The report for a person, then how much became of it.
fn report(converted: &Converted, context: &Context) {
    for entry in &converted.report {
        let text = line(&converted.file, entry);
        if entry.status == Status::Translated {
            context.printer.note(text);
        } else {
            context.printer.line(text);
        }
    }
    let count = |status| {
        let entries = converted.report.iter();
        entries.filter(|entry| entry.status == status).count()
    };
    context.printer.note(format!(
        "{} translated, {} obsolete, {} unsupported, {} invalid",
        count(Status::Translated),
        count(Status::Obsolete),
        count(Status::Unsupported),
        count(Status::Invalid),
    ));
}

fn line(file: &str, entry: &Entry) -> String {
    let mut text = file.to_owned();
    if let (Some(line), Some(column)) = (entry.line, entry.column) {
        // Writing to a String does not fail.
        let _ = write!(text, ":{line}:{column}");
    }
    let _ = write!(text, ": {}: {}", printable(&entry.path), entry.status);
    if !entry.message.is_empty() {
        let _ = write!(text, ": {}", printable(&entry.message));
    }
    text
}

/// Keys come from the input: a terminal must not act on what stands in them.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

fn write(output: &Path, converted: &Converted, force: bool) -> Result<()> {
    let folder = match output.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Written beside it first: a full disk must not cost the file that is there. Its mode lets
    // nobody else read the hashes and keys in it.
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write to `{}`", folder.display()))?;
    file.write_all(converted.yaml().as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write `{}`", output.display()))?;
    let moved = if force {
        file.persist(output)
    } else {
        file.persist_noclobber(output)
    };
    match moved {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(Advised::new(
            format!("`{}` is there already", output.display()),
            "give another name, or --force to replace it",
        )),
        Err(error) => {
            Err(error.error).with_context(|| format!("cannot write `{}`", output.display()))
        }
    }
}
