//! Checks values against a schema and finds everything that is wrong, not only the first.
//!
//! The keywords are those that schemars writes for our types; see [`Checker::check`].

use serde_json::{Map, Value as Json};

use super::{Root, alternatives, choices, types};
use crate::{
    definition::formats,
    finding::{Collector, Place, did_you_mean, listed, nearest, shown},
    yaml::{Data, Entry, Kind, Scalar, Value},
};

/// Why a key that exists elsewhere (such as in k3OS) is not taken at a path.
pub(crate) type Reserved<'a> = dyn Fn(&str, &str) -> Option<String> + 'a;

/// Checks `value`; returns it as JSON in the form that the types read, if nothing was found
/// that stands in the way of that.
pub(crate) fn check(
    root: &Root,
    value: &Value,
    reserved: &Reserved<'_>,
    findings: &mut Collector,
) -> Option<Json> {
    let mut checker = Checker {
        root,
        reserved,
        findings,
    };
    if value.is_null() {
        return Some(Json::Object(Map::new()));
    }
    checker.check(root.top(), value, &Path::default())
}

/// The key path of a value.
#[derive(Debug, Default, Clone)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn key(&self, key: &str) -> Self {
        let simple = key
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '/'));
        let key = if simple && !key.is_empty() {
            key.to_owned()
        } else {
            shown(key)
        };
        match self.0.as_str() {
            "" => Self(key),
            parent => Self(format!("{parent}.{key}")),
        }
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&Path> for String {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}

struct Checker<'a> {
    root: &'a Root,
    reserved: &'a Reserved<'a>,
    findings: &'a mut Collector,
}

impl<'a> Checker<'a> {
    fn check(&mut self, schema: &'a Map<String, Json>, value: &Value, path: &Path) -> Option<Json> {
        if is_anything(schema) {
            return Some(plain(value));
        }
        let all = alternatives(self.root, schema);
        let words: Vec<&str> = all.iter().flat_map(|one| choices(one)).collect();
        if let Data::Scalar(scalar) = &value.data
            && words.contains(&scalar.text.as_str())
        {
            return Some(Json::String(scalar.text.clone()));
        }
        let open = all.iter().filter(|one| choices(one).is_empty());
        let fitting = open.clone().find(|one| fits(one, value)).copied();
        match (fitting, &value.data) {
            (Some(schema), Data::Map(entries)) => self.map(schema, value, entries, path),
            (Some(schema), Data::List(items)) => self.list(schema, value, items, path),
            (Some(schema), Data::Scalar(scalar)) => self.scalar(schema, value, scalar, path),
            (None, Data::Scalar(scalar)) if !words.is_empty() && !value.is_null() => {
                self.choice(&words, value, scalar, path);
                None
            }
            (None, _) => {
                let open: Vec<_> = open.copied().collect();
                self.wrong_type(&open, &words, value, path);
                None
            }
        }
    }

