//! The configuration of a node from all of its sources: what is in force, where it is from, and
//! what was wrong on the way.
//!
//! From low to high: k3OS' sources, merged by k3OS' own rules; then native files in the order
//! that they are given. A key of a later source replaces that of an earlier one; `install`,
//! `network` and the other mappings whose keys are fixed merge key by key; null erases. A source
//! that cannot be read is skipped, a bad value costs nothing but itself, and each is named.

mod explain;
mod k3os;
mod lenient;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use explain::{Explained, masked};
use lenient::Indices;
pub(crate) use lenient::SCHEMA;
use merge::Layer;

use crate::{
    Finding, NodeConfig, Place, Severity,
    definition::k3os::SECTION,
    finding::Collector,
    k3os::{Input, Warning},
};

/// A native file: the `node` mapping of a definition as a file of its own.
#[derive(Clone)]
pub struct NativeInput {
    /// Its name in messages, such as its path below the root.
    pub name: String,
    /// What is in it, or why it cannot be read.
    pub content: Result<Vec<u8>, String>,
}

impl std::fmt::Debug for NativeInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content may hold secrets.
        let length = self.content.as_ref().map(Vec::len);
        f.debug_struct("NativeInput")
            .field("name", &self.name)
            .field("bytes", &length)
            .finish()
    }
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Its name: a path, `cmdline`, `fw_cfg` or `smbios`.
    pub name: String,
    /// Whether something of it is in force, or nothing is wrong with it.
    pub used: bool,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A source that set or erased a key.
