//! The reference page of the command line, made from its definition.
#![cfg(test)]

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::{cli::Cli, env};

const VARIABLES: [(&str, &str); 8] = [
    (
        "LIFEBOAT_CACHE",
        "Folder of the cache; else `XDG_CACHE_HOME/lifeboat`, `~/.cache/lifeboat`",
    ),
    (
        "LIFEBOAT_STATE",
        "Folder of machines; else `XDG_STATE_HOME/lifeboat`, `~/.local/state/lifeboat`",
    ),
    (
        env::CONFIG,
        "Folder of keys; else `XDG_CONFIG_HOME/lifeboat`, `~/.config/lifeboat`",
    ),
    (env::NAME, "Machine that is meant when none is named"),
    (
        "KUBECONFIG",
        "File that `kubeconfig --merge` writes to; else `~/.kube/config`",
    ),
    ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "Proxy of downloads"),
    ("NO_COLOR", "No colour, whatever its value"),
    (
        "PATH",
        "Where a Go toolchain and `newuidmap` are looked for",
    ),
];

/// The page.
fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "# Command line\n\nMade from the command's own definition by a test; `LIFEBOAT_BLESS=1 cargo test -p lifeboat reference` rewrites it.\n\n",
    );
    text.push_str(&about(&root));
    text.push_str("Options of all verbs:\n\n");
    options(&root, &mut text, true);
    text.push_str(
        "Exit status: 0 done; 1 failed by input or surroundings; 2 command line not understood; 3 a bug in Lifeboat; 130 ended by Ctrl-C; `ssh` and `kubectl` pass on that of the program.\n\n",
    );
    for verb in root.get_subcommands() {
        section(verb, "lifeboat", 2, &mut text);
    }
    text.push_str("## Environment\n\n| | |\n| --- | --- |\n");
    for (name, meaning) in VARIABLES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(command: &Command, parent: &str, level: usize, text: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(text, "{} {name}\n\n", "#".repeat(level));
    text.push_str(&about(command));
    if command.has_subcommands() {
        for verb in command.get_subcommands() {
            section(verb, &name, level + 1, text);
        }
        return;
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "```text\n{usage}\n```\n\n");
    options(command, text, false);
    if let Some(after) = command.get_after_help() {
        let _ = write!(text, "```text\n{after}\n```\n\n");
    }
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    about.map_or_else(String::new, |about| format!("{about}\n\n"))
}

fn options(command: &Command, text: &mut String, global: bool) {
    let shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && argument.is_global_set() == global
            && !["help", "version"].contains(&argument.get_id().as_str())
    };
    let rows: Vec<String> = command.get_arguments().filter(shown).map(row).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("| | |\n| --- | --- |\n");
    for row in rows {
        text.push_str(&row);
    }
    text.push('\n');
}

fn row(argument: &Arg) -> String {
    let mut name = String::new();
    if let Some(short) = argument.get_short() {
        let _ = write!(name, "-{short}, ");
    }
    if let Some(long) = argument.get_long() {
        let _ = write!(name, "--{long}");
    }
    if matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        for value in argument.get_value_names().unwrap_or_default() {
            let gap = if name.is_empty() { "" } else { " " };
            let _ = write!(name, "{gap}{value}");
        }
    }
    let mut help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| {
            let help = value.get_help().map(|help| format!(" ({help})"));
            format!("`{}`{}", value.get_name(), help.unwrap_or_default())
        })
        .collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        let _ = write!(help, "; one of {}", values.join(", "));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(help, "; default {}", defaults.join(" "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(help, "; also by `{}`", variable.to_string_lossy());
    }
    format!("| `{name}` | {} |\n", help.replace('|', "\\|"))
}

#[test]
fn the_reference_page_is_that_of_this_command() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    let page = page();
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        fs_err::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        fs_err::write(path, page).unwrap();
        return;
    }
    assert!(
        fs_err::read_to_string(path).unwrap_or_default() == page,
        "docs/reference/cli.md is out of date: LIFEBOAT_BLESS=1 cargo test -p lifeboat reference"
    );
}
