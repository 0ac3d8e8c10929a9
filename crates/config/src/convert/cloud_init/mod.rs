//! cloud-init's user data: one cloud-config, or a MIME message of several parts.

mod commands;
mod coreos;
mod files;
mod keys;
mod merge;
mod mime;
mod parts;
mod system;
mod template;
#[cfg(test)]
mod tests;
mod unpack;
mod users;

use std::{collections::HashSet, sync::OnceLock};

use serde_json::{Map, Value as Json};

pub(super) use files::absolute;

use super::{
    Converted,
    report::{Report, Status, join},
    shapes::{Fault, MOST_VALUES, Options, Shapes, TOO_LARGE, values},
};
use crate::{
    finding::Place,
    yaml::{
        Data, Kind, Scalar, Value,
        legacy::{Dialect, read_noting},
    },
};

/// The first line of a cloud-config.
const HEADER: &str = "#cloud-config";

/// Says what becomes of a document's keys, and collects what is carried over.
struct Out<'a> {
    report: &'a mut Report,
    /// The path of the document: empty, or `part.3`.
    prefix: String,
    /// Paths that are invalid or obsolete: no other word about them.
    settled: HashSet<String>,
    node: Map<String, Json>,
    /// Lines before the document, while its places count from its own first one.
    before: usize,
    /// Values of the documents so far.
    values: usize,
}

impl<'a> Out<'a> {
    fn new(report: &'a mut Report, prefix: &str) -> Self {
        Self {
            report,
            prefix: prefix.to_owned(),
            settled: HashSet::new(),
            node: Map::new(),
            before: 0,
            values: 0,
        }
    }

    fn say(&mut self, status: Status, path: &str, place: Place, message: impl Into<String>) {
        let path = if path.is_empty() {
            self.prefix.clone()
        } else {
            join(&self.prefix, path)
        };
        match status {
            Status::Invalid | Status::Obsolete => {
                self.settled.insert(path.clone());
            }
            Status::Translated if self.settled.contains(&path) => return,
            _ => {}
        }
        let place = Place {
            line: place.line + self.before,
            ..place
        };
        self.report.add(status, &path, place, message);
    }

    fn translated(&mut self, path: &str, place: Place, message: impl Into<String>) {
        self.say(Status::Translated, path, place, message);
    }

    fn unsupported(&mut self, path: &str, place: Place, message: impl Into<String>) {
        self.say(Status::Unsupported, path, place, message);
    }

    /// Adds items to a list of the node configuration.
    fn push(&mut self, key: &str, item: impl Into<Json>) {
        let list = self
            .node
            .entry(key)
            .or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(list) = list {
            list.push(item.into());
        }
    }

    fn set(&mut self, key: &str, value: impl Into<Json>) {
        self.node.insert(key.to_owned(), value.into());
    }
}

/// Converts user data.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let unpacked = match unpack::unpacked(bytes) {
        Ok(unpacked) => unpacked,
        Err(message) => return Report::unreadable(file, Place::START, message),
    };
    if mime::is_message(&unpacked) {
        return merge::message(file, &unpacked);
    }
    let mut report = Report::new(file);
    let header = match header(&unpacked) {
        Ok(header) => header,
        Err(message) => return Report::unreadable(file, Place::START, message),
    };
    let mut out = Out::new(&mut report, "");
    if let Some(value) = document(&mut out, &unpacked, header) {
        keys::translate(&value, &mut out);
        out.report.cover("", &value);
    }
    let node = out.node;
    report.finish(node)
}

/// How a cloud-config begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Plain,
    Template,
}

fn first_line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
    (String::from_utf8_lossy(line).trim_end().to_owned(), rest)
}

