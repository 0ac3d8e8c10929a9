//! One configuration file of k3OS.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{
    Converted,
    cloud_init::absolute,
    report::{Report, join},
    shapes::{TOO_LARGE, values},
};
use crate::{
    Mode, Owner,
    k3os::{
        Input, Kind, Warning,
        keys::{Field, Section, file_key, wifi_key},
        merge,
    },
    yaml::{
        Data, Value,
        legacy::{Dialect, read},
    },
};

/// Converts a file by the rules by which a node reads it.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let value = match read(bytes, Dialect::Go) {
        Ok(value) => value,
        Err(flaw) => return Report::unreadable(file, flaw.place, flaw.message),
    };
    if values(&value).is_none() {
        return Report::unreadable(file, value.span.start, TOO_LARGE);
    }
    let merged = merge(&[Input::new(file, Kind::Yaml, bytes)]);
    let mut report = Report::new(file);
    let mut said: HashMap<&str, Vec<&Warning>> = HashMap::new();
    for warning in &merged.warnings {
        let path = match warning.code {
            "later-document" => "document.1",
            "too-many" => continue,
            _ => warning.key.as_str(),
        };
        said.entry(path).or_default().push(warning);
        let (place, message) = (warning.place, warning.message.as_str());
        match warning.code {
            // The whole file, or a value that has no shape that k3OS can use.
            "unreadable" | "wrong-shape" | "no-text-form" | "not-utf-8" => {
                report.invalid(path, place, message);
            }
            "bad-tag" | "first-item" | "one-entry" => report.translated(path, place, message),
            _ => report.unsupported(path, place, message),
        }
    }
    let mut walk = Walk {
        report: &mut report,
        said: &said,
    };
    walk.section(Section::Top, &value, "");
    if matches!(value.data, Data::Map(_)) {
        report.cover("", &value);
    }
    let node = native(merged.config.to_json(true));
    report.finish(node)
}

struct Walk<'a> {
    report: &'a mut Report,
    said: &'a HashMap<&'a str, Vec<&'a Warning>>,
}

impl Walk<'_> {
    /// Whether a warning says that the value at a path does not count.
    fn is_out(&self, path: &str) -> bool {
        self.said.get(path).is_some_and(|warnings| {
            warnings
                .iter()
                .any(|warning| !matches!(warning.code, "bad-tag" | "first-item" | "one-entry"))
        })
    }

    fn section(&mut self, section: Section, value: &Value, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        for entry in entries {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if entry.value.is_null() || self.is_out(&here) {
                continue;
            }
            let Some(key) = section.find(&entry.key) else {
                self.report
                    .unsupported(&here, place, "unknown key; ignored");
                continue;
            };
            match key.field {
                Field::Section(section) => self.section(section, &entry.value, &here),
                Field::Files(_) => {
                    self.items(&entry.value, &here, &|name| file_key(name).is_some());
                }
                Field::Wifi(_) => self.items(&entry.value, &here, &|name| wifi_key(name).is_some()),
                _ => {
                    let own = key.path.rsplit('.').next().unwrap_or(key.path);
                    let message = if own == entry.key {
                        String::new()
                    } else {
                        format!("as `{own}`")
                    };
                    self.report.translated(&here, place, message);
                }
            }
        }
    }

    /// Entries of `write_files` and `wifi`: a list, or one alone.
    fn items(&mut self, value: &Value, path: &str, known: &dyn Fn(&str) -> bool) {
        let alone = [(path.to_owned(), value)];
        let listed: Vec<(String, &Value)> = match &value.data {
            Data::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (join(path, index), item))
                .collect(),
            _ => alone.to_vec(),
        };
        for (here, item) in listed {
            let Data::Map(entries) = &item.data else {
                continue;
            };
            for entry in entries {
                let below = join(&here, &entry.key);
                if !known(&entry.key) && !self.is_out(&below) {
                    let place = entry.span.start;
                    self.report
                        .unsupported(&below, place, "unknown key; ignored");
                }
            }
            if !self.is_out(&here) {
                self.report.translated(&here, item.span.start, "");
            }
        }
    }
}

/// k3OS' keys as those of a node: what is below `k3os` stands beside the others.
fn native(merged: Json) -> Map<String, Json> {
    let Json::Object(mut node) = merged else {
        return Map::new();
    };
    node.remove("schema");
    if let Some(Json::Object(section)) = node.remove("k3os") {
        node.extend(section);
    }
    if let Some(Json::Array(files)) = node.get_mut("write_files") {
        for file in files {
            spell(file);
        }
    }
    node
}

