//! Scripts of other systems, kept as a file and a command.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

/// When the mark is set that keeps a script from running again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Before it runs: one try.
    First,
    /// After it has run without an error.
    Success,
}

/// A script that runs at each boot, or once per node with a mark.
pub(super) fn keep(
    node: &mut Map<String, Json>,
    name: &str,
    content: &[u8],
    key: &str,
    mark: Option<Mark>,
) {
    const FOLDER: &str = "/var/lib/lifeboat/scripts";
    let path = format!("{FOLDER}/{name}");
    let mut file = json!({ "path": path, "permissions": "0700" });
    if let Ok(text) = std::str::from_utf8(content) {
        file["content"] = json!(text);
    } else {
        file["content"] = json!(STANDARD.encode(content));
        file["encoding"] = json!("base64");
    }
    let command = match mark {
        None => path.clone(),
        Some(Mark::First) => format!("test -e {path}.done || {{ touch {path}.done; {path}; }}"),
        Some(Mark::Success) => format!("test -e {path}.done || {{ {path} && touch {path}.done; }}"),
    };
    push(node, "write_files", file);
    push(node, key, json!(command));
}

fn push(node: &mut Map<String, Json>, key: &str, item: Json) {
    let list = node.entry(key).or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(list) = list {
        list.push(item);
    }
}
