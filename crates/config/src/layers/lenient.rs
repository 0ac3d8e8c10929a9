//! Reads a node's configuration so that a bad value costs nothing but itself.
//!
//! The strict checks find what is wrong; what they name is taken out, until nothing is left to
//! name. An item of a list goes as a whole, since the rest of it may mean something else
//! without the bad part: a file with a bad mode must not be written with the default mode.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use serde_json::{Map, Value as Json};

use crate::{
    Finding, NodeConfig, Place, Severity,
    definition::{k3os::SECTION, rules},
    finding::Collector,
    fold, parse,
    schema::{
        Root,
        check::{Path, check},
    },
    yaml::{self, Data, Kind, Scalar, Span, Value},
};

/// The schema of a node's configuration.
pub(crate) static SCHEMA: LazyLock<Root> = LazyLock::new(Root::of::<NodeConfig>);

/// Each round takes out what the one before it found; rules between keys come after those of
/// single values, so that a handful is enough.
const MOST_ROUNDS: usize = 16;
/// Findings of one source that are kept.
const MOST_FINDINGS: usize = 100;

/// What is left of a source.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The valid keys and values; null erases what lower sources say.
    pub keys: Map<String, Json>,
    /// Where keys are, by their path.
    pub places: BTreeMap<String, Place>,
    /// What was dropped, and warnings.
    pub findings: Vec<Finding>,
    /// Whether the source could be read at all.
    pub usable: bool,
}

/// The position in the source of each item that is left in a list, by the list's path.
pub(super) type Indices = HashMap<String, Vec<usize>>;

/// Reads the bytes of a native file.
pub(super) fn read(name: &str, bytes: &[u8]) -> Kept {
    let mut findings = Collector::unlimited(name);
    let Some(value) = yaml::read(bytes, &mut findings) else {
        return Kept {
            findings: findings.finish(),
            ..Kept::default()
        };
    };
    read_value(value, findings, name)
}

/// Reads the value of a native file. `findings` are those of reading it.
pub(super) fn read_value(mut value: Value, mut findings: Collector, name: &str) -> Kept {
    erase_section(&mut value);
    fold::node(&mut value, "", &mut findings);
    keep(name, value, findings, Indices::new())
}

/// `k3os:` with nothing after it erases all of its keys, as in k3OS.
fn erase_section(value: &mut Value) {
    let Data::Map(entries) = &mut value.data else {
        return;
    };
    let Some(at) = entries
        .iter()
        .position(|entry| entry.key == "k3os" && entry.value.is_null())
    else {
        return;
    };
    let null = entries.remove(at);
    for key in SECTION {
        if !entries.iter().any(|entry| entry.key == key) {
            entries.push(yaml::Entry {
                key: key.to_owned(),
                ..null.clone()
            });
        }
    }
}

/// What is valid of `value`. `findings` are those of reading it.
pub(super) fn keep(
    name: &str,
    mut value: Value,
    findings: Collector,
    mut indices: Indices,
) -> Kept {
    let moved = findings.moved().to_vec();
    let mut kept = Kept {
        findings: findings.finish(),
        usable: true,
        ..Kept::default()
    };
    for _ in 0..MOST_ROUNDS {
        let mut round = Collector::unlimited(name);
        let json = check(&SCHEMA, &value, &parse::reserved_in_node, &mut round);
        let json = json.filter(|_| round.is_empty());
        let typed = json.clone().map(serde_json::from_value::<NodeConfig>);
        match &typed {
            Some(Ok(node)) => rules::node(node, &value, "", &mut round),
            Some(Err(error)) => round.add(Place::START, "", "bad-value", error.to_string(), None),
            None => {}
        }
        let clean = round.is_empty();
        let mut found = round.finish();
        let paths: Vec<String> = found
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.path.clone())
            .collect();
        // Warnings are those of the last round, about what is left.
        found.retain(|finding| clean || finding.severity == Severity::Error);
        for finding in &mut found {
            in_source(finding, &indices, &moved);
        }
        kept.findings.extend(found);
        if clean {
            kept.keys = match json {
                Some(Json::Object(keys)) => keys,
                _ => Map::new(),
            };
            add_nulls(&value, &mut kept.keys);
            places(super::merge::top(), &value, "", &mut kept.places);
            break;
        }
        if !prune(&mut value, &paths, &mut indices) {
            kept.usable = false;
            break;
        }
    }
    kept.findings
        .sort_by_key(|finding| (finding.line, finding.column));
    let more = kept.findings.len().saturating_sub(MOST_FINDINGS);
    if more > 0 {
        kept.findings.truncate(MOST_FINDINGS);
        kept.findings.push(Finding {
            file: name.to_owned(),
            line: 1,
            column: 1,
            path: String::new(),
            severity: Severity::Error,
            code: "too-many",
            message: format!("{more} more findings are not shown"),
            hint: None,
        });
    }
    kept
}

