//! One configuration file of k3OS.

use std::collections::{HashMap, HashSet};

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
        keys::{Field, Section, file_key, shown, wifi_key},
        merge,
    },
    yaml::{
        Data, Entry, Value,
        legacy::{Dialect, read},
    },
};

/// Converts a file by the rules by which a node reads it.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let mut value = match read(bytes, Dialect::Go) {
        Ok(value) => value,
        Err(flaw) => return Report::unreadable(file, flaw.place, flaw.message),
    };
    if values(&value).is_none() {
        return Report::unreadable(file, value.span.start, TOO_LARGE);
    }
    conceal(&mut value, "");
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

/// Cuts keys that may hold a secret, as the paths of warnings are cut.
fn conceal(value: &mut Value, path: &str) {
    match &mut value.data {
        Data::Map(entries) => {
            for entry in entries {
                let whole = join(path, &entry.key);
                let here = shown(&whole);
                if here != whole {
                    let key = here.strip_prefix(path).unwrap_or_default();
                    let key = if path.is_empty() {
                        Some(key)
                    } else {
                        key.strip_prefix('.')
                    };
                    key.unwrap_or("…").clone_into(&mut entry.key);
                }
                conceal(&mut entry.value, &here);
            }
        }
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                conceal(item, &join(path, index));
            }
        }
        Data::Scalar(_) => {}
    }
}

/// The entries, and whether each is the last one of its key's spellings.
fn with_last<'e>(
    entries: &'e [Entry],
    find: &dyn Fn(&str) -> Option<&'static str>,
) -> Vec<(&'e Entry, bool)> {
    let mut seen = HashSet::new();
    let mut told: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| (entry, find(&entry.key).is_none_or(|key| seen.insert(key))))
        .collect();
    told.reverse();
    told
}

struct Walk<'a> {
    report: &'a mut Report,
    said: &'a HashMap<&'a str, Vec<&'a Warning>>,
}

