//! Where secrets are in a node's configuration, by its schema.

use serde_json::{Map, Value as Json};

use crate::{
    definition::formats,
    finding::Place,
    layers::SCHEMA,
    schema::{alternatives, check::Path},
    yaml::{Data, Value},
};

/// The paths and places of all secrets in `node`.
pub(super) fn find(node: &Value, prefix: &str, found: &mut Vec<(String, Place)>) {
    let before = found.len();
    walk(SCHEMA.top(), node, &Path::default(), found);
    for (path, _) in &mut found[before..] {
        path.insert_str(0, prefix);
    }
}

fn walk(
    schema: &'static Map<String, Json>,
    value: &Value,
    path: &Path,
    found: &mut Vec<(String, Place)>,
) {
    let all = alternatives(&SCHEMA, schema);
    match &value.data {
        Data::Map(entries) => {
            for entry in entries {
                let inner = all.iter().find_map(|one| {
                    let properties = one.get("properties").and_then(|all| all.get(&entry.key));
                    let others = one.get("additionalProperties");
                    properties.or(others)
                });
                if let Some(inner) = inner {
                    let path = path.key(&entry.key);
                    walk(SCHEMA.follow(inner), &entry.value, &path, found);
                }
            }
        }
        Data::List(items) => {
            let Some(inner) = all.iter().find_map(|one| one.get("items")) else {
                return;
            };
            for (index, item) in items.iter().enumerate() {
                walk(SCHEMA.follow(inner), item, &path.index(index), found);
            }
        }
        Data::Scalar(scalar) => {
            // Arguments are kept from sight as they may hold secrets; most do not.
            let secret = |one: &&Map<String, Json>| {
                let format = one.get("format").and_then(Json::as_str);
                format != Some("argument") && formats::is_secret(one)
            };
            let locked = matches!(scalar.text.as_str(), "" | "*" | "!");
            if !locked && !value.is_null() && all.iter().any(secret) {
                found.push((path.as_str().to_owned(), value.span.start));
            }
        }
    }
}
