//! Collects the keys of the node configuration that a conversion gives.

use serde_json::{Map, Value as Json};

use super::report::Report;
use crate::finding::Place;

/// Where a key or item comes from.
#[derive(Debug, Clone)]
struct Origin {
    /// `write_files`, `systemd.units`, `hostname`.
    key: &'static str,
    /// The item of a list.
    number: Option<usize>,
    path: String,
    place: Place,
}

/// The node configuration while it is made.
#[derive(Debug, Default)]
pub(crate) struct Native {
    node: Map<String, Json>,
    origins: Vec<Origin>,
}

/// How often what the strict parser refuses is taken out before the rest is left as it is.
const MOST_ROUNDS: usize = 50;

impl Native {
    /// Adds an item to a list; `key` is that of the list, such as `systemd.units`.
    pub(crate) fn push(&mut self, key: &'static str, item: Json, path: &str, place: Place) {
        let list = list(&mut self.node, key);
        self.origins.push(Origin {
            key,
            number: Some(list.len()),
            path: path.to_owned(),
            place,
        });
        list.push(item);
    }

    /// Sets a key that holds one value.
    pub(crate) fn set(&mut self, key: &'static str, value: Json, path: &str, place: Place) {
        self.origins.push(Origin {
            key,
            number: None,
            path: path.to_owned(),
            place,
        });
        self.node.insert(key.to_owned(), value);
    }

    /// The keys; what a strict node configuration does not take is taken out and reported.
    pub(crate) fn finish(mut self, report: &mut Report) -> Map<String, Json> {
        for _ in 0..MOST_ROUNDS {
            let json = serde_json::to_string(&self.node).unwrap_or_default();
            let json = crate::render::yaml_safe(&json);
            if json.len() > crate::yaml::MOST_BYTES {
                report.unsupported(
                    "",
                    Place::START,
                    format!(
                        "the node configuration has {} bytes, of which at most {} are read; keep large files on a server, or make them part of the image",
                        json.len(),
                        crate::yaml::MOST_BYTES
                    ),
                );
                break;
            }
            let Err(findings) = crate::parse_node("", json.as_bytes()) else {
                break;
            };
            let mut refused: Vec<(usize, String)> = findings
                .0
                .iter()
                .filter_map(|finding| Some((self.origin(&finding.path)?, finding.message.clone())))
                .collect();
            refused.sort();
            refused.dedup_by_key(|(number, _)| *number);
            if refused.is_empty() {
                break;
            }
            for (number, message) in refused.into_iter().rev() {
                let origin = self.origins.remove(number);
                self.remove(&origin);
                report.take_back(&origin.path);
                if report.is_spoiled(&origin.path) {
                    continue;
                }
                report.unsupported(
                    &origin.path,
                    origin.place,
                    format!(
                        "the node configuration does not take it as `{}`: {message}",
                        origin.key
                    ),
                );
            }
        }
        self.node
    }

    /// Which origin a finding at `write_files[3].path` has.
    fn origin(&self, path: &str) -> Option<usize> {
        // Keys are judged where they are used: a line that is no key harms nobody.
        if path.starts_with("ssh_authorized_keys") {
            return None;
        }
        self.origins.iter().position(|origin| {
            let Some(rest) = path.strip_prefix(origin.key) else {
                return false;
            };
            match origin.number {
                None => rest.is_empty() || rest.starts_with(['.', '[']),
                Some(number) => rest
                    .strip_prefix(&format!("[{number}]"))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
            }
        })
    }

    fn remove(&mut self, gone: &Origin) {
        let Some(number) = gone.number else {
            self.node.remove(gone.key);
            return;
        };
        let list = list(&mut self.node, gone.key);
        if number < list.len() {
            list.remove(number);
        }
        let empty = list.is_empty();
        for origin in &mut self.origins {
            if origin.key == gone.key
                && let Some(later) = origin.number.as_mut().filter(|later| **later > number)
            {
                *later -= 1;
            }
        }
        if empty {
            let top = gone.key.split('.').next().unwrap_or_default();
            self.node.remove(top);
        }
    }
}

/// The list under a key of one or two parts, made if it is not there.
fn list<'a>(node: &'a mut Map<String, Json>, key: &str) -> &'a mut Vec<Json> {
    let (top, below) = key.split_once('.').unwrap_or((key, ""));
    let mut value = node.entry(top).or_insert_with(|| {
        if below.is_empty() {
            Json::Array(Vec::new())
        } else {
            Json::Object(Map::new())
        }
    });
    if !below.is_empty() {
        if !value.is_object() {
            *value = Json::Object(Map::new());
        }
        value = &mut value[below];
    }
    if !value.is_array() {
        *value = Json::Array(Vec::new());
    }
    match value {
        Json::Array(list) => list,
        _ => unreachable!("it was made a list just now"),
    }
}

/// A word for a shell, quoted where it needs to be.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=+@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A file of `write_files`, its content as text where it can be read as such.
pub(crate) fn file(path: &str, content: &[u8], owner: &str, permissions: &str) -> Json {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut file = Map::new();
    file.insert("path".to_owned(), path.into());
    let readable = |text: &&str| {
        text.chars()
            .all(|letter| letter == '\n' || letter == '\t' || !letter.is_control())
    };
    if let Some(text) = std::str::from_utf8(content).ok().filter(readable) {
        file.insert("content".to_owned(), text.into());
    } else {
        file.insert("encoding".to_owned(), "base64".into());
        file.insert("content".to_owned(), STANDARD.encode(content).into());
    }
    file.insert("owner".to_owned(), owner.into());
    file.insert("permissions".to_owned(), permissions.into());
    Json::Object(file)
}
