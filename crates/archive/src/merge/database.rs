//! dpkg's database as `dpkg --unpack` of all packages leaves it (deb-status, deb-triggers(5)).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Diversion, MergeOptions, StatOverride};
use crate::{Tree, TreeError, TreePath, UnpackedDeb};

const FOLDER: &str = "var/lib/dpkg";
/// The package that stands for what is provided from outside.
const PROVIDER: &str = "lifeboat-provides";

pub(super) fn write(
    tree: &mut Tree,
    debs: &[&UnpackedDeb],
    lost: &[BTreeSet<TreePath>],
    options: &MergeOptions,
) -> Result<(), TreeError> {
    for folder in ["info", "updates", "triggers", "alternatives", "parts"] {
        let path = format!("{FOLDER}/{folder}");
        if tree.get(&path).is_none() {
            tree.mkdir(&path, 0o755)?;
        }
    }
    let mut status = String::new();
    let mut triggers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (deb, lost) in debs.iter().zip(lost) {
        paragraph(&mut status, deb);
        interests(&mut triggers, deb);
        let prefix = format!("{FOLDER}/info/{}", info_name(deb));
        tree.write(format!("{prefix}.list"), 0o644, list(deb, lost))?;
        for (name, (mode, bytes)) in &deb.control.files {
            tree.write(format!("{prefix}.{name}"), *mode, bytes)?;
        }
    }
    if !options.provided().is_empty() {
        let provides = options.provided().join(", ");
        let _ = writeln!(
            status,
            "Package: {PROVIDER}\nStatus: install ok installed\nPriority: optional\n\
             Section: misc\nMaintainer: Lifeboat <root@localhost>\nArchitecture: all\n\
             Version: 1\nProvides: {provides}\nDescription: what the image itself provides\n"
        );
        tree.write(format!("{FOLDER}/info/{PROVIDER}.list"), 0o644, "/.\n")?;
        tree.write(format!("{FOLDER}/info/{PROVIDER}.md5sums"), 0o644, "")?;
    }
    let mut by_file = String::new();
    for (trigger, packages) in &triggers {
        for package in packages {
            if trigger.starts_with('/') {
                let _ = writeln!(by_file, "{trigger} {package}");
            }
        }
        if !trigger.starts_with('/') {
            let lines = packages
                .iter()
                .fold(String::new(), |lines, name| lines + name + "\n");
            tree.write(format!("{FOLDER}/triggers/{trigger}"), 0o644, lines)?;
        }
    }
    for (name, content) in [
        ("status", status),
        ("available", String::new()),
        ("info/format", "1\n".to_owned()),
        ("triggers/File", by_file),
        ("triggers/Unincorp", String::new()),
        ("diversions", diversions(options.diversions())),
        ("statoverride", overrides(options.overrides())),
    ] {
        tree.write(format!("{FOLDER}/{name}"), 0o644, content)?;
    }
    Ok(())
}

/// The files of packages that may be there for several architectures carry theirs.
fn info_name(deb: &UnpackedDeb) -> String {
    match deb.control.field("Multi-Arch") {
        Some("same") => format!("{}:{}", deb.name, deb.architecture),
        _ => deb.name.clone(),
    }
}

fn paragraph(status: &mut String, deb: &UnpackedDeb) {
    let _ = writeln!(status, "Package: {}\nStatus: install ok unpacked", deb.name);
    for (name, value) in &deb.control.fields {
        if ["Package", "Status", "Conffiles"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
        {
            continue;
        }
        let blank = if value.starts_with('\n') { "" } else { " " };
        let _ = writeln!(status, "{name}:{blank}{value}");
    }
    let mut conffiles = deb.control.conffiles().peekable();
    if conffiles.peek().is_some() {
        status.push_str("Conffiles:\n");
        for path in conffiles {
            let _ = writeln!(status, " {path} newconffile");
        }
    }
    status.push('\n');
}

fn list(deb: &UnpackedDeb, lost: &BTreeSet<TreePath>) -> Vec<u8> {
    let mut lines = b"/.\n".to_vec();
    for (path, _, _) in deb.tree.iter() {
        if !path.is_empty() && !lost.contains(path) {
            lines.push(b'/');
            lines.extend_from_slice(path);
            lines.push(b'\n');
        }
    }
    lines
}

fn interests(triggers: &mut BTreeMap<String, BTreeSet<String>>, deb: &UnpackedDeb) {
    let Some(Ok(text)) = deb.control.file("triggers").map(std::str::from_utf8) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let suffix = match words.next() {
            Some("interest" | "interest-await") => "",
            Some("interest-noawait") => "/noawait",
            _ => continue,
        };
        if let Some(trigger) = words.next().filter(|name| is_trigger(name)) {
            let package = format!("{}{suffix}", info_name(deb));
            triggers
                .entry(trigger.to_owned())
                .or_default()
                .insert(package);
        }
    }
}

/// A path, or a name that is safe as a file's.
fn is_trigger(name: &str) -> bool {
    name.starts_with('/') || !(name.contains('/') || name.starts_with('.') || name == "File")
}

fn diversions(all: &[Diversion]) -> String {
    all.iter().fold(String::new(), |mut text, diversion| {
        let _ = writeln!(
            text,
            "/{}\n/{}\n{}",
            String::from_utf8_lossy(&diversion.from),
            String::from_utf8_lossy(&diversion.to),
            diversion.by
        );
        text
    })
}

fn overrides(all: &[StatOverride]) -> String {
    let name = |id: u32| match id {
        0 => "root".to_owned(),
        id => format!("#{id}"),
    };
    all.iter().fold(String::new(), |mut text, given| {
        let _ = writeln!(
            text,
            "{} {} {:o} /{}",
            name(given.uid),
            name(given.gid),
            given.mode,
            String::from_utf8_lossy(&given.path)
        );
        text
    })
}