/// Puts the path of a finding as the source has it.
fn in_source(finding: &mut Finding, indices: &Indices, moved: &[(String, String)]) {
    if let Some((list, rest)) = finding.path.split_once('[')
        && let Some((index, rest)) = rest.split_once(']')
        && let Some(positions) = indices.get(list)
        && let Some(position) = index.parse::<usize>().ok().and_then(|at| positions.get(at))
    {
        finding.path = format!("{list}[{position}]{rest}");
    }
    finding.show_as(moved);
}

/// Takes the named values out of a mapping; whether any was.
fn prune(value: &mut Value, paths: &[String], indices: &mut Indices) -> bool {
    let mut cut = Cut::default();
    for path in paths {
        for (at, _) in path.match_indices(['.', '[']) {
            cut.towards.insert(&path[..at]);
        }
        cut.towards.insert(path);
        cut.exact.insert(path);
    }
    match &mut value.data {
        Data::Map(entries) => prune_map(entries, &Path::default(), &cut, indices) > 0,
        _ => false,
    }
}

#[derive(Default)]
struct Cut<'a> {
    exact: HashSet<&'a str>,
    towards: HashSet<&'a str>,
}

fn prune_map(
    entries: &mut Vec<yaml::Entry>,
    path: &Path,
    cut: &Cut<'_>,
    indices: &mut Indices,
) -> usize {
    let before = entries.len();
    let mut inside = 0;
    entries.retain_mut(|entry| {
        let path = path.key(&entry.key);
        if !cut.towards.contains(path.as_str()) {
            return true;
        }
        if cut.exact.contains(path.as_str()) {
            return false;
        }
        let (removed, left) = match &mut entry.value.data {
            Data::List(items) => {
                let removed = prune_list(items, &path, cut, indices);
                (removed, items.len())
            }
            Data::Map(inner) => (prune_map(inner, &path, cut, indices), inner.len()),
            Data::Scalar(_) => (0, 0),
        };
        inside += removed;
        // An empty list would clear what lower sources say.
        removed > 0 && left > 0
    });
    inside + before - entries.len()
}

fn prune_list(items: &mut Vec<Value>, path: &Path, cut: &Cut<'_>, indices: &mut Indices) -> usize {
    let before = items.len();
    let good: Vec<bool> = (0..before)
        .map(|index| !cut.towards.contains(path.index(index).as_str()))
        .collect();
    let positions = indices
        .entry(path.as_str().to_owned())
        .or_insert_with(|| (0..before).collect());
    let mut at = good.iter();
    positions.retain(|_| at.next().copied().unwrap_or(true));
    let mut at = good.iter();
    items.retain(|_| at.next().copied().unwrap_or(true));
    before - items.len()
}

/// The keys that are null on purpose: they erase.
fn add_nulls(value: &Value, json: &mut Map<String, Json>) {
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        if entry.value.is_null() {
            json.insert(entry.key.clone(), Json::Null);
        } else if let Some(Json::Object(inner)) = json.get_mut(&entry.key) {
            add_nulls(&entry.value, inner);
        }
    }
}

fn places(
    properties: &'static Map<String, Json>,
    value: &Value,
    prefix: &str,
    found: &mut BTreeMap<String, Place>,
) {
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        let path = format!("{prefix}{}", entry.key);
        let inner = properties.get(&entry.key);
        if let Some(inner) = inner.and_then(super::merge::structure) {
            places(inner, &entry.value, &format!("{path}."), found);
        }
        found.insert(path, entry.span.start);
    }
}

/// A JSON value as if it had been written at `place`.
pub(super) fn value_at(json: &Json, place: Place) -> Value {
    let span = Span {
        start: place,
        end: place,
    };
    let scalar = |text: String, kind| Data::Scalar(Scalar { text, kind });
    let data = match json {
        Json::Null => scalar(String::new(), Kind::Null),
        Json::Bool(truth) => scalar(truth.to_string(), Kind::Bool(*truth)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => scalar(number.to_string(), Kind::Integer(whole.into())),
            None => scalar(
                number.to_string(),
                Kind::Float(number.as_f64().unwrap_or_default()),
            ),
        },
        Json::String(text) => scalar(text.clone(), Kind::Text),
        Json::Array(items) => Data::List(items.iter().map(|item| value_at(item, place)).collect()),
        Json::Object(map) => Data::Map(
            map.iter()
                .map(|(key, value)| yaml::Entry {
                    key: key.clone(),
                    span,
                    value: value_at(value, place),
                })
                .collect(),
        ),
    };
    Value { span, data }
}