    fn map(
        &mut self,
        schema: &'a Map<String, Json>,
        value: &Value,
        entries: &[Entry],
        path: &Path,
    ) -> Option<Json> {
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        let properties = schema.get("properties").and_then(Json::as_object);
        let properties = properties.unwrap_or(&NONE);
        let others = match schema.get("additionalProperties") {
            Some(Json::Bool(false)) => None,
            Some(schema) => Some(self.root.follow(schema)),
            None if properties.is_empty() => Some(&*NONE),
            None => None,
        };
        let names = schema.get("propertyNames").map(|one| self.root.follow(one));
        let mut whole = true;
        let mut json = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let path = path.key(&entry.key);
            let known = properties.get(&entry.key).map(|one| self.root.follow(one));
            if known.is_some() && entry.value.is_null() {
                continue; // `node:` with nothing below it is the default.
            }
            if let (None, Some(names)) = (known, names) {
                whole &= self.key_name(names, entry, &path);
            }
            let Some(schema) = known.or(others) else {
                meant.extend(self.unknown_key(properties, entry, &path));
                continue;
            };
            match self.check(schema, &entry.value, &path) {
                Some(value) => {
                    json.insert(entry.key.clone(), value);
                }
                None => whole = false,
            }
        }
        let required = schema.get("required").and_then(Json::as_array);
        for name in required.into_iter().flatten().filter_map(Json::as_str) {
            if value.get(name).is_none_or(Value::is_null) {
                whole = false;
                if meant.contains(&name) {
                    continue; // Its misspelling was found already.
                }
                let known = properties.keys().map(String::as_str);
                self.add(
                    value.span.start,
                    path,
                    "missing-key",
                    format!("the key {name:?} is missing"),
                    Some(format!("keys here: {}", listed(known))),
                );
            }
        }
        whole.then_some(Json::Object(json))
    }

    fn key_name(&mut self, names: &Map<String, Json>, entry: &Entry, path: &Path) -> bool {
        let Some(format) = names.get("format").and_then(Json::as_str) else {
            return true;
        };
        match formats::check(format, &entry.key) {
            Err(refusal) => {
                let place = entry.span.start;
                self.add(place, path, "bad-value", refusal.message, refusal.hint);
                false
            }
            Ok(()) => true,
        }
    }

    /// Reports a key that is not known; returns the one that was meant, if it can be guessed.
    fn unknown_key<'k>(
        &mut self,
        known: &'k Map<String, Json>,
        entry: &Entry,
        path: &Path,
    ) -> Option<&'k str> {
        let parent = path
            .0
            .strip_suffix(&Path::default().key(&entry.key).0)
            .unwrap_or_default()
            .trim_end_matches('.');
        let (place, key) = (entry.span.start, entry.key.as_str());
        if let Some(why) = (self.reserved)(parent, key) {
            self.add(place, path, "unsupported-key", why, None);
            return None;
        }
        let names = || known.keys().map(String::as_str);
        let mut message = format!("unknown key {}", shown(key));
        let mut hint = Some(format!("known keys here: {}", listed(names())));
        let meant = nearest(key, names());
        if let Some(section) = self.section_of(key).filter(|section| section != parent) {
            message = format!("{message} here; it belongs under `{section}`");
            hint = Some(format!("write it as `{section}: {{{key}: …}}`"));
        } else if meant.is_some() {
            message += &did_you_mean(meant);
        } else if key == "<<" {
            hint = Some("merge keys are not part of YAML 1.2; write the keys out".to_owned());
        }
        self.add(place, path, "unknown-key", message, hint);
        meant
    }

    /// The top-level mapping that has `key`.
    fn section_of(&self, key: &str) -> Option<String> {
        let sections = self.root.top().get("properties")?.as_object()?;
        let has = |schema: &Json| {
            let properties = self.root.follow(schema).get("properties");
            properties.is_some_and(|properties| properties.get(key).is_some())
        };
        let found = sections
            .iter()
            .find(|(name, schema)| *name != "k3os" && has(schema));
        found.map(|(name, _)| name.clone())
    }

    fn list(
        &mut self,
        schema: &'a Map<String, Json>,
        value: &Value,
        items: &[Value],
        path: &Path,
    ) -> Option<Json> {
        let least = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
        if (items.len() as u64) < least {
            let message = format!("needs at least {least} item");
            self.add(value.span.start, path, "bad-value", message, None);
            return None;
        }
        let Some(inner) = schema.get("items").map(|one| self.root.follow(one)) else {
            return Some(items.iter().map(plain).collect());
        };
        let checked: Vec<Option<Json>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.check(inner, item, &path.index(index)))
            .collect();
        checked
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(Json::Array)
    }

    fn scalar(
        &mut self,
        schema: &Map<String, Json>,
        value: &Value,
        scalar: &Scalar,
        path: &Path,
    ) -> Option<Json> {
        let place = value.span.start;
        if types(schema).contains(&"string") {
            if let Some(format) = schema.get("format").and_then(Json::as_str)
                && let Err(refusal) = formats::check(format, &scalar.text)
            {
                self.add(place, path, "bad-value", refusal.message, refusal.hint);
                return None;
            }
            return Some(Json::String(scalar.text.clone()));
        }
        match scalar.kind {
            Kind::Bool(value) => Some(Json::Bool(value)),
            Kind::Float(value) => serde_json::Number::from_f64(value).map(Json::Number),
            Kind::Integer(number) => {
                let bound = |key| schema.get(key).and_then(Json::as_f64);
                #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
                let at = number as f64;
                let least = bound("minimum").filter(|least| at < *least);
                let most = bound("maximum").filter(|most| at > *most);
                let message = match (least, most) {
                    (Some(least), _) => format!("must be at least {least}, found {number}"),
                    (_, Some(most)) => format!("must be at most {most}, found {number}"),
                    _ => match i64::try_from(number) {
                        Ok(number) => return Some(Json::from(number)),
                        Err(_) => format!("{number} is too large"),
                    },
                };
                self.add(place, path, "out-of-range", message, None);
                None
            }
            Kind::Null | Kind::Text | Kind::Binary => None,
        }
    }

    fn choice(&mut self, words: &[&str], value: &Value, scalar: &Scalar, path: &Path) {
        let near = did_you_mean(nearest(&scalar.text, words.iter().copied()));
        let message = format!(
            "unknown choice {}; choices: {}{near}",
            shown(&scalar.text),
            listed(words)
        );
        self.add(value.span.start, path, "unknown-choice", message, None);
    }

    fn wrong_type(
        &mut self,
        open: &[&Map<String, Json>],
        words: &[&str],
        value: &Value,
        path: &Path,
    ) {
        let mut expected: Vec<String> = Vec::new();
        if !words.is_empty() {
            expected.push(format!("one of {}", listed(words)));
        }
        for schema in open {
            let name = expectation(schema);
            if !expected.contains(&name) {
                expected.push(name);
            }
        }
        let secret = open.iter().any(|schema| formats::is_secret(schema));
        let found = match &value.data {
            Data::Scalar(_) if secret => "something else".to_owned(),
            _ => value.described(),
        };
        let name = path.0.rsplit('.').next().unwrap_or_default();
        // An item of a list has no key of its own to repeat.
        let written = |value: &str| {
            if name.ends_with(']') {
                format!("`{value}`")
            } else {
                format!("`{name}: {value}`")
            }
        };
        let takes = |wanted: &str| open.iter().any(|one| types(one).contains(&wanted));
        let hint = match &value.data {
            Data::Scalar(Scalar { kind, text }) => match kind {
                Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_) if takes("string") && !secret => {
                    Some(format!("quote it: {}", written(&format!("\"{text}\""))))
                }
                Kind::Text if takes("integer") && text.parse::<i64>().is_ok() => {
                    Some(format!("remove the quotes: {}", written(text)))
                }
                Kind::Text if takes("boolean") => Some("write true or false".to_owned()),
                Kind::Text | Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_)
                    if takes("array") && !secret =>
                {
                    Some(format!("make it a list: {}", written(&format!("[{text}]"))))
                }
                Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_) if secret => {
                    Some("put it in quotes".to_owned())
                }
                _ => None,
            },
            Data::List(items) if takes("string") && items.len() == 1 => {
                Some("write the item without the list".to_owned())
            }
            _ => None,
        };
        let message = format!("must be {}, found {found}", expected.join(" or "));
        self.add(value.span.start, path, "wrong-type", message, hint);
    }

    fn add(
        &mut self,
        place: Place,
        path: &Path,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        self.findings.add(place, path, code, message, hint);
    }
}