/// Spells a file's path and mode as Lifeboat does; what cannot be spelled so stays as it is.
fn spell(file: &mut Json) {
    let text = |file: &Json, key: &str| file.get(key).and_then(Json::as_str).map(str::to_owned);
    if let Some(path) = text(file, "path").and_then(|path| absolute(&path)) {
        file["path"] = Json::String(path);
    }
    if let Some(mode) = text(file, "permissions") {
        let digits = mode.strip_prefix("0o").unwrap_or(&mode);
        if let Ok(mode) = format!("{digits:0>4}").parse::<Mode>() {
            file["permissions"] = Json::String(mode.to_string());
        }
    }
    if let Some(owner) = text(file, "owner")
        && owner.parse::<Owner>().is_err()
        && let Some(user) = owner.strip_suffix(':')
    {
        file["owner"] = Json::String(user.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::convert::Status;

    fn said(text: &str) -> Vec<(String, Status)> {
        let report = convert("config.yaml", text.as_bytes()).report;
        report
            .into_iter()
            .map(|entry| (entry.path, entry.status))
            .collect()
    }

    #[test]
    fn keys_are_translated_under_the_spelling_of_the_document() {
        let text = "sshAuthorizedKeys: k\nwriteFile:\n- {path: a/../b, permissions: '644', content: x, mode: 1}\nk3os:\n  serverUrl: https://s\n  label: {a: true, b: {c: d}}\n  install: {device: /dev/sda, disk: x}\n  foo: bar\nusers: [{name: x}]\n";
        let converted = convert("config.yaml", text.as_bytes());
        assert_eq!(
            Json::Object(converted.node),
            json!({
                "ssh_authorized_keys": ["k"],
                "write_files": [{"path": "/b", "permissions": "0644", "content": "x"}],
                "server_url": "https://s",
                "labels": {"a": "true"},
                "install": {"device": "/dev/sda"},
            })
        );
        let said = said(text);
        for (path, status) in [
            ("sshAuthorizedKeys", Status::Translated),
            ("writeFile.0", Status::Translated),
            ("writeFile.0.mode", Status::Unsupported),
            ("k3os.serverUrl", Status::Translated),
            ("k3os.label", Status::Translated),
            ("k3os.label.b", Status::Invalid),
            ("k3os.install.device", Status::Translated),
            ("k3os.install.disk", Status::Unsupported),
            ("k3os.foo", Status::Unsupported),
            ("users", Status::Unsupported),
        ] {
            assert!(
                said.contains(&(path.to_owned(), status)),
                "{path}: {said:?}"
            );
        }
    }

    #[test]
    fn unusable_shapes_are_invalid_and_empty_files_are_fine() {
        assert_eq!(said(""), []);
        assert_eq!(said("# nothing\n"), []);
        assert_eq!(said("hostname: ~\n"), []);
        assert_eq!(said("- a\n"), [(".".to_owned(), Status::Invalid)]);
        assert_eq!(said("a: [\n"), [(".".to_owned(), Status::Invalid)]);
        assert_eq!(
            said("hostname: {a: b}\n"),
            [("hostname".to_owned(), Status::Invalid)]
        );
        assert_eq!(
            said("k3os: token\n"),
            [("k3os".to_owned(), Status::Invalid)]
        );
        assert!(
            said("write_files: [x]\n").contains(&("write_files.0".to_owned(), Status::Invalid))
        );
        assert!(
            said("hostname: a\n---\nb: c\n")
                .contains(&("document.1".to_owned(), Status::Unsupported))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_converted_or_refused(bytes: Vec<u8>) {
            let _ = convert("x", &bytes);
        }

        #[test]
        fn no_value_vanishes_from_the_report(text in "((hostname|run_cmd|k3os|writeFiles|foo|label|install|wifi|token|name|path): |  |- |\n|[a-z]|\\{|\\}|\\[|\\]|, |true|~){0,30}") {
            let converted = convert("x", text.as_bytes());
            if let Ok(value) = read(text.as_bytes(), Dialect::Go)
                && matches!(value.data, Data::Map(_))
            {
                let mut report = Report::new("x");
                for entry in &converted.report {
                    report.add(entry.status, &entry.path, None, entry.message.clone());
                }
                let before = report.entries().len();
                report.cover("", &value);
                prop_assert_eq!(report.entries().len(), before);
            }
        }
    }
}
