//! A configuration file in YAML.

use std::collections::{BTreeMap, HashMap};

use super::{
    Change, New,
    config::{WifiNetwork, WriteFile},
    flag,
    keys::{FILE_KEYS, Field, Key, Section, WIFI_KEYS, file_key, wifi_key},
    warning::Warnings,
};
use crate::{
    finding::{Place, did_you_mean, nearest},
    yaml::{
        Data, Entry, Kind, Scalar, Value,
        legacy::{self, Dialect},
    },
};

/// What a file changes; nothing if it cannot be read.
pub(super) fn read(bytes: &[u8], warnings: &mut Warnings<'_>) -> Vec<Change> {
    let (value, notes) = match legacy::read_noting(bytes, Dialect::Go) {
        Ok(read) => read,
        Err(flaw) => {
            warnings.unreadable(Some(flaw.place), flaw.message);
            return Vec::new();
        }
    };
    let entries = match &value.data {
        Data::Map(entries) => entries,
        _ if value.is_null() => &Vec::new(),
        _ => {
            let why = format!("must be a mapping of keys, found {}", shape(&value));
            warnings.unreadable(Some(value.span.start), why);
            return Vec::new();
        }
    };
    for note in notes {
        warnings.add(
            Some(note.place),
            &note.path.join("."),
            note.code,
            note.message,
        );
    }
    let mut reader = Reader {
        warnings,
        changes: Vec::new(),
        path: Vec::new(),
    };
    reader.section(Section::Top, entries, &value);
    reader.changes
}

struct Reader<'a, 'w> {
    warnings: &'a mut Warnings<'w>,
    changes: Vec<Change>,
    /// What leads to the value that is being read, as written.
    path: Vec<String>,
}

impl Reader<'_, '_> {
    fn section(&mut self, section: Section, entries: &[Entry], all: &Value) {
        let unknown = |name: &str| {
            if let Some(key) = section.elsewhere(name) {
                return format!("unknown key here; `{}` is one", key.path);
            }
            let names = section.keys().iter().map(Key::name);
            format!("unknown key{}", did_you_mean(nearest(name, names)))
        };
        let known = self.chosen(entries, all, |name| section.find(name), unknown);
        for (key, entry) in known {
            self.within(&entry.key, |reader| reader.key(key, entry));
        }
    }