/// Whether a schema lets everything through: a part of a document that is not ours.
fn is_anything(schema: &Map<String, Json>) -> bool {
    let says = [
        "type",
        "properties",
        "additionalProperties",
        "items",
        "anyOf",
        "oneOf",
        "enum",
        "const",
    ];
    !says.iter().any(|key| schema.contains_key(*key))
}

/// A value as it is written.
fn plain(value: &Value) -> Json {
    match &value.data {
        Data::List(items) => items.iter().map(plain).collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), plain(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        Data::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(value),
            // Beyond any number of Kubernetes: its text is what can be kept of it.
            Kind::Integer(number) => {
                i64::try_from(number).map_or_else(|_| Json::from(&*scalar.text), Json::from)
            }
            Kind::Float(number) => serde_json::Number::from_f64(number)
                .map_or_else(|| Json::from(&*scalar.text), Json::Number),
            Kind::Text | Kind::Binary => Json::from(&*scalar.text),
        },
    }
}

/// Whether a value has the shape that a schema wants.
fn fits(schema: &Map<String, Json>, value: &Value) -> bool {
    let types = types(schema);
    let takes = |wanted: &[&str]| types.is_empty() || types.iter().any(|one| wanted.contains(one));
    match &value.data {
        Data::Map(_) => takes(&["object"]),
        Data::List(_) => takes(&["array"]),
        Data::Scalar(scalar) => match scalar.kind {
            Kind::Null => takes(&["null"]),
            Kind::Bool(_) => takes(&["boolean"]),
            Kind::Integer(_) => takes(&["integer", "number"]),
            Kind::Float(_) => takes(&["number"]),
            Kind::Text | Kind::Binary => takes(&["string"]),
        },
    }
}

/// What a schema wants, in words.
fn expectation(schema: &Map<String, Json>) -> String {
    if let Some(words) = schema
        .get("format")
        .and_then(Json::as_str)
        .and_then(formats::expectation)
    {
        return words.to_owned();
    }
    match types(schema).first().copied() {
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some("object") => "a mapping",
        _ => "something else",
    }
    .to_owned()
}
