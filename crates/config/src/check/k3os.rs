//! What is to be said about a file of k3OS.

use crate::{
    Finding, Place,
    finding::Collector,
    k3os::{
        Input, Kind,
        keys::{Section, file_key, wifi_key},
    },
    layers,
    yaml::{Data, Entry, Kind as Scalars, Scalar, Value, legacy},
};

/// All findings of a file.
pub(super) fn findings(name: &str, bytes: &[u8]) -> Vec<Finding> {
    let kind = if bytes.starts_with(b"#!") {
        Kind::Userdata
    } else {
        Kind::Yaml
    };
    let made = layers::effective(&[Input::new(name, kind, bytes)], &[]);
    let mut findings = made.findings;
    let value = match kind {
        Kind::Yaml => legacy::read(bytes, legacy::Dialect::Go).ok(),
        _ => None,
    };
    let mut collector = Collector::new(name);
    if let Some(value) = &value {
        spellings(Section::Top, value, "", &mut collector);
        modes(value, &mut collector);
        // What was found in the merged configuration has the place of its key only.
        for finding in &mut findings {
            let placed = !finding.path.is_empty() && finding.code != "unknown-key";
            if placed && let Some(place) = locate(value, &finding.path) {
                (finding.line, finding.column) = (place.line, place.column);
            }
        }
    }
    for finding in &mut findings {
        if finding.code == "unknown-key" {
            finding.code = "ignored-key";
        }
        name.clone_into(&mut finding.file);
    }
    findings.extend(collector.finish());
    findings
}

/// Names that k3OS took and that are not those of its manual.
fn spellings(section: Section, value: &Value, prefix: &str, findings: &mut Collector) {
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        let Some(key) = section.find(&entry.key) else {
            continue;
        };
        let path = format!("{prefix}{}", entry.key);
        if entry.key != key.name() {
            findings.warn(
                entry.span.start,
                path.as_str(),
                "deprecated-spelling",
                format!("k3OS takes this for `{}`; native files do not", key.name()),
                Some(format!("write `{}`", key.name())),
            );
        }
        let inner = match key.path {
            "k3os" => Section::K3os,
            "k3os.install" => Section::Install,
            "write_files" => {
                inner_spellings(file_key, &entry.value, &path, findings);
                continue;
            }
            "k3os.wifi" => {
                inner_spellings(wifi_key, &entry.value, &path, findings);
                continue;
            }
            _ => continue,
        };
        spellings(inner, &entry.value, &format!("{path}."), findings);
    }
}

/// The same in the items of a list.
fn inner_spellings(
    meaning: fn(&str) -> Option<&'static str>,
    list: &Value,
    path: &str,
    findings: &mut Collector,
) {
    for (index, item) in list.items().iter().enumerate() {
        let Data::Map(entries) = &item.data else {
            continue;
        };
        for entry in entries {
            if let Some(name) = meaning(&entry.key)
                && name != entry.key
            {
                findings.warn(
                    entry.span.start,
                    format!("{path}[{index}].{}", entry.key),
                    "deprecated-spelling",
                    format!("k3OS takes this for `{name}`; native files do not"),
                    Some(format!("write `{name}`")),
                );
            }
        }
    }
}

/// Modes that YAML takes for numbers.
fn modes(root: &Value, findings: &mut Collector) {
    let Some(files) = entry(root, "write_files") else {
        return;
    };
    let items: Vec<&Value> = match &files.value.data {
        Data::List(items) => items.iter().collect(),
        Data::Map(_) => vec![&files.value],
        Data::Scalar(_) => Vec::new(),
    };
    for (index, item) in items.iter().enumerate() {
        let Some(mode) = entry(item, "permissions") else {
            continue;
        };
        if let Data::Scalar(Scalar {
            text,
            kind: Scalars::Integer(number),
        }) = &mode.value.data
            && text.starts_with('0')
        {
            findings.warn(
                mode.value.span.start,
                format!("{}[{index}].{}", files.key, mode.key),
                "unquoted-octal",
                format!("{text} is taken as it is written; k3OS read it as the number {number} and took these digits for the mode"),
                Some(format!("quote it: `permissions: \"{text}\"`")),
            );
        }
    }
}

/// Where the secrets are.
pub(super) fn secrets(bytes: &[u8]) -> Vec<(String, Place)> {
    let Ok(root) = legacy::read(bytes, legacy::Dialect::Go) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut add = |path: String, value: &Value| {
        if let Data::Scalar(scalar) = &value.data
            && !matches!(scalar.text.as_str(), "" | "*" | "!")
            && !value.is_null()
        {
            found.push((path, value.span.start));
        }
    };
    let Some(k3os) = entry(&root, "k3os") else {
        return Vec::new();
    };
    for key in ["password", "token"] {
        if let Some(entry) = entry(&k3os.value, key) {
            add(format!("{}.{}", k3os.key, entry.key), &entry.value);
        }
    }
    if let Some(wifi) = entry(&k3os.value, "wifi") {
        for (index, item) in wifi.value.items().iter().enumerate() {
            for name in ["passphrase", "password", "pass"] {
                if let Some(entry) = entry(item, name) {
                    let path = format!("{}.{}[{index}].{}", k3os.key, wifi.key, entry.key);
                    add(path, &entry.value);
                    break;
                }
            }
        }
    }
    found
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| *letter != '_');
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The entry of a key in any of its spellings; the last of several, as in k3OS.
fn entry<'a>(value: &'a Value, key: &str) -> Option<&'a Entry> {
    let Data::Map(entries) = &value.data else {
        return None;
    };
    let wanted = plain(key);
    let is = |entry: &&Entry| {
        let name = plain(&entry.key);
        entry.key == key || name == wanted || wanted.strip_suffix('s') == Some(&name)
    };
    entries.iter().rev().find(is)
}

/// Where the value at a path is, as exactly as can be told.
fn locate(root: &Value, path: &str) -> Option<Place> {
    let mut value = root;
    let mut place = None;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            // A single value in place of a list is its one item.
            if let Some(item) = value.items().get(index.parse::<usize>().ok()?) {
                value = item;
            }
            place = Some(value.span.start);
            rest = after.strip_prefix('.').unwrap_or(after);
            continue;
        }
        let (key, after) = key_of(rest);
        let Some(entry) = entry(value, &key) else {
            break;
        };
        value = &entry.value;
        place = Some(if value.is_null() {
            entry.span.start
        } else {
            value.span.start
        });
        rest = after;
    }
    place
}

/// The first key of a path, unquoted, and what follows it.
fn key_of(path: &str) -> (String, &str) {
    if path.starts_with('"') {
        let mut quoted = serde_json::Deserializer::from_str(path).into_iter::<String>();
        if let Some(Ok(key)) = quoted.next() {
            let rest = &path[quoted.byte_offset()..];
            return (key, rest.strip_prefix('.').unwrap_or(rest));
        }
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let rest = &path[end..];
    (
        path[..end].to_owned(),
        rest.strip_prefix('.').unwrap_or(rest),
    )
}
