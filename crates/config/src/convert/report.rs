//! What a conversion says about the keys of its input.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    fmt,
    hash::{Hash as _, Hasher as _},
};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Converted;
use crate::{
    finding::Place,
    yaml::{Data, Value},
};

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The node configuration has the same effect.
    Translated,
    /// The format itself has dropped this form; the message names the replacement.
    Obsolete,
    /// Not carried over; the message says why, or what to do instead.
    Unsupported,
    /// Breaks the rules of the format.
    Invalid,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Translated => "translated",
            Self::Obsolete => "obsolete",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
        })
    }
}

/// What became of one key or item, and of all below it that no deeper entry speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Dotted, with list indexes, in the spelling of the input; `.` for a document that cannot
    /// be read at all.
    pub path: String,
    /// What became of it.
    pub status: Status,
    /// How, why, or what to do instead. May be empty for what is translated. Never a secret.
    pub message: String,
    /// Line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

/// The path of `key` below `path`; the empty path is the document itself.
pub(crate) fn join(path: &str, key: impl fmt::Display) -> String {
    if path.is_empty() {
        key.to_string()
    } else {
        format!("{path}.{key}")
    }
}

/// Collects the entries of one document.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    entries: Vec<Entry>,
    /// Hashes of what was said.
    seen: HashSet<u64>,
}

impl Report {
    /// Nothing said yet about `file`.
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            entries: Vec::new(),
            seen: HashSet::new(),
        }
    }

    /// Says something about `path` (empty: the whole document, shown as `.`). What was said
    /// before is not said again.
    pub(crate) fn add(
        &mut self,
        status: Status,
        path: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        let path = if path.is_empty() { "." } else { path };
        let message = message.into();
        let mut hasher = DefaultHasher::new();
        (path, status, &message).hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return;
        }
        let place: Option<Place> = place.into();
        self.entries.push(Entry {
            path: path.to_owned(),
            status,
            message,
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
        });
    }

    /// Carried over with the same effect.
    pub(crate) fn translated(
        &mut self,
        path: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        self.add(Status::Translated, path, place, message);
    }

    /// A form that the format has dropped.
    pub(crate) fn obsolete(
        &mut self,
        path: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        self.add(Status::Obsolete, path, place, message);
    }

    /// Not carried over.
    pub(crate) fn unsupported(
        &mut self,
        path: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        self.add(Status::Unsupported, path, place, message);
    }

    /// Breaks the rules of the format.
    pub(crate) fn invalid(
        &mut self,
        path: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) {
        self.add(Status::Invalid, path, place, message);
    }

    /// Takes back that `path` and what is below it was translated, because it is not after all.
    pub(crate) fn take_back(&mut self, path: &str) {
        let below = |other: &str| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.entries
            .retain(|entry| entry.status != Status::Translated || !below(&entry.path));
    }

    /// Whether `path`, or something below it, was said to break the rules.
    pub(crate) fn is_spoiled(&self, path: &str) -> bool {
        self.entries.iter().any(|entry| {
            entry.status == Status::Invalid
                && entry
                    .path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The entries so far.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Makes sure that no value of the document vanishes: what no entry speaks for becomes
    /// `unsupported`. `prefix` is the path of `root` (empty for a whole document).
    pub(crate) fn cover(&mut self, prefix: &str, root: &Value) {
        let mut index = Index::new();
        for entry in &self.entries {
            index.add(entry);
        }
        let mut missed = Vec::new();
        walk(root, prefix, Above::default(), &index, &mut missed);
        for (path, place) in missed {
            self.unsupported(&path, place, "has no counterpart in the node configuration");
        }
    }

    /// The result, its entries in the order of the document.
    pub(crate) fn finish(mut self, node: Map<String, Json>) -> Converted {
        self.entries
            .sort_by_key(|entry| (entry.line.unwrap_or(0), entry.column.unwrap_or(0)));
        Converted {
            file: self.file,
            node,
            report: self.entries,
        }
    }

    /// The result for a document that cannot be read at all.
    pub(crate) fn unreadable(
        file: &str,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) -> Converted {
        let mut report = Self::new(file);
        report.invalid("", place, message);
        report.finish(Map::new())
    }
}

/// By path: whether an entry speaks for it, and whether only as translated.
struct Index(HashMap<String, bool>);

impl Index {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn add(&mut self, entry: &Entry) {
        let final_word = entry.status != Status::Translated;
        let known = self.0.entry(entry.path.clone()).or_default();
        *known |= final_word;
    }
}

/// What the parents of a value say for it.
#[derive(Clone, Copy, Default)]
struct Above {
    /// An entry that is not `translated` stands above.
    settled: bool,
    /// A `translated` entry stands above.
    translated: bool,
    /// The way here went through a list of objects already.
    listed: bool,
}

fn walk(value: &Value, path: &str, above: Above, index: &Index, missed: &mut Vec<(String, Place)>) {
    let mut here = above;
    match index.0.get(path) {
        Some(true) => here.settled = true,
        Some(false) => here.translated = true,
        None => {}
    }
    if here.settled {
        return;
    }
    match &value.data {
        Data::Map(entries) => {
            for entry in entries {
                walk(&entry.value, &join(path, &entry.key), here, index, missed);
            }
        }
        Data::List(items) => {
            for (number, item) in items.iter().enumerate() {
                let mut below = here;
                if matches!(item.data, Data::Map(_)) && !here.listed {
                    // A translated entry does not speak for the items of a list of objects.
                    below.translated = false;
                    below.listed = true;
                }
                walk(item, &join(path, number), below, index, missed);
            }
        }
        Data::Scalar(_) if value.is_null() || here.translated => {}
        Data::Scalar(_) => missed.push((path.to_owned(), value.span.start)),
    }
}
