//! `lifeboat config check`

use std::{
    fmt::Write as _,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use fs_err as fs;
use lifeboat_config::{
    Finding, Severity,
    check::{Checked, Kind, Wanted, check},
};
use serde::Serialize;

use crate::{context::Context, exit::Exit};

/// `lifeboat config check`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Tells everything at once, each with file, line, column, key and a code in brackets: what is
wrong, and what is taken but worth a word, such as a password in plain text, a secret in a file
that others may read, a key that k3OS ignores, or a flag of k3s that kubeadm has no equivalent
for. What a file is, is guessed from its keys unless --as says it.

The exit status is 1 if there is an error; with --strict also if there is a warning.

Examples:
  lifeboat config check lifeboat.yaml
  lifeboat config check --as k3os /k3os/system/config.yaml /var/lib/rancher/k3os/config.d/*
  lifeboat config check --format json *.yaml | jq -r '.files[].findings[].code'")]
pub struct CheckArgs {
    /// Files to check; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What the files are
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<Form>,
    /// Fail if there is any warning
    #[arg(long)]
    strict: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A definition, or the configuration of a node
    Native,
    /// A configuration of k3OS
    K3os,
}

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    files: Vec<File>,
    errors: usize,
    warnings: usize,
}

#[derive(Serialize)]
struct File {
    #[serde(rename = "file")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    findings: Vec<Finding>,
}

/// One byte more than any reader takes, so that each can say that it is too much.
const MOST_BYTES: u64 = (4 << 20) + 1;

pub fn run(arguments: &CheckArgs, context: &Context) -> Result<Exit> {
    let wanted = match arguments.form {
        None => Wanted::Any,
        Some(Form::Native) => Wanted::Native,
        Some(Form::K3os) => Wanted::K3os,
    };
    let mut facts = Facts {
        schema: "lifeboat.config.check/1",
        files: Vec::new(),
        errors: 0,
        warnings: 0,
    };
    for path in &arguments.files {
        let file = file(path, wanted);
        for finding in &file.findings {
            match finding.severity {
                Severity::Error => facts.errors += 1,
                Severity::Warning => facts.warnings += 1,
            }
        }
        facts.files.push(file);
    }
    context.printer.facts(&facts, text)?;
    let failed = facts.errors > 0 || arguments.strict && facts.warnings > 0;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn file(path: &Path, wanted: Wanted) -> File {
    let name = path.display().to_string();
    match read(path) {
        Ok((bytes, mode)) => {
            let Checked { kind, findings } = check(&name, &bytes, wanted, mode);
            File {
                name,
                kind: Some(kind),
                findings,
            }
        }
        Err(error) => File {
            findings: vec![Finding {
                file: name.clone(),
                line: 1,
                column: 1,
                path: String::new(),
                severity: Severity::Error,
                code: "unreadable",
                message: format!("cannot be read: {error}"),
                hint: None,
            }],
            name,
            kind: None,
        },
    }
}

/// A file's bytes and, if it is a file, its mode.
fn read(path: &Path) -> io::Result<(Vec<u8>, Option<u32>)> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(MOST_BYTES).read_to_end(&mut bytes)?;
        return Ok((bytes, None));
    }
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() >= MOST_BYTES {
        return Err(io::Error::other(format!(
            "it has {} bytes; at most {} are read",
            metadata.len(),
            MOST_BYTES - 1
        )));
    }
    let mode = metadata.is_file().then(|| metadata.permissions().mode());
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

fn text(facts: &Facts) -> String {
    let mut text = String::new();
    for file in &facts.files {
        for finding in &file.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let _ = writeln!(text, "{severity}: {finding} [{}]", finding.code);
            if let Some(hint) = &finding.hint {
                let _ = writeln!(text, "  hint: {hint}");
            }
        }
        let kind = file.kind.map_or("not read", Kind::words);
        let count = |severity| {
            let of = |one: &&Finding| one.severity == severity;
            file.findings.iter().filter(of).count()
        };
        let said = match (count(Severity::Error), count(Severity::Warning)) {
            (0, 0) => "nothing to say".to_owned(),
            (errors, 0) => several(errors, "error"),
            (0, warnings) => several(warnings, "warning"),
            (errors, warnings) => {
                format!(
                    "{}, {}",
                    several(errors, "error"),
                    several(warnings, "warning")
                )
            }
        };
        let _ = writeln!(text, "{}: {kind}: {said}", file.name);
    }
    text
}

fn several(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
