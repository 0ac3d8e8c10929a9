//! How layers merge: keys replace; mappings whose keys are fixed (`install`, `network`, …) merge
//! key by key; null erases.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Origin, lenient::SCHEMA};
use crate::{finding::Place, schema::alternatives};

/// One source's keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// Its name.
    pub name: String,
    /// The keys.
    pub keys: Map<String, Json>,
    /// Where they are.
    pub places: BTreeMap<String, Place>,
}

/// The keys of the node's configuration.
pub(super) fn top() -> &'static Map<String, Json> {
    static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
    let properties = SCHEMA.top().get("properties").and_then(Json::as_object);
    properties.unwrap_or(&NONE)
}

/// The keys of a mapping that merges key by key; none for anything else.
pub(super) fn structure(schema: &'static Json) -> Option<&'static Map<String, Json>> {
    let all = alternatives(&SCHEMA, SCHEMA.follow(schema));
    match all.as_slice() {
        [one] => one.get("properties").and_then(Json::as_object),
        _ => None,
    }
}

/// Puts `over` on top of `base`. Nulls stay, so that a merged layer erases what either did.
pub(super) fn merge(
    properties: &'static Map<String, Json>,
    base: &mut Map<String, Json>,
    over: &Map<String, Json>,
) {
    for (key, value) in over {
        let inner = properties.get(key).and_then(structure);
        match (inner, base.get_mut(key), value) {
            (Some(inner), Some(Json::Object(base)), Json::Object(over)) => {
                merge(inner, base, over);
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Removes the keys that are null.
pub(super) fn without_nulls(map: &mut Map<String, Json>) {
    map.retain(|_, value| !value.is_null());
    for value in map.values_mut() {
        if let Json::Object(inner) = value {
            without_nulls(inner);
        }
    }
}

/// Notes which source set which key.
pub(super) fn record(layer: &Layer, origins: &mut BTreeMap<String, Vec<Origin>>) {
    record_keys(top(), &layer.keys, "", layer, origins);
}

fn record_keys(
    properties: &'static Map<String, Json>,
    keys: &Map<String, Json>,
    prefix: &str,
    layer: &Layer,
    origins: &mut BTreeMap<String, Vec<Origin>>,
) {
    for (key, value) in keys {
        let path = format!("{prefix}{key}");
        match (properties.get(key).and_then(structure), value) {
            (Some(inner), Json::Object(map)) => {
                record_keys(inner, map, &format!("{path}."), layer, origins);
            }
            (inner, value) => {
                let origin = Origin {
                    source: layer.name.clone(),
                    place: layer.places.get(&path).copied(),
                    value: Some(value.clone()).filter(|value| !value.is_null()),
                    erased: value.is_null(),
                };
                if inner.is_some() && value.is_null() {
                    // The whole section is erased, and so is each key that is set in it.
                    let below = format!("{path}.");
                    for (key, list) in origins.iter_mut() {
                        if key.starts_with(&below) {
                            list.push(origin.clone());
                        }
                    }
                }
                origins.entry(path).or_default().push(origin);
            }
        }
    }
}
