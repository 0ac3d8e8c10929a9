//! Which source set a key, and which it overrode.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Effective, Origin, lenient::SCHEMA, merge};
use crate::{definition::formats, nearest, schema::alternatives};

/// What stands in place of a secret.
const MASK: &str = "********";
/// Flags of k3s whose value is a secret.
const SECRET_FLAGS: [&str; 6] = [
    "token",
    "agent-token",
    "cluster-secret",
    "datastore-endpoint",
    "etcd-s3-access-key",
    "etcd-s3-secret-key",
];

/// A key and who set it. Secrets in it are masked unless it was asked to show them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The key.
    pub key: String,
    /// Its value in force; none if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// The source in force; none if no source says anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Origin>,
    /// The sources that it overrode, the nearest first.
    pub overrode: Vec<Origin>,
}

impl Effective {
    /// Explains `key`, such as `hostname`, `k3os.token` or `labels.region`; of a mapping that
    /// merges key by key each key that some source has set.
    ///
    /// # Errors
    /// If there is no such key: what is wrong with it.
    pub fn explain(&self, key: &str, show_secrets: bool) -> Result<Vec<Explained>, String> {
        let path = key.strip_prefix("k3os.").unwrap_or(key);
        let path = path.strip_prefix("node.").unwrap_or(path);
        let first = path.split(['.', '[']).next().unwrap_or_default();
        if !merge::top().contains_key(first) || first == "k3os" && path == "k3os" {
            let names = merge::top().keys().map(String::as_str);
            let near = crate::finding::did_you_mean(nearest(first, names));
            return Err(format!("there is no key {key:?}{near}"));
        }
        let below = format!("{path}.");
        let mut keys: Vec<&str> = self
            .origins
            .keys()
            .filter(|known| **known == path || known.starts_with(&below))
            .map(String::as_str)
            .collect();
        if keys.is_empty() {
            // An entry of a mapping, or an item of a list, comes with the whole of it.
            keys.push(path);
        }
        let several = keys.len() > 1;
        // A section that was erased as a whole says so at each of its keys.
        keys.retain(|known| !several || *known != path);
        Ok(keys
            .into_iter()
            .map(|known| self.explain_one(known, show_secrets))
            .collect())
    }

    fn explain_one(&self, path: &str, show_secrets: bool) -> Explained {
        let mut named = path;
        let origins = loop {
            if let Some(origins) = self.origins.get(named) {
                break origins.as_slice();
            }
            match named.rfind(['.', '[']) {
                Some(at) => named = &named[..at],
                None => break &[],
            }
        };
        let shown = |value: &Json, path: &str| {
            if show_secrets {
                value.clone()
            } else {
                masked_at(value, path)
            }
        };
        let whole = self.to_json(show_secrets);
        let mut origins: Vec<Origin> = origins
            .iter()
            .map(|origin| Origin {
                value: origin.value.as_ref().map(|value| shown(value, named)),
                ..origin.clone()
            })
            .collect();
        let set_by = origins.pop();
        origins.reverse();
        Explained {
            key: path.to_owned(),
            value: at(&whole, path).cloned(),
            set_by,
            overrode: origins,
        }
    }
}

impl Explained {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = self.key.clone();
        match &self.value {
            Some(value) => {
                let _ = writeln!(text, ": {value}");
            }
            None => text.push_str(" is not set\n"),
        }
        let place = |origin: &Origin| match origin.place {
            Some(place) => format!("{}:{}:{}", origin.source, place.line, place.column),
            None => origin.source.clone(),
        };
        let Some(set_by) = &self.set_by else {
            text.push_str("  no source sets it\n");
            return text;
        };
        let verb = if set_by.erased { "erased by" } else { "set by" };
        let _ = writeln!(text, "  {verb} {}", place(set_by));
        for origin in &self.overrode {
            let _ = write!(text, "  overrides {}", place(origin));
            if let Some(value) = &origin.value {
                let _ = write!(text, ": {value}");
            } else if origin.erased {
                text.push_str(", which erased it");
            }
            text.push('\n');
        }
        text
    }
}

fn at<'a>(json: &'a Json, path: &str) -> Option<&'a Json> {
    if path.is_empty() {
        return Some(json);
    }
    if let Json::Object(map) = json {
        if let Some(value) = map.get(path) {
            return Some(value);
        }
        // Keys may hold dots: the longest that fits.
        return map.iter().rev().find_map(|(key, value)| {
            let rest = path.strip_prefix(key.as_str())?;
            match rest.strip_prefix('.') {
                Some(rest) => at(value, rest),
                None => rest.starts_with('[').then(|| at(value, rest))?,
            }
        });
    }
    let rest = path.strip_prefix('[')?;
    let (index, rest) = rest.split_once(']')?;
    let item = json.get(index.parse::<usize>().ok()?)?;
    at(item, rest.strip_prefix('.').unwrap_or(rest))
}

/// A configuration with its secrets masked.
pub fn masked(node: &Json) -> Json {
    mask(SCHEMA.top(), node)
}

fn masked_at(value: &Json, path: &str) -> Json {
    let mut whole = value.clone();
    for key in path.rsplit('.') {
        whole = Json::Object(Map::from_iter([(key.to_owned(), whole)]));
    }
    at(&masked(&whole), path).cloned().unwrap_or(Json::Null)
}

fn mask(schema: &'static Map<String, Json>, value: &Json) -> Json {
    let all = alternatives(&SCHEMA, schema);
    match value {
        Json::Object(map) => {
            let inner = |key: &str| {
                all.iter().find_map(|one| {
                    let properties = one.get("properties").and_then(|all| all.get(key));
                    let others = one.get("additionalProperties");
                    properties.or(others).map(|schema| SCHEMA.follow(schema))
                })
            };
            let mapped = map.iter().map(|(key, value)| {
                let value = match inner(key) {
                    Some(schema) => mask(schema, value),
                    None => value.clone(),
                };
                (key.clone(), value)
            });
            Json::Object(mapped.collect())
        }
        Json::Array(items) => {
            let inner = all.iter().find_map(|one| one.get("items"));
            let inner = inner.map(|schema| SCHEMA.follow(schema));
            let format = inner.and_then(|schema| schema.get("format"));
            if format.and_then(Json::as_str) == Some("argument") {
                return arguments(items);
            }
            let mapped = items.iter().map(|item| match inner {
                Some(schema) => mask(schema, item),
                None => item.clone(),
            });
            Json::Array(mapped.collect())
        }
        Json::String(text) if !text.is_empty() && all.iter().any(|one| formats::is_secret(one)) => {
            Json::from(MASK)
        }
        other => other.clone(),
    }
}

/// Arguments of k3s: the values of flags that are secrets.
fn arguments(items: &[Json]) -> Json {
    let mut after_flag = false;
    let mapped = items.iter().map(|item| {
        let text = item.as_str().unwrap_or_default();
        if std::mem::take(&mut after_flag) {
            return Json::from(MASK);
        }
        let bare = text.trim_start_matches('-');
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (bare, None),
        };
        let secret = text.starts_with('-')
            && (SECRET_FLAGS.contains(&name) || text.starts_with("-t") && name == "t");
        match (secret, value) {
            (true, Some(_)) => {
                Json::from(format!("{}{name}={MASK}", &text[..text.len() - bare.len()]))
            }
            (true, None) => {
                after_flag = true;
                item.clone()
            }
            (false, _) => item.clone(),
        }
    });
    Json::Array(mapped.collect())
}
