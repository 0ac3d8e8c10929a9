//! From the bytes of a file to typed values, with everything that is wrong with it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Definition, Finding, Findings, NodeConfig, definition,
    finding::{Collector, Place, Severity},
    fold,
    schema::{
        Root,
        check::{Reserved, check},
    },
    yaml::{self, Value},
};

/// Reads a definition. `file` is its name in messages. An empty file is a whole definition.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Definition, Findings> {
    without_warnings(parse_with_warnings(file, bytes))
}

/// Reads a definition as [`parse`] does; also returns what is not wrong, yet worth a word.
///
/// # Errors
/// Everything that is wrong, and the warnings, in the order of the file.
pub fn parse_with_warnings(
    file: &str,
    bytes: &[u8],
) -> Result<(Definition, Vec<Finding>), Findings> {
    let mut findings = Collector::new(file);
    let read = yaml::read(bytes, &mut findings).and_then(|mut value| {
        fold::definition(&mut value, &mut findings);
        typed(value, &mut findings, &definition::reserved_keys)
    });
    if let Some((definition, value)) = &read {
        definition::rules::definition(definition, value, &mut findings);
    }
    finish(read, findings)
}

/// Reads a node configuration: the `node` mapping of a definition as a file of its own, YAML or
/// the JSON of [`NodeConfig::to_json`]. `file` is its name in messages.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse_node(file: &str, bytes: &[u8]) -> Result<NodeConfig, Findings> {
    without_warnings(parse_node_with_warnings(file, bytes))
}

/// Reads a node configuration as [`parse_node`] does; also returns what is not wrong, yet worth
/// a word.
///
/// # Errors
/// Everything that is wrong, and the warnings, in the order of the file.
pub fn parse_node_with_warnings(
    file: &str,
    bytes: &[u8],
) -> Result<(NodeConfig, Vec<Finding>), Findings> {
    let mut findings = Collector::new(file);
    let read = yaml::read(bytes, &mut findings).and_then(|mut value| {
        fold::node(&mut value, "", &mut findings);
        typed(value, &mut findings, &reserved_in_node)
    });
    if let Some((node, value)) = &read {
        definition::rules::node(node, value, "", &mut findings);
    }
    finish(read, findings)
}

/// The keys that a node's own file may not have, and why.
pub(crate) fn reserved_in_node(path: &str, key: &str) -> Option<String> {
    let path = if path.is_empty() { "node" } else { path };
    definition::reserved_keys(path, key)
}

/// Reads any type by its own schema, strictly. The bundles are read this way.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn read<T: DeserializeOwned + JsonSchema>(file: &str, bytes: &[u8]) -> Result<T, Findings> {
    let mut findings = Collector::new(file);
    let read = yaml::read(bytes, &mut findings)
        .and_then(|value| typed(value, &mut findings, &|_, _| None));
    without_warnings(finish(read, findings))
}

/// A finding about a value that only a later step can judge, such as a package that no archive
/// has: at the place of `path` (`image.packages[2]`) in the file that was read, or of its nearest
/// parent that is written.
pub fn finding_at(
    file: &str,
    bytes: &[u8],
    path: &str,
    code: &'static str,
    message: String,
    hint: Option<String>,
) -> Finding {
    let place = yaml::read(bytes, &mut Collector::new(file)).map_or(Place::START, |root| {
        definition::rules::place_of(&root, path)
    });
    Finding {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        path: path.to_owned(),
        severity: Severity::Error,
        code,
        message,
        hint,
    }
}

fn typed<T: DeserializeOwned + JsonSchema>(
    value: Value,
    findings: &mut Collector,
    reserved: &Reserved<'_>,
) -> Option<(T, Value)> {
    let json = check(&Root::of::<T>(), &value, reserved, findings)?;
    match serde_json::from_value(json) {
        Ok(typed) => Some((typed, value)),
        Err(error) => {
            // The schema and the types come from one source; what the schema lets through and
            // the types do not is still a finding of the user's file.
            findings.add(Place::START, "", "bad-value", error.to_string(), None);
            None
        }
    }
}

fn finish<T>(read: Option<(T, Value)>, findings: Collector) -> Result<(T, Vec<Finding>), Findings> {
    match read {
        Some((typed, _)) if findings.is_empty() => Ok((typed, findings.finish())),
        _ => Err(Findings(findings.finish())),
    }
}

fn without_warnings<T>(read: Result<(T, Vec<Finding>), Findings>) -> Result<T, Findings> {
    match read {
        Ok((typed, _)) => Ok(typed),
        Err(Findings(mut findings)) => {
            findings.retain(|finding| finding.severity == Severity::Error);
            Err(Findings(findings))
        }
    }
}
