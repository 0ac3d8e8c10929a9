//! The commands in the documentation are run, and say what the documentation shows.
//!
//! A fenced block with `file=NAME` in its info string is that file. A block `console run` is a
//! session: each line after `$ ` is a command for a shell, the lines below it are
//! all that it says, and `[exit status N]` ends what one says that fails. `LIFEBOAT_BLESS=1`
//! writes into the documentation what the commands say now.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// One fenced block.
struct Block {
    info: String,
    lines: Vec<String>,
}

/// Text between blocks, or a block.
enum Part {
    Text(Vec<String>),
    Block(Block),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(Vec::new())];
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.to_owned(),
                    lines: Vec::new(),
                });
            }
            (Some(_), Some("")) => {
                parts.extend(open.take().map(Part::Block));
                parts.push(Part::Text(Vec::new()));
            }
            (Some(block), _) => block.lines.push(line.to_owned()),
            (None, None) => {
                if let Some(Part::Text(lines)) = parts.last_mut() {
                    lines.push(line.to_owned());
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    parts
}

fn joined(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        let (fence, lines) = match part {
            Part::Text(lines) => (None, lines),
            Part::Block(block) => (Some(&block.info), &block.lines),
        };
        if let Some(info) = fence {
            text.push_str("```");
            text.push_str(info);
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        if fence.is_some() {
            text.push_str("```\n");
        }
    }
    text
}

/// Runs the sessions of a page in a folder of their own; the page with what they said.
fn run(page: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut parts = parts(page);
    for part in &mut parts {
        let Part::Block(block) = part else { continue };
        let named = block
            .info
            .split(' ')
            .find_map(|word| word.strip_prefix("file="));
        if let Some(name) = named {
            let text = block.lines.join("\n") + "\n";
            fs_err::write(folder.path().join(name), text).expect("the folder is ours");
        } else if block.info == "console run" {
            let commands: Vec<String> = block
                .lines
                .iter()
                .filter(|line| line.starts_with("$ "))
                .cloned()
                .collect();
            assert!(!commands.is_empty(), "a session without a command");
            block.lines = commands
                .iter()
                .flat_map(|line| {
                    let said = shell(folder.path(), &line[2..]);
                    std::iter::once(line.clone()).chain(said)
                })
                .collect();
        }
    }
    joined(&parts)
}

/// All that a command says, and how it ends if not well.
fn shell(folder: &Path, command: &str) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_lifeboat"));
    let path = std::env::var("PATH").expect("there is a PATH");
    let folder_of = program
        .parent()
        .expect("a program is in a folder")
        .display();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(folder)
        .env("PATH", format!("{folder_of}:{path}"))
        .env("LIFEBOAT_CONFIG", folder.join("lifeboat-config"))
        .env("LIFEBOAT_STATE", folder.join("lifeboat-state"))
        .output()
        .expect("there is a shell");
    let text = String::from_utf8(output.stdout).expect("it says text");
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    match output.status.code() {
        Some(0) => {}
        Some(code) => lines.push(format!("[exit status {code}]")),
        None => panic!("{command}: {}", output.status),
    }
    lines
}

/// The pages with sessions.
fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut folders = vec![docs];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).expect("it is there") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                let text = fs_err::read_to_string(&path).expect("text");
                if text.contains("\n```console run\n") {
                    pages.push(path);
                }
            }
        }
    }
    pages.sort();
    pages
}

#[test]
fn sessions_in_the_documentation_are_true() {
    let pages = pages();
    assert!(!pages.is_empty());
    for path in pages {
        let page = fs_err::read_to_string(&path).expect("text");
        let now = run(&page);
        if std::env::var_os("LIFEBOAT_BLESS").is_some() {
            fs_err::write(&path, now).expect("the documentation can be written");
        } else if now != page {
            let name = path.file_name().expect("a file").to_string_lossy();
            panic!("{name} shows what is not so; it is:\n{now}");
        }
    }
}