/// What the first lines say. The error says what is wrong with them.
fn header(bytes: &[u8]) -> Result<Header, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (first, rest) = first_line(bytes);
    if is_template(&first) {
        let (second, _) = first_line(rest);
        return if second.eq_ignore_ascii_case(HEADER) {
            Ok(Header::Template)
        } else {
            Err(format!(
                "the line after `## template: jinja` must be `{HEADER}`"
            ))
        };
    }
    if first.eq_ignore_ascii_case(HEADER) {
        return Ok(Header::Plain);
    }
    let lower = first.trim_start().to_lowercase();
    let kinds = [
        (
            "#!",
            "; this is a script: write it as a file with `write_files` and run it with `run_cmd`",
        ),
        (
            "#include",
            "; this is a list of addresses, and nothing is fetched: convert what they hold",
        ),
        (
            "#cloud-config-archive",
            "; this is an archive: convert its items one by one",
        ),
        (
            "#cloud-config-jsonp",
            "; this is a JSON patch of another part: apply it there",
        ),
        (
            "#cloud-boothook",
            "; this is a boothook: write it as a file with `write_files` and run it with `boot_cmd`",
        ),
        (
            "#part-handler",
            "; this is code for cloud-init itself, which does not run here",
        ),
        (
            "## template:",
            "; of templates only `## template: jinja` may stand before it",
        ),
        (HEADER, "; nothing may follow it in that line"),
        ("# cloud-config", "; without a blank after `#`"),
    ];
    let why = kinds
        .iter()
        .find(|(start, _)| lower.starts_with(start))
        .map_or("; without it cloud-init ignores the file", |(_, why)| why);
    Err(format!("the first line must be `{HEADER}`{why}"))
}

fn is_template(line: &str) -> bool {
    let lower = line.to_lowercase();
    let kind = lower
        .strip_prefix("##")
        .and_then(|rest| rest.trim_start().strip_prefix("template:"));
    kind.is_some_and(|kind| kind.trim() == "jinja")
}

/// Reads and checks a cloud-config. None if there is nothing to translate.
fn document(out: &mut Out<'_>, bytes: &[u8], header: Header) -> Option<Value> {
    let masked = match (header, std::str::from_utf8(bytes)) {
        (Header::Template, Ok(text)) => template::mask(text),
        _ => template::Masked::default(),
    };
    let template = header == Header::Template && !masked.text.is_empty();
    let text = if template {
        masked.text.as_bytes()
    } else {
        bytes
    };
    let (mut value, notes) = match read_noting(text, Dialect::Python) {
        Ok(read) => read,
        Err(flaw) => {
            if masked.found {
                let message = "cannot be read before the template is rendered: run `cloud-init devel render` on a machine that it is for, and convert the result";
                out.unsupported("", flaw.place, message);
            } else {
                out.say(Status::Invalid, "", flaw.place, flaw.message);
            }
            return None;
        }
    };
    if value.is_null() {
        return None;
    }
    if !matches!(value.data, Data::Map(_)) {
        let message = format!("must be a mapping of keys, found {}", found(&value));
        out.say(Status::Invalid, "", value.span.start, message);
        return None;
    }
    out.values += match values(&value) {
        Some(count) if out.values + count <= MOST_VALUES => count,
        _ => {
            out.say(Status::Invalid, "", value.span.start, TOO_LARGE);
            out.values = MOST_VALUES + 1;
            return None;
        }
    };
    let written = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = written.lines().collect();
    for note in notes {
        let path = note.path.join(".");
        out.unsupported(&path, note.place, note.message);
    }
    if template {
        masked.mark(&mut value);
        name_templates(&mut value, &lines, out, "");
    }
    check(&value, &lines, out);
    shift(&mut value, out.before);
    out.before = 0;
    Some(value)
}

/// Moves all places down.
fn shift(value: &mut Value, lines: usize) {
    value.span.start.line += lines;
    match &mut value.data {
        Data::List(items) => items.iter_mut().for_each(|item| shift(item, lines)),
        Data::Map(entries) => {
            for entry in entries {
                entry.span.start.line += lines;
                shift(&mut entry.value, lines);
            }
        }
        Data::Scalar(_) => {}
    }
}

/// What is written at a place, as far as it is looked at.
fn written<'a>(lines: &[&'a str], place: Place) -> &'a str {
    // A document in one line would be walked from its start for each of its values.
    const FARTHEST: usize = 2000;
    let line = lines.get(place.line - 1).copied().unwrap_or_default();
    if place.column > FARTHEST {
        return "";
    }
    let start = line.char_indices().nth(place.column - 1);
    start.map_or("", |(at, _)| &line[at..])
}

/// What a value is, without its text.
fn found(value: &Value) -> &'static str {
    match &value.data {
        Data::List(_) => "a list",
        Data::Map(_) => "a mapping",
        Data::Scalar(_) => "a single value",
    }
}

