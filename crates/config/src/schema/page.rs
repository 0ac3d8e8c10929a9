//! The reference page of the definition, made from its schema.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::{Root, alternatives, choices, types};
use crate::{
    Definition, bundle,
    definition::{formats, known_versions},
};

/// The page `docs/reference/definition.md`: every key with its type, default and meaning.
pub fn reference_page() -> String {
    let root = Root::of::<Definition>();
    let mut page = String::from(
        "# lifeboat.yaml\n\nThe definition: what to build and boot. Every key has a default; an empty file builds and boots a single-node cluster. An unknown key or a value of the wrong type is an error with its place.\n\nFor completion and checks in an editor, put this line first: `# yaml-language-server: $schema=definition.json`, with the [schema](schema/definition.json) that `lifeboat schema` prints.\n\nThis page is generated from the types of the parser.\n",
    );
    let sections = root.top().get("properties").and_then(Json::as_object);
    for (name, schema) in sections.into_iter().flatten() {
        let mut rows = Vec::new();
        collect(&root, root.follow(schema), name, &mut rows);
        let _ = write!(
            page,
            "\n## {name}\n\n{}\n\n| Key | Takes | Default | Meaning |\n| --- | --- | --- | --- |\n",
            description(schema)
        );
        for row in rows {
            let _ = writeln!(page, "| {} |", row.join(" | "));
        }
    }
    versions(&mut page);
    page
}

/// One line for each key below `schema`, those of inner mappings after their parent.
fn collect(root: &Root, schema: &Map<String, Json>, path: &str, rows: &mut Vec<[String; 4]>) {
    let properties = schema.get("properties").and_then(Json::as_object);
    let required = schema.get("required").and_then(Json::as_array);
    let required = |key: &str| {
        required.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(key)))
    };
    for (key, property) in properties.into_iter().flatten() {
        let path = format!("{path}.{key}");
        let target = root.follow(property);
        let mut meaning = description(property);
        if meaning.is_empty() {
            // The one key of an alternative carries the alternative's own text.
            meaning = cell(
                schema
                    .get("description")
                    .and_then(Json::as_str)
                    .unwrap_or_default(),
            );
        }
        for choice in alternatives(root, target) {
            let words = choices(choice);
            let says = choice.get("description").and_then(Json::as_str);
            if let (&[word], Some(says)) = (&words[..], says) {
                let word = if word.is_empty() { "\"\"" } else { word };
                let _ = write!(meaning, "<br>`{word}`: {}", cell(says));
            }
        }
        let default = match property.get("default") {
            _ if required(key) => "required".to_owned(),
            Some(Json::Object(map)) if !map.is_empty() => "as below".to_owned(),
            Some(Json::String(text)) if text.is_empty() => "empty".to_owned(),
            Some(Json::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        rows.push([format!("`{path}`"), takes(root, target), default, meaning]);
        if key != "k3os" {
            // Its keys are listed in their other place.
            inner(root, target, &path, rows);
        }
    }
}

/// The mappings inside a schema.
fn inner(root: &Root, schema: &Map<String, Json>, path: &str, rows: &mut Vec<[String; 4]>) {
    for alternative in alternatives(root, schema) {
        if alternative.contains_key("properties") {
            collect(root, alternative, path, rows);
        }
        if let Some(items) = alternative.get("items") {
            inner(root, root.follow(items), &format!("{path}[]"), rows);
        }
        if let Some(values @ Json::Object(_)) = alternative.get("additionalProperties") {
            inner(root, root.follow(values), &format!("{path}.*"), rows);
        }
    }
}

/// What a schema takes, in words.
fn takes(root: &Root, schema: &Map<String, Json>) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut add = |words: String| {
        if !all.contains(&words) {
            all.push(words);
        }
    };
    for alternative in alternatives(root, schema) {
        let words = choices(alternative);
        if !words.is_empty() {
            for word in words {
                let word = if word.is_empty() { "\"\"" } else { word };
                add(format!("`{word}`"));
            }
            continue;
        }
        let format = alternative.get("format").and_then(Json::as_str);
        if let Some(words) = format.and_then(formats::expectation) {
            add(words.to_owned());
            continue;
        }
        match types(alternative).first().copied() {
            Some("array") => {
                let items = alternative.get("items").map(|items| root.follow(items));
                let items = items.map(|items| takes(root, items)).unwrap_or_default();
                add(format!("list: {items}"));
            }
            Some("object") => match alternative.get("additionalProperties") {
                Some(values @ Json::Object(_)) => {
                    add(format!("mapping to {}", takes(root, root.follow(values))));
                }
                _ => add("mapping".to_owned()),
            },
            Some("integer") => add(range(alternative)),
            Some("boolean") => add("true or false".to_owned()),
            _ => add("text".to_owned()),
        }
    }
    all.join(" or ")
}

fn range(schema: &Map<String, Json>) -> String {
    let bound = |key| schema.get(key).and_then(Json::as_u64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("whole number from {least} to {most}"),
        _ => "whole number".to_owned(),
    }
}

fn description(schema: &Json) -> String {
    let text = schema.get("description").and_then(Json::as_str);
    cell(text.unwrap_or_default())
}

/// Text as it may stand in a table's cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn versions(page: &mut String) {
    page.push_str("\n## Kubernetes versions\n\n| Minor | Newest known patch | From Go modules |\n| --- | --- | --- |\n");
    for version in known_versions() {
        let minor = version.minor;
        let modules = version.modules;
        let modules = modules.map_or("no".to_owned(), |patch| format!("1.{minor}.{patch}"));
        let _ = writeln!(
            page,
            "| 1.{minor} | 1.{minor}.{} | {modules} |",
            version.patch
        );
    }
    page.push_str("\n## Bundles\n\n| Bundle | What it is for | Packages | Ports |\n| --- | --- | --- | --- |\n");
    for bundle in bundle::catalogue() {
        let packages: Vec<&str> = bundle
            .packages
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let ports: Vec<String> = bundle
            .ports
            .iter()
            .map(|one| one.port.to_string())
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            bundle.name,
            cell(&bundle.description),
            packages.join(", "),
            ports.join(", ")
        );
    }
}