    /// The entries whose key is known, the last of several spellings of one only.
    fn chosen<'e, K: Identity>(
        &mut self,
        entries: &'e [Entry],
        all: &Value,
        find: impl Fn(&str) -> Option<K>,
        unknown: impl Fn(&str) -> String,
    ) -> Vec<(K, &'e Entry)> {
        let mut last: HashMap<&'static str, usize> = HashMap::new();
        let mut found: Vec<Option<(K, &Entry)>> = Vec::new();
        for entry in entries {
            let place = entry.span.start;
            let Some(key) = find(&entry.key) else {
                let message = if self.warnings.is_full() {
                    String::new()
                } else {
                    format!("{}; ignored", unknown(&entry.key))
                };
                self.warn(place, Some(&entry.key), "unknown-key", message);
                continue;
            };
            let earlier = last.insert(key.identity(), found.len());
            found.push(Some((key, entry)));
            let Some((_, outdated)) = earlier.and_then(|at| found.get_mut(at)?.take()) else {
                continue;
            };
            // What a merge key brings may be set again: that is its purpose.
            if outdated.span.start >= all.span.start && outdated.span.start <= all.span.end {
                let line = place.line;
                let message = format!("the key comes again in line {line}; only that one counts");
                let place = outdated.span.start;
                self.warn(place, Some(&outdated.key), "duplicate-key", message);
            }
        }
        found.into_iter().flatten().collect()
    }

    fn key(&mut self, key: &'static Key, entry: &Entry) {
        let value = &entry.value;
        let new = if value.is_null() {
            Some(New::Erased)
        } else {
            match key.field {
                Field::Section(section) => {
                    match &value.data {
                        Data::Map(entries) => self.section(section, entries, value),
                        _ => self.wrong(value, "a mapping of keys"),
                    }
                    None
                }
                Field::Text(_) => self.text(value).map(New::Text),
                Field::Flag(_) => self.flag(value).map(New::Flag),
                Field::List(_) => self.list(value).map(New::List),
                Field::Map(_) => self.map(value).map(New::Map),
                Field::Files(_) => self.entries(value, Self::file).map(New::Files),
                Field::Wifi(_) => self.entries(value, Self::wifi).map(New::Wifi),
            }
        };
        if let Some(new) = new {
            self.changes.push(Change {
                key,
                new,
                place: Some(entry.span.start),
            });
        }
    }

    /// A text as it is written, also where k3OS took it for a number or a truth value and then
    /// gave up.
    fn text(&mut self, value: &Value) -> Option<String> {
        match &value.data {
            Data::Scalar(Scalar { kind, text }) => match kind {
                Kind::Null => Some(String::new()),
                Kind::Binary => {
                    self.wrong(value, "text");
                    None
                }
                _ => Some(text.clone()),
            },
            Data::List(_) | Data::Map(_) => {
                self.wrong(value, "text");
                None
            }
        }
    }

    fn flag(&mut self, value: &Value) -> Option<bool> {
        let Data::Scalar(scalar) = &value.data else {
            self.wrong(value, "true or false");
            return None;
        };
        let known = match scalar.kind {
            Kind::Bool(known) => Some(known),
            Kind::Binary => None,
            _ => flag(&scalar.text),
        };
        if known.is_none() {
            let message = "neither true nor false; taken as false";
            self.warn(value.span.start, None, "not-a-truth-value", message);
        }
        Some(known.unwrap_or(false))
    }

    fn list(&mut self, value: &Value) -> Option<Vec<String>> {
        let items = match &value.data {
            Data::List(items) => items,
            Data::Scalar(_) => return self.text(value).map(|text| vec![text]),
            Data::Map(entries) if entries.is_empty() => return Some(Vec::new()),
            Data::Map(_) => {
                self.wrong(value, "a list of texts");
                return None;
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            // The path costs an allocation; only what cannot be used needs it.
            if let Data::Scalar(Scalar { kind, text }) = &item.data {
                match kind {
                    Kind::Binary => {}
                    Kind::Null => {
                        texts.push(String::new());
                        continue;
                    }
                    _ => {
                        texts.push(text.clone());
                        continue;
                    }
                }
            }
            self.within(&index, |reader| reader.wrong(item, "text"));
        }
        // Nothing that could be used must not clear what other sources set.
        (items.is_empty() || !texts.is_empty()).then_some(texts)
    }

    fn map(&mut self, value: &Value) -> Option<BTreeMap<String, String>> {
        let entries = match &value.data {
            Data::Map(entries) => entries,
            Data::List(items) if items.is_empty() => return Some(BTreeMap::new()),
            Data::List(_) | Data::Scalar(_) => {
                self.wrong(value, "a mapping of texts");
                return None;
            }
        };
        let mut texts = BTreeMap::new();
        for entry in entries {
            let text = self.within(&entry.key, |reader| reader.map_text(&entry.value));
            if let Some(text) = text {
                texts.insert(entry.key.clone(), text);
            }
        }
        (entries.is_empty() || !texts.is_empty()).then_some(texts)
    }

    /// The text that a value of a mapping of texts becomes.
    fn map_text(&mut self, value: &Value) -> Option<String> {
        match &value.data {
            Data::Scalar(Scalar { kind, text }) => match kind {
                Kind::Null => return Some(String::new()),
                Kind::Bool(value) => return Some(value.to_string()),
                Kind::Binary => {}
                _ => return Some(text.trim().to_owned()),
            },
            Data::List(items) => {
                let Some(first) = items.first() else {
                    return Some(String::new());
                };
                if items.len() > 1 {
                    let message = "a list in place of a text; only its first item counts";
                    self.warn(value.span.start, None, "first-item", message);
                }
                return self.map_text(first);
            }
            Data::Map(_) => {}
        }
        let message = format!("{} has no text form; this entry is skipped", shape(value));
        self.warn(value.span.start, None, "no-text-form", message);
        None
    }

    /// The entries of `write_files` and `wifi`; one may stand without its list.
    fn entries<E: Default>(
        &mut self,
        value: &Value,
        read: impl Fn(&mut Self, &[Entry], &Value) -> E,
    ) -> Option<Vec<E>> {
        let items = match &value.data {
            Data::List(items) => items,
            Data::Map(entries) if entries.is_empty() => return Some(Vec::new()),
            Data::Map(entries) => {
                let message = "a mapping in place of a list; taken as the list's one entry";
                self.warn(value.span.start, None, "one-entry", message);
                return Some(vec![read(self, entries, value)]);
            }
            Data::Scalar(_) => {
                self.wrong(value, "a list of mappings");
                return None;
            }
        };
        let mut entries = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match &item.data {
                Data::Map(fields) => {
                    let entry = self.within(&index, |reader| read(reader, fields, item));
                    entries.push(entry);
                }
                _ if item.is_null() => entries.push(E::default()),
                _ => self.within(&index, |reader| reader.wrong(item, "a mapping")),
            }
        }
        (items.is_empty() || !entries.is_empty()).then_some(entries)
    }

    fn fields<'e>(
        &mut self,
        entries: &'e [Entry],
        all: &Value,
        names: &[&'static str],
        find: fn(&str) -> Option<&'static str>,
    ) -> Vec<(&'static str, &'e Entry)> {
        self.chosen(entries, all, find, |name| {
            let near = nearest(name, names.iter().copied());
            format!("unknown key{}", did_you_mean(near))
        })
    }

    fn file(&mut self, entries: &[Entry], all: &Value) -> WriteFile {
        let mut file = WriteFile::default();
        let mut binary = None;
        for (name, entry) in self.fields(entries, all, &FILE_KEYS, file_key) {
            if let ("content", Data::Scalar(scalar)) = (name, &entry.value.data)
                && scalar.kind == Kind::Binary
            {
                binary = Some(entry.value.span.start);
                file.content.clone_from(&scalar.text);
                continue;
            }
            let text = self.within(&entry.key, |reader| reader.text(&entry.value));
            let field = match name {
                "path" => &mut file.path,
                "content" => &mut file.content,
                "encoding" => &mut file.encoding,
                "owner" => &mut file.owner,
                _ => &mut file.permissions,
            };
            *field = text.unwrap_or_default();
        }
        if let Some(place) = binary {
            match file.encoding.as_str() {
                "" => "b64".clone_into(&mut file.encoding),
                "gz" | "gzip" => "gz+b64".clone_into(&mut file.encoding),
                _ => {
                    let message = "binary data that is not of its `encoding`; shown as base64";
                    self.warn(place, Some("content"), "bad-tag", message);
                }
            }
        }
        file
    }

    fn wifi(&mut self, entries: &[Entry], all: &Value) -> WifiNetwork {
        let mut network = WifiNetwork::default();
        for (name, entry) in self.fields(entries, all, &WIFI_KEYS, wifi_key) {
            let text = self.within(&entry.key, |reader| reader.text(&entry.value));
            let field = match name {
                "name" => &mut network.name,
                _ => &mut network.passphrase,
            };
            *field = text.unwrap_or_default();
        }
        network
    }

    fn within<T>(&mut self, step: &dyn ToString, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_string());
        let result = read(self);
        self.path.pop();
        result
    }

    fn wrong(&mut self, value: &Value, wanted: &str) {
        // `- echo a: b` is the usual reason.
        let hint = match (wanted, &value.data) {
            ("text", Data::Map(_)) => "; quote text that holds `: `",
            _ => "",
        };
        let message = format!("must be {wanted}, found {}; ignored{hint}", shape(value));
        self.warn(value.span.start, None, "wrong-shape", message);
    }

    fn warn(
        &mut self,
        place: Place,
        step: Option<&str>,
        code: &'static str,
        message: impl Into<String>,
    ) {
        let steps = self.path.iter().map(String::as_str).chain(step);
        let key = steps.collect::<Vec<_>>().join(".");
        self.warnings.add(Some(place), &key, code, message);
    }
}

/// What tells two spellings of one key.
trait Identity: Copy {
    fn identity(self) -> &'static str;
}

impl Identity for &'static Key {
    fn identity(self) -> &'static str {
        self.path
    }
}

impl Identity for &'static str {
    fn identity(self) -> &'static str {
        self
    }
}

/// What a value is, without what it says: that may be a secret.
fn shape(value: &Value) -> &'static str {
    match &value.data {
        Data::List(_) => "a list",
        Data::Map(_) => "a mapping",
        Data::Scalar(scalar) => match scalar.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a truth value",
            Kind::Integer(_) | Kind::Float(_) => "a number",
            Kind::Text => "a text",
            Kind::Binary => "binary data",
        },
    }
}
