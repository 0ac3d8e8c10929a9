//! Ignition's JSON, spec 3.0 to 3.6, each by its own rules.

pub(crate) mod data_url;
mod resource;
pub(crate) mod rules;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod translate;
mod unit;
mod url;

use serde_json::Map;

use super::{
    Converted, json,
    report::{Report, join},
    tree::{Data, Node, fits},
};
use crate::{
    finding::{Place, shown},
    yaml::Value,
};

/// The newest minor version of spec 3 that is not experimental.
pub(crate) const NEWEST: u8 = 6;

/// Converts a document.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let (value, duplicates) = match json::read(bytes) {
        Ok(read) => read,
        Err(flaw) => return Report::unreadable(file, flaw.place, flaw.message),
    };
    if !matches!(value.data, crate::yaml::Data::Map(_)) {
        return Report::unreadable(
            file,
            value.span.start,
            format!(
                "an Ignition document is a JSON object, but this is {}",
                value.described()
            ),
        );
    }
    if let Err(message) = fits(&value) {
        return Report::unreadable(file, value.span.start, message);
    }
    let mut report = Report::new(file);
    for duplicate in duplicates {
        let path = duplicate
            .path
            .iter()
            .fold(String::new(), |path, key| join(&path, key));
        report.translated(
            &path,
            duplicate.place,
            "the key is there twice; the last one counts, as in Ignition",
        );
    }
    let Some(spec) = version(&value, &mut report) else {
        rest_is_not_read(&value, &mut report);
        report.cover("", &value);
        return report.finish(Map::new());
    };
    let mut root = Node::from_value("", Place::START, value.clone());
    let dialect = schema::Dialect {
        spec,
        names: schema::Names::Camel,
        sections: &[],
    };
    schema::check(&mut root, dialect, &mut report);
    rules::check(&root, spec, schema::Names::Camel, &mut report);
    let node = translate::translate(&root, spec, schema::Names::Camel, &mut report);
    report.cover("", &value);
    report.finish(node)
}

fn rest_is_not_read(value: &Value, report: &mut Report) {
    let crate::yaml::Data::Map(entries) = &value.data else {
        return;
    };
    // Only the version was looked at so far.
    let spoken: Vec<String> = report
        .entries()
        .iter()
        .map(|known| known.path.split('.').next().unwrap_or_default().to_owned())
        .collect();
    for entry in entries {
        if !spoken.contains(&entry.key) {
            report.unsupported(
                &entry.key,
                entry.span.start,
                "is not read without a version of the spec that is known",
            );
        }
    }
}

/// The minor version of spec 3; anything else is reported.
fn version(value: &Value, report: &mut Report) -> Option<u8> {
    if let Some(entry) = value.entry("ignitionVersion") {
        report.invalid(
            "ignitionVersion",
            entry.span.start,
            "is Ignition spec 1, which Ignition itself has not read since version 2.0; write spec 3: `\"ignition\": {\"version\": \"3.4.0\"}`, with files under `storage.files`",
        );
        return None;
    }
    let path = "ignition.version";
    let Some(section) = value.entry("ignition") else {
        report.invalid(
            path,
            value.span.start,
            "the version of the spec is missing: `\"ignition\": {\"version\": \"3.4.0\"}`",
        );
        return None;
    };
    if !matches!(section.value.data, crate::yaml::Data::Map(_)) && !section.value.is_null() {
        report.invalid(
            "ignition",
            section.span.start,
            format!("must be a map, but is {}", section.value.described()),
        );
        return None;
    }
    let Some(entry) = section
        .value
        .entry("version")
        .filter(|entry| !entry.value.is_null())
    else {
        report.invalid(
            path,
            section.span.start,
            "the version of the spec is missing, such as \"3.4.0\"",
        );
        return None;
    };
    let node = Node::from_value(path, entry.span.start, entry.value.clone());
    let Data::Raw(scalar) = &node.data else {
        report.invalid(path, node.place, "must be text such as \"3.4.0\"");
        return None;
    };
    if scalar.kind != crate::yaml::Kind::Text {
        report.invalid(
            path,
            node.place,
            format!(
                "must be text such as \"3.4.0\", but is {}",
                node.described()
            ),
        );
        return None;
    }
    match judge(&scalar.text) {
        Ok(spec) => Some(spec),
        Err(message) => {
            report.invalid(path, node.place, message);
            None
        }
    }
}

/// The minor version of spec 3, or why a version is not read.
fn judge(text: &str) -> Result<u8, String> {
    let Some((major, minor)) = semantic(text) else {
        return Err(format!(
            "{} is no version: it has three numbers, such as 3.4.0",
            shown(text)
        ));
    };
    if let Some(spec) = (0..=NEWEST).find(|spec| text == format!("3.{spec}.0")) {
        return Ok(spec);
    }
    Err(match major {
        1 => {
            "is Ignition spec 1, which Ignition itself has not read since version 2.0; write spec 3"
                .to_owned()
        }
        2 => format!(
            "is Ignition spec 2 ({}), which Ignition has not read since version 2.0; rewrite it as spec 3, for instance by ign-converter: networkd units become files in /etc/systemd/network, `append` becomes `merge`, file systems are named by their path",
            shown(text)
        ),
        3 if text.contains('-') => format!(
            "{} is an experimental version, which changes without notice; use 3.{NEWEST}.0",
            shown(text)
        ),
        3 if minor > i64::from(NEWEST) => format!(
            "{} is not known; the newest version is 3.{NEWEST}.0",
            shown(text)
        ),
        _ => format!(
            "{} is no version of Ignition's spec; known are 3.0.0 to 3.{NEWEST}.0",
            shown(text)
        ),
    })
}

/// Major and minor number of a semantic version.
pub(crate) fn semantic(text: &str) -> Option<(i64, i64)> {
    let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
    let (text, release) = text.split_once('-').unwrap_or((text, ""));
    let identifier = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    if !identifier(metadata) || !identifier(release) {
        return None;
    }
    let numbers: Vec<i64> = text
        .splitn(3, '.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    match numbers.as_slice() {
        [major, minor, _] => Some((*major, *minor)),
        _ => None,
    }
}