#[derive(Clone, PartialEq, Serialize)]
pub struct Origin {
    /// The source.
    pub source: String,
    /// Where it says so, if that is known.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What it says, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Whether it erases what sources below it say.
    pub erased: bool,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value may be a secret.
        f.debug_struct("Origin")
            .field("source", &self.source)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The configuration in force.
#[derive(Clone, PartialEq)]
pub struct Effective {
    /// The configuration.
    pub node: NodeConfig,
    /// The keys that are set, as [`NodeConfig`] has them.
    keys: Map<String, Json>,
    /// What was skipped, changed, or is worth a word.
    pub findings: Vec<Finding>,
    /// All sources, low to high.
    pub sources: Vec<SourceState>,
    /// Which sources set each key, low to high, the one in force last. Keys of mappings that
    /// merge key by key are named one by one: `install.device`.
    pub origins: BTreeMap<String, Vec<Origin>>,
}

impl std::fmt::Debug for Effective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys as JSON have no type that keeps its secrets.
        f.debug_struct("Effective")
            .field("node", &self.node)
            .field("findings", &self.findings)
            .field("sources", &self.sources)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

/// The name of all sources together, in findings that no one source is to blame for.
const WHOLE: &str = "all sources";
/// Warnings about how one source is written; all others are about what is in force.
const OF_ONE_SOURCE: [&str; 3] = ["unquoted-octal", "one-entry", "changed-value"];

/// Merges all sources. `k3os` as k3OS merges them, then `native`, low to high.
pub fn effective(k3os: &[Input], native: &[NativeInput]) -> Effective {
    let merged = crate::k3os::merge(k3os);
    let translated = k3os::translate(k3os, &merged);
    let mut findings: Vec<Finding> = merged.warnings.iter().map(of_k3os).collect();
    findings.extend(translated.findings.into_iter().filter(is_of_one_source));
    let mut sources: Vec<SourceState> = k3os
        .iter()
        .map(|input| SourceState {
            name: input.name.clone(),
            used: !merged
                .warnings
                .iter()
                .any(|warning| warning.code == "unreadable" && warning.source == input.name),
            problems: Vec::new(),
        })
        .collect();

    let mut keys = Map::new();
    let mut origins: BTreeMap<String, Vec<Origin>> = BTreeMap::new();
    for (key, origin) in translated.overridden {
        origins.entry(key).or_default().push(origin);
    }
    for layer in &translated.layers {
        merge::merge(merge::top(), &mut keys, &layer.keys);
        merge::record(layer, &mut origins);
    }
    for input in native {
        let (layer, used) = native_layer(input, &mut findings);
        sources.push(SourceState {
            name: input.name.clone(),
            used,
            problems: Vec::new(),
        });
        merge::merge(merge::top(), &mut keys, &layer.keys);
        merge::record(&layer, &mut origins);
    }
    merge::without_nulls(&mut keys);

    // Rules between keys hold for the whole, not only within one source; and what is worth a
    // word is what is in force.
    let whole = lenient::value_at(&Json::Object(keys), Place::START);
    let kept = lenient::keep(WHOLE, whole, Collector::unlimited(WHOLE), Indices::new());
    let placed = kept.findings.into_iter().map(|finding| {
        let of_k3os = |name: &str| k3os.iter().any(|input| input.name == name);
        at_origin(finding, &origins, of_k3os)
    });
    findings.extend(placed);
    let node = serde_json::from_value(Json::Object(kept.keys.clone())).unwrap_or_default();

    let mut seen = HashSet::new();
    findings.retain(|finding| {
        seen.insert((
            finding.file.clone(),
            finding.line,
            finding.column,
            finding.path.clone(),
            finding.message.clone(),
        ))
    });
    for source in &mut sources {
        let own = findings
            .iter()
            .filter(|finding| finding.file == source.name && finding.severity == Severity::Error);
        source.problems = own.map(ToString::to_string).collect();
    }
    // There is always a command line; it is a source where it says something.
    let speaks = |name: &str| origins.values().flatten().any(|one| one.source == name);
    sources.retain(|source| {
        source.name != "cmdline" || !source.problems.is_empty() || speaks(&source.name)
    });
    Effective {
        node,
        keys: kept.keys,
        findings,
        sources,
        origins,
    }
}

fn native_layer(input: &NativeInput, findings: &mut Vec<Finding>) -> (Layer, bool) {
    let mut layer = Layer {
        name: input.name.clone(),
        ..Layer::default()
    };
    let bytes = match &input.content {
        Ok(bytes) => bytes,
        Err(why) => {
            let mut collector = Collector::new(&input.name);
            collector.add(Place::START, "", "unreadable", why.as_str(), None);
            findings.extend(collector.finish());
            return (layer, false);
        }
    };
    let kept = lenient::read(&input.name, bytes);
    findings.extend(kept.findings.into_iter().filter(is_of_one_source));
    if kept.usable {
        layer.keys = kept.keys;
        layer.places = kept.places;
    }
    (layer, kept.usable)
}

/// Whether a finding about one source stands whatever the others say.
fn is_of_one_source(finding: &Finding) -> bool {
    finding.severity == Severity::Error || OF_ONE_SOURCE.contains(&finding.code)
}

/// Puts a finding about the whole where the source in force has the key.
fn at_origin(
    finding: Finding,
    origins: &BTreeMap<String, Vec<Origin>>,
    of_k3os: impl Fn(&str) -> bool,
) -> Finding {
    let mut key = finding.path.as_str();
    let origin = loop {
        if let Some(origin) = origins.get(key).and_then(|all| all.last()) {
            break origin;
        }
        match key.rfind(['.', '[']) {
            Some(at) => key = &key[..at],
            None => return finding,
        }
    };
    let place = origin.place.unwrap_or(Place::START);
    let first = finding.path.split(['.', '[']).next().unwrap_or_default();
    let section = of_k3os(&origin.source) && SECTION.contains(&first);
    Finding {
        file: origin.source.clone(),
        line: place.line,
        column: place.column,
        path: if section {
            format!("k3os.{}", finding.path)
        } else {
            finding.path
        },
        ..finding
    }
}

fn of_k3os(warning: &Warning) -> Finding {
    let place = warning.place.unwrap_or(Place::START);
    // What is lost was meant; what is unknown or there twice may be of another system.
    let severity = match warning.code {
        "unreadable" | "wrong-shape" | "no-text-form" | "not-utf-8" | "not-a-truth-value"
        | "bad-merge" => Severity::Error,
        _ => Severity::Warning,
    };
    Finding {
        file: warning.source.clone(),
        line: place.line,
        column: place.column,
        path: warning.key.clone(),
        severity,
        code: warning.code,
        message: warning.message.clone(),
        hint: None,
    }
}

impl Effective {
    /// The keys that are set, for a person or another program; secrets masked unless they are
    /// to be shown.
    pub fn to_json(&self, show_secrets: bool) -> Json {
        let mut keys = self.keys.clone();
        keys.retain(|_, value| !is_empty(value));
        let whole = Json::Object(keys);
        if show_secrets { whole } else { masked(&whole) }
    }

    /// The same as YAML.
    pub fn to_yaml(&self, show_secrets: bool) -> String {
        crate::render::yaml(&self.to_json(show_secrets))
    }
}

/// All findings of one native file, also those that only show when the worst is left out.
pub(crate) fn findings(name: &str, bytes: &[u8]) -> Vec<Finding> {
    lenient::read(name, bytes).findings
}

/// The same of a value that was read.
pub(crate) fn findings_of(name: &str, node: crate::yaml::Value) -> Vec<Finding> {
    lenient::read_value(node, Collector::unlimited(name), name).findings
}

/// The keys of a node's configuration.
pub(crate) fn known_keys() -> impl Iterator<Item = &'static str> {
    merge::top().keys().map(String::as_str)
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.values().all(is_empty),
        Json::Bool(true) | Json::Number(_) => false,
    }
}