/// Reports the values that hold templates, and gives keys that do their names back.
fn name_templates(value: &mut Value, lines: &[&str], out: &mut Out<'_>, path: &str) {
    let place = value.span.start;
    if template::is_marked(value) {
        out.unsupported(
            path,
            place,
            "depends on a template, which is not rendered here; write the value out",
        );
    }
    match &mut value.data {
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                name_templates(item, lines, out, &join(path, index));
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                if entry.key.contains(template::MARK) {
                    let length = entry.key.chars().count();
                    let letters = written(lines, entry.span.start).chars();
                    entry.key = letters.take(length).collect();
                }
                name_templates(&mut entry.value, lines, out, &join(path, &entry.key));
            }
        }
        Data::Scalar(_) => {}
    }
}

fn schema() -> &'static Shapes {
    static SCHEMA: OnceLock<Shapes> = OnceLock::new();
    // A test reads it, so that no line of it can be wrong here.
    SCHEMA.get_or_init(|| Shapes::parse(include_str!("schema.txt")).unwrap_or_default())
}

/// Reports what cloud-init's schema says about a document.
fn check(value: &Value, lines: &[&str], out: &mut Out<'_>) {
    let date = |value: &Value| is_date(value, lines);
    let old = |since: &str, instead: &str| match since {
        "2018" => format!(
            "of coreos-cloudinit, which Ignition has replaced (last release in 2018); use {instead}"
        ),
        since => format!("deprecated since cloud-init {since}; use {instead}"),
    };
    let options = Options {
        version: 0,
        opaque: &template::is_marked,
        date: &date,
        old: &old,
    };
    let found = schema().check(value, &options);
    let mut users = std::collections::HashSet::new();
    for one in found {
        // Of a wrong item cloud-init's validator names the item as well.
        if let Fault::Wrong(_) = one.fault
            && let Some((index, _)) = one
                .path
                .strip_prefix("chpasswd.users.")
                .and_then(|rest| rest.split_once('.'))
            && users.insert(index.to_owned())
        {
            let path = format!("chpasswd.users.{index}");
            out.say(
                Status::Invalid,
                &path,
                one.place,
                "is no user with a password".to_owned(),
            );
        }
        let (status, message) = match one.fault {
            Fault::Wrong(message) => (Status::Invalid, message),
            Fault::Old(message) => (Status::Obsolete, message),
            Fault::Unknown(message) => (
                Status::Unsupported,
                keys::foreign(&one.path).map_or(message, str::to_owned),
            ),
        };
        out.say(status, &one.path, one.place, message);
    }
}

/// Whether `PyYAML` makes a date of a scalar: one without quotes.
fn is_date(value: &Value, lines: &[&str]) -> bool {
    let Data::Scalar(Scalar {
        text,
        kind: Kind::Text,
    }) = &value.data
    else {
        return false;
    };
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let day = bytes.len() >= 10
        && digits(0..4)
        && bytes[4] == b'-'
        && digits(5..7)
        && bytes[7] == b'-'
        && digits(8..10);
    let time = bytes.len() == 10
        || matches!(bytes.get(10), Some(b'T' | b't' | b' ' | b'\t')) && text[10..].contains(':');
    if !day
        || !time
        || !bytes[10..]
            .iter()
            .all(|byte| b"0123456789TtZz:.+- \t".contains(byte))
    {
        return false;
    }
    written(lines, value.span.start).starts_with(text.as_str())
}

/// The text of a value that is one and holds no template.
fn text(value: &Value) -> Option<&str> {
    match &value.data {
        Data::Scalar(Scalar {
            text,
            kind: Kind::Text,
        }) if !template::is_marked(value) => Some(text),
        _ => None,
    }
}

/// A number or text as text.
fn text_or_number(value: &Value) -> Option<String> {
    match &value.data {
        Data::Scalar(Scalar {
            kind: Kind::Integer(number),
            ..
        }) => Some(number.to_string()),
        _ => text(value).map(str::to_owned),
    }
}

fn flag(value: &Value) -> Option<bool> {
    match &value.data {
        Data::Scalar(Scalar {
            kind: Kind::Bool(flag),
            ..
        }) => Some(*flag),
        _ => None,
    }
}

/// The value of a key, under a spelling or an older one.
fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).or_else(|| value.get(&key.replace('_', "-")))
}
