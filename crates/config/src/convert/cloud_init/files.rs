//! `write_files`.

use serde_json::{Value as Json, json};

use super::{Out, flag, mime, template, text};
use crate::{
    Mode, Owner,
    convert::report::join,
    finding::Place,
    yaml::{Data, Kind, Scalar, Value},
};

pub(super) fn translate(value: &Value, path: &str, out: &mut Out<'_>) {
    for (index, item) in value.items().iter().enumerate() {
        if matches!(item.data, Data::Map(_)) {
            one(item, &join(path, index), out);
        }
    }
}

/// An absolute path as Python's `abspath` makes it for a process that works in `/`.
pub(in crate::convert) fn absolute(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let clean = !parts.is_empty() && !path.contains(char::is_control);
    clean.then(|| format!("/{}", parts.join("/")))
}

fn one(item: &Value, here: &str, out: &mut Out<'_>) {
    let place = item.span.start;
    let Some((path_at, path_place, path)) = child(item, here, "path") else {
        return;
    };
    if ["path", "content"]
        .iter()
        .any(|key| item.get(key).is_some_and(template::is_marked))
    {
        out.unsupported(
            here,
            place,
            "its path or content depends on a template; write them out",
        );
        return;
    }
    let Some(wanted) = text(path) else { return };
    let Some(path) = absolute(wanted) else {
        out.unsupported(&path_at, path_place, "not the path of a file");
        out.unsupported(here, place, "has no path that can be used");
        return;
    };
    let mut refused = elsewhere(item, here, out);
    let encoding = child(item, here, "encoding").and_then(|(_, _, value)| text(value));
    let content = match child(item, here, "content") {
        Some((at, place, value)) => match content(value, encoding) {
            Ok(content) => content,
            Err(message) => {
                out.unsupported(&at, place, message);
                refused = Some("its content cannot be used");
                (String::new(), "")
            }
        },
        None => (String::new(), ""),
    };
    if let Some((at, place, value)) = child(item, here, "defer") {
        let message = if flag(value) == Some(true) {
            "files are written at each boot, before services start and `run_cmd` runs"
        } else {
            ""
        };
        out.translated(&at, place, message);
    }
    if let Some(why) = refused {
        out.unsupported(here, place, format!("not written: {why}"));
        return;
    }
    let mut file = json!({ "path": path, "content": content.0 });
    if !content.1.is_empty() {
        file["encoding"] = json!(content.1);
    }
    ownership(item, here, &mut file, out);
    out.push("write_files", file);
    let message = if path == wanted.as_bytes().escape_ascii().to_string() {
        "written at each boot".to_owned()
    } else {
        format!("written at each boot, to {path}")
    };
    out.translated(here, place, message);
}

/// A key of a file that holds something, with its path and place.
fn child<'a>(item: &'a Value, here: &str, key: &str) -> Option<(String, Place, &'a Value)> {
    item.entry(key)
        .filter(|entry| !entry.value.is_null())
        .map(|entry| (join(here, key), entry.span.start, &entry.value))
}

/// Why a file is not written as it is given: it is appended, or comes from the network.
fn elsewhere(item: &Value, here: &str, out: &mut Out<'_>) -> Option<&'static str> {
    let mut refused = None;
    if let Some((at, place, value)) = child(item, here, "append") {
        if flag(value) == Some(true) {
            refused = Some("would be appended to a file, and files are written as a whole");
            out.unsupported(
                &at,
                place,
                "files are written as a whole: give the whole content, or append with a command in `boot_cmd`",
            );
        } else {
            out.translated(&at, place, "");
        }
    }
    if let Some((at, place, value)) = child(item, here, "source") {
        refused = Some("its content comes from the network");
        let uri = value.get("uri").and_then(text).unwrap_or_default();
        let message = if uri.starts_with("http://") || uri.starts_with("https://") {
            "the hash of what is fetched is not known: write `source: {url, sha256}` in the node configuration"
        } else {
            "nothing is fetched from there: write the content, or `source: {url, sha256}` with a http or https URL"
        };
        out.unsupported(&at, place, message);
    }
    refused
}

/// Mode and owner.
fn ownership(item: &Value, here: &str, file: &mut Json, out: &mut Out<'_>) {
    if let Some((at, place, value)) = child(item, here, "permissions")
        && let Some(mode) = text(value)
    {
        // Python reads `755`, `0755` and `0o755` alike; ours wants three digits at least.
        let digits = mode
            .trim()
            .trim_start_matches("0o")
            .trim_start_matches("0O");
        let padded = format!("{:0>4}", digits.trim_start_matches('0'));
        match padded.parse::<Mode>() {
            Ok(mode) if !digits.is_empty() => {
                file["permissions"] = Json::String(mode.to_string());
            }
            _ => out.unsupported(&at, place, "not an octal mode; the file gets 0644"),
        }
    }
    if let Some((at, place, value)) = child(item, here, "owner")
        && let Some(owner) = text(value)
    {
        match owner.trim().parse::<Owner>() {
            Ok(owner) => file["owner"] = Json::String(owner.to_string()),
            Err(_) => out.unsupported(&at, place, "not an owner; the file belongs to root"),
        }
    }
}

/// The content and its encoding as Lifeboat has them.
fn content(value: &Value, encoding: Option<&str>) -> Result<(String, &'static str), &'static str> {
    let Data::Scalar(Scalar { text, kind }) = &value.data else {
        return Err("is no text");
    };
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    let packed = matches!(
        encoding.as_str(),
        "gz" | "gzip" | "gz+base64" | "gzip+base64" | "gz+b64" | "gzip+b64"
    );
    let coded = encoding.ends_with("64");
    match (kind, coded) {
        // `!!binary` undoes one base64, the encoding another.
        (Kind::Binary, true) => Err("is base64 of base64, and not text in between"),
        (Kind::Binary, false) => Ok((text.clone(), if packed { "gzip+base64" } else { "base64" })),
        (Kind::Text, true) => {
            if mime::base64(text.as_bytes()).is_none() {
                return Err("is not base64");
            }
            Ok((text.clone(), if packed { "gzip+base64" } else { "base64" }))
        }
        (Kind::Text, false) if packed => {
            Err("cannot be gzip: YAML holds text; write it as base64, with `gz+b64`")
        }
        (Kind::Text, false) => Ok((text.clone(), "")),
        _ => Err("is no text"),
    }
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn paths_are_made_absolute_and_stay_below_the_root() {
        assert_eq!(absolute("/a//b/./c/../d").as_deref(), Some("/a/b/d"));
        assert_eq!(absolute("etc/x").as_deref(), Some("/etc/x"));
        assert_eq!(absolute("/../../x").as_deref(), Some("/x"));
        assert_eq!(absolute("/"), None);
        assert_eq!(absolute(""), None);
        assert_eq!(absolute("/a\0b"), None);
    }
}
