//! The JSON schema of the definition. It is what the parser checks against, so it is true.

pub(crate) mod check;
pub(crate) mod page;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json};

use crate::Definition;

/// The JSON schema (2020-12) of the definition, for editors and other programs.
pub fn schema() -> Json {
    let mut schema = Root::of::<Definition>().0;
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "Lifeboat definition".into());
    }
    schema
}

/// A whole schema with its `$defs`.
pub(crate) struct Root(Json);

impl Root {
    /// The schema of a type.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let generator = SchemaSettings::draft2020_12().into_generator();
        Self(generator.into_root_schema_for::<T>().to_value())
    }

    /// The schema itself, references followed.
    pub(crate) fn top(&self) -> &Map<String, Json> {
        self.follow(&self.0)
    }

    /// The schema that `schema` stands for.
    pub(crate) fn follow<'a>(&'a self, schema: &'a Json) -> &'a Map<String, Json> {
        static ANYTHING: std::sync::LazyLock<Map<String, Json>> =
            std::sync::LazyLock::new(Map::new);
        let Some(object) = schema.as_object() else {
            return &ANYTHING;
        };
        let target = object
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| self.0.pointer(pointer));
        match target {
            Some(target) => self.follow(target),
            None => object,
        }
    }
}

/// The types that a schema lets through; empty for any.
pub(crate) fn types(schema: &Map<String, Json>) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words that a schema lists as its choices.
pub(crate) fn choices(schema: &Map<String, Json>) -> Vec<&str> {
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        return vec![word];
    }
    let listed = schema.get("enum").and_then(Json::as_array);
    listed
        .map(|words| words.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default()
}

/// The alternatives of a schema without `null`, references followed; itself if it has none.
pub(crate) fn alternatives<'a>(
    root: &'a Root,
    schema: &'a Map<String, Json>,
) -> Vec<&'a Map<String, Json>> {
    let listed = ["anyOf", "oneOf"]
        .into_iter()
        .find_map(|key| schema.get(key).and_then(Json::as_array));
    let Some(listed) = listed else {
        return vec![schema];
    };
    listed
        .iter()
        .map(|one| root.follow(one))
        .filter(|one| types(one) != ["null"])
        .flat_map(|one| alternatives(root, one))
        .collect()
}