impl Walk<'_> {
    /// Whether a warning says that the value at a path does not count. Of a key that is there
    /// several times the last one does.
    fn is_out(&self, path: &str, is_last: bool) -> bool {
        self.said.get(path).is_some_and(|warnings| {
            warnings.iter().any(|warning| match warning.code {
                "bad-tag" | "first-item" | "one-entry" => false,
                "duplicate-key" => !is_last,
                _ => true,
            })
        })
    }

    /// What is said of the earlier values of a key in the same spelling, if there are some.
    fn repeated(&self, path: &str) -> Option<&str> {
        let mut warnings = self.said.get(path)?.iter().rev();
        let warning = warnings.find(|warning| warning.code == "duplicate-key")?;
        Some(&warning.message)
    }

    /// Says of a key that is there several times that its last value is carried over.
    fn last_counts(&mut self, path: &str, entry: &Entry, is_last: bool) {
        if entry.value.is_null() || self.is_out(path, is_last) {
            return;
        }
        if let Some(message) = self.repeated(path).map(str::to_owned) {
            self.report.translated(path, entry.span.start, message);
        }
    }

    fn section(&mut self, section: Section, value: &Value, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        let path_of = |name: &str| section.find(name).map(|key| key.path);
        for (entry, is_last) in with_last(entries, &path_of) {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if entry.value.is_null() || self.is_out(&here, is_last) {
                continue;
            }
            let Some(key) = section.find(&entry.key) else {
                self.report
                    .unsupported(&here, place, "unknown key; ignored");
                continue;
            };
            let own = key.name();
            let mut said = if own == entry.key {
                Vec::new()
            } else {
                vec![format!("as `{own}`")]
            };
            said.extend(self.repeated(&here).map(str::to_owned));
            let is_whole = !matches!(
                key.field,
                Field::Section(_) | Field::Files(_) | Field::Wifi(_)
            );
            if is_whole || self.repeated(&here).is_some() {
                self.report.translated(&here, place, said.join("; "));
            }
            match key.field {
                Field::Section(section) => self.section(section, &entry.value, &here),
                Field::Files(_) => {
                    self.items(&entry.value, &here, &file_key);
                }
                Field::Wifi(_) => self.items(&entry.value, &here, &wifi_key),
                Field::Map(_) => {
                    if let Data::Map(entries) = &entry.value.data {
                        for entry in entries {
                            self.last_counts(&join(&here, &entry.key), entry, true);
                        }
                    }
                }
                Field::Text(_) | Field::Flag(_) | Field::List(_) => {}
            }
        }
    }

    /// Entries of `write_files` and `wifi`: a list, or one alone.
    fn items(&mut self, value: &Value, path: &str, find: &dyn Fn(&str) -> Option<&'static str>) {
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
            for (entry, is_last) in with_last(entries, find) {
                let below = join(&here, &entry.key);
                if find(&entry.key).is_some() {
                    self.last_counts(&below, entry, is_last);
                } else if !self.is_out(&below, true) {
                    let place = entry.span.start;
                    self.report
                        .unsupported(&below, place, "unknown key; ignored");
                }
            }
            if !self.is_out(&here, true) {
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

    #[test]
    fn of_duplicate_keys_the_last_one_is_translated() {
        use Status::{Invalid, Translated, Unsupported};
        for (text, path, statuses) in [
            (
                "hostname: a\nhostname: b\n",
                "hostname",
                &[Unsupported, Translated][..],
            ),
            (
                "hostname: a\nhostname: [b]\n",
                "hostname",
                &[Unsupported, Invalid],
            ),
            ("hostname: a\nhostname: ~\n", "hostname", &[Unsupported]),
            ("hostname: a\nHostName: b\n", "hostname", &[Unsupported]),
            ("hostname: a\nHostName: b\n", "HostName", &[Translated]),
            (
                "hostname: a\nhostname: b\nHostName: c\n",
                "hostname",
                &[Unsupported, Unsupported],
            ),
            ("foo: a\nfoo: b\n", "foo", &[Unsupported, Unsupported]),
            (
                "k3os: {token: a}\nk3os: {token: b}\n",
                "k3os",
                &[Unsupported, Translated],
            ),
            (
                "k3os: {token: a}\nk3os: {token: b}\n",
                "k3os.token",
                &[Translated],
            ),
            (
                "k3os: {labels: {a: b, a: c}}\n",
                "k3os.labels.a",
                &[Unsupported, Translated],
            ),
            (
                "write_files: [{path: /a, path: /b}]\n",
                "write_files.0.path",
                &[Unsupported, Translated],
            ),
            (
                "write_files: []\nwrite_files: [{path: /b}]\n",
                "write_files",
                &[Unsupported, Translated],
            ),
        ] {
            let mut found = said(text);
            found.retain(|(said, _)| said == path);
            let found: Vec<_> = found.into_iter().map(|(_, status)| status).collect();
            assert_eq!(found, statuses, "{text}: {path}");
        }
        let report = convert("x", b"run_cmd: [a]\nrunCmd: [b]\nrunCmd: [c]\n").report;
        let translated = report.iter().find(|entry| entry.status == Translated);
        assert_eq!(
            translated.unwrap().message,
            "as `run_cmd`; the key is already in line 2; only this last one counts"
        );
    }

    #[test]
    fn secrets_without_a_blank_before_them_are_not_reported() {
        let text = "k3os:\n  ? token:S3cret\n  ? token S3cret\n  : {S3cret: {S3cret: x}}\n  wifi: [{name: a, passphrase:S3cret}]\n  password: {S3cret: a}\nbase: {pass:S3cret: {a: b}}\n\"pass:S3cret\": x\n";
        let report = convert("x", text.as_bytes()).report;
        assert!(!format!("{report:?}").contains("S3cret"), "{report:?}");
        let said = said(text);
        for path in [
            "k3os.token:…",
            "k3os.token …",
            "k3os.wifi.0.passphrase:…",
            "pass:…",
        ] {
            let entries: Vec<_> = said.iter().filter(|(said, _)| said == path).collect();
            assert_eq!(entries.len(), 1, "{path}: {said:?}");
        }
        let many = format!("{}k3os: {{token:S3cret: x}}\n", "a: 1\n".repeat(2000));
        let report = convert("x", many.as_bytes()).report;
        assert!(!format!("{report:?}").contains("S3cret"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_converted_or_refused(bytes: Vec<u8>) {
            let _ = convert("x", &bytes);
        }

        #[test]
        fn no_value_vanishes_from_the_report(text in "((hostname|run_cmd|k3os|writeFiles|foo|label|install|wifi|token|name|path): |  |- |\n|[a-z]|\\{|\\}|\\[|\\]|, |true|~){0,30}") {
            let converted = convert("x", text.as_bytes());
            if let Ok(mut value) = read(text.as_bytes(), Dialect::Go)
                && matches!(value.data, Data::Map(_))
            {
                conceal(&mut value, "");
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
