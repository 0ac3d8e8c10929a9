//! The only place that prints.

use std::{fmt::Display, io::IsTerminal as _};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::{
    cli::{Format, Output, ProgressMode},
    exit::Exit,
    hint,
};

/// Prints as the user asked to.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    quiet: bool,
    format: Format,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const SUCCESS: Style = AnsiColor::Green.on_default().bold();

impl Printer {
    /// A printer with the user's choices.
    pub fn new(output: &Output) -> Self {
        Self {
            quiet: output.quiet,
            format: output.format,
        }
    }

    /// Data for a person or another program: stdout, kept by `--quiet`.
    #[expect(clippy::unused_self, reason = "all printing goes through a printer")]
    pub fn data(self, text: impl Display) {
        out(&format!("{text}"));
    }

    /// Facts: one JSON or YAML document, or what `text` makes of them.
    pub fn facts<T: Serialize>(
        self,
        facts: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => out(&serde_json::to_string_pretty(facts)?),
            Format::Yaml => {
                let facts = serde_json::to_value(facts)?;
                out(lifeboat_config::render::yaml(&facts).trim_end_matches('\n'));
            }
            Format::Text => {
                let text = text(facts);
                if !text.is_empty() {
                    out(text.trim_end_matches('\n'));
                }
            }
        }
        Ok(())
    }

    /// News for a person: stderr, dropped by `--quiet`.
    pub fn note(self, text: impl Display) {
        if !self.quiet {
            err(&format!("{text}"));
        }
    }

    /// A line of a report about the input: stderr, kept by `--quiet`.
    #[expect(clippy::unused_self, reason = "all printing goes through a printer")]
    pub fn line(self, text: impl Display) {
        err(&format!("{text}"));
    }

    /// Good news for a person.
    pub fn success(self, text: impl Display) {
        if !self.quiet {
            err(&format!("{SUCCESS}{text}{SUCCESS:#}"));
        }
    }

    /// Something that is not as it should be, and goes on.
    #[expect(clippy::unused_self, reason = "all printing goes through a printer")]
    pub fn warning(self, text: impl Display) {
        err(&format!("{WARNING}warning:{WARNING:#} {text}"));
    }

    /// An error with its causes and what to do, and the status to end with.
    pub fn error(self, error: &anyhow::Error) -> Exit {
        if hint::is_interrupt(error) {
            if !self.quiet {
                interrupted();
            }
            return Exit::Interrupted;
        }
        // Findings carry their own places, causes and hints.
        if let Some(findings) = error.downcast_ref::<lifeboat_config::Findings>() {
            for finding in &findings.0 {
                let text = format!("{finding}");
                err(&format!("{ERROR}error:{ERROR:#} {text}"));
                if let Some(hint) = &finding.hint {
                    err(&format!("{HINT}hint:{HINT:#} {hint}"));
                }
            }
            return Exit::Failed;
        }
        err(&format!("{ERROR}error:{ERROR:#} {error}"));
        let mut last = error.to_string();
        for cause in error.chain().skip(1) {
            let text = cause.to_string();
            if text != last {
                err(&format!("  cause: {text}"));
            }
            last = text;
        }
        if let Some(hint) = hint::of(error) {
            err(&format!("{HINT}hint:{HINT:#} {hint}"));
        }
        Exit::Failed
    }
}

/// What clap says about a command line: help and version are no error.
pub fn usage(error: &clap::Error) -> Exit {
    // There is nowhere left to say that stdout or stderr is closed.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

/// That the user ended it.
pub fn interrupted() {
    err("ended by Ctrl-C");
}

/// What to do about a bug.
pub fn bug() {
    err(&format!(
        "{HINT}hint:{HINT:#} this is a bug in Lifeboat; please report it with the lines above"
    ));
}

/// How progress is shown: `auto` depends on where it goes.
pub fn progress_mode(output: &Output) -> ProgressMode {
    match output.progress {
        ProgressMode::Auto if output.quiet => ProgressMode::None,
        ProgressMode::Auto if std::io::stderr().is_terminal() => ProgressMode::Bar,
        ProgressMode::Auto => ProgressMode::Lines,
        other => other,
    }
}

/// A line of progress on stderr.
pub fn progress_line(text: &str) {
    err(text);
}

fn out(text: &str) {
    anstream::println!("{text}");
}

fn err(text: &str) {
    anstream::eprintln!("{text}");
}
