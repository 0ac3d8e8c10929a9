//! What keys and types another system's documents have, written in a small notation
//! ([`notation`]), and the check of a document by it.

mod forms;
mod notation;

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::report::join;
use crate::{
    finding::{Place, did_you_mean, nearest},
    yaml::{Data, Kind, Scalar, Value},
};
use forms::{form_words, has_form};

/// A part of a document that is not as its schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::convert) struct Found {
    pub(in crate::convert) path: String,
    pub(in crate::convert) place: Place,
    /// Levels below the value that was checked.
    depth: usize,
    pub(in crate::convert) fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::convert) enum Fault {
    /// Breaks the schema.
    Wrong(String),
    /// A deprecated key or shape.
    Old(String),
    /// A key that the schema does not have.
    Unknown(String),
}

#[derive(Debug, Clone)]
struct Old {
    since: String,
    instead: String,
}

#[derive(Debug, Clone)]
struct Choice(Vec<(Shape, Option<Old>)>);

#[derive(Debug, Clone)]
enum Shape {
    Any,
    Text,
    /// Text of a form with a name.
    Form(String),
    Bool,
    Integer(Option<i128>),
    Number,
    Null,
    List,
    Map,
    /// Exactly this text.
    Word(String),
    /// Exactly this boolean.
    Flag(bool),
    Items {
        of: Box<Choice>,
        least: usize,
        most: usize,
        unique: bool,
    },
    /// Any keys with such values, and how many at least.
    Of(Box<Choice>, usize),
    Object(Object),
    Named(String),
}

#[derive(Debug, Clone, Default)]
struct Object {
    fields: Vec<(String, Field)>,
    open: bool,
    least: usize,
    any_of: Vec<String>,
}

#[derive(Debug, Clone)]
struct Field {
    required: bool,
    choice: Choice,
    old: Option<Old>,
    versions: (u32, u32),
}

/// A schema.
#[derive(Debug, Default)]
pub(in crate::convert) struct Shapes {
    named: HashMap<String, Shape>,
    root: Object,
}

/// What a check needs beside the value.
pub(in crate::convert) struct Options<'a> {
    /// The version of the format, for keys that some versions have.
    pub(in crate::convert) version: u32,
    /// Values of which nothing is known, so that they fit everywhere.
    pub(in crate::convert) opaque: &'a dyn Fn(&Value) -> bool,
    /// Scalars that the format's reader makes a date of: no text then.
    pub(in crate::convert) date: &'a dyn Fn(&Value) -> bool,
    /// Says which version deprecated a form, and what replaces it.
    pub(in crate::convert) old: &'a dyn Fn(&str, &str) -> String,
}

impl Shapes {
    /// The keys of a document.
    #[cfg(test)]
    pub(in crate::convert) fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.fields.iter().map(|(name, _)| name.as_str())
    }

    /// Everything in a document that is not as the schema says.
    pub(in crate::convert) fn check(&self, value: &Value, options: &Options<'_>) -> Vec<Found> {
        Checker::new(self, options).object(&self.root, value, "", 0)
    }

    /// The same for a document that is the shape with this name.
    pub(in crate::convert) fn check_named(
        &self,
        name: &str,
        value: &Value,
        path: &str,
        options: &Options<'_>,
    ) -> Vec<Found> {
        let named = Shape::Named(name.to_owned());
        Checker::new(self, options).shape(&named, value, path, 0)
    }
}

/// Values in one document, or in all parts of a message: each may become an entry of the report.
pub(in crate::convert) const MOST_VALUES: usize = 100_000;

/// What is said of a document with more.
pub(in crate::convert) const TOO_LARGE: &str =
    "holds more values, or longer keys, than can be reported; no node needs so many";

/// How many values a document has; none if they, or the paths of all together, are too many.
pub(in crate::convert) fn values(value: &Value) -> Option<usize> {
    const MOST_BYTES: usize = 16 << 20;
    fn weigh(value: &Value, above: usize, bytes: &mut usize, count: &mut usize) {
        *bytes = bytes.saturating_add(above);
        *count += 1;
        if *bytes > MOST_BYTES || *count > MOST_VALUES {
            return;
        }
        match &value.data {
            Data::List(items) => {
                for item in items {
                    weigh(item, above + 7, bytes, count);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    weigh(&entry.value, above + entry.key.len() + 1, bytes, count);
                }
            }
            Data::Scalar(_) => {}
        }
    }
    let (mut bytes, mut count) = (0, 0);
    weigh(value, 0, &mut bytes, &mut count);
    (bytes <= MOST_BYTES && count <= MOST_VALUES).then_some(count)
}

struct Checker<'a> {
    shapes: &'a Shapes,
    options: &'a Options<'a>,
    /// Unknown keys for which a known one is still looked for.
    guesses: Cell<usize>,
}

impl<'a> Checker<'a> {
    fn new(shapes: &'a Shapes, options: &'a Options<'a>) -> Self {
        Self {
            shapes,
            options,
            guesses: Cell::new(500),
        }
    }
}

impl Checker<'_> {
    fn choice(&self, choice: &Choice, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        if (self.options.opaque)(value) {
            return Vec::new();
        }
        let mut failed = Vec::new();
        // The faults of the shapes that are a list or mapping as the value is.
        let mut alike = Vec::new();
        for (shape, old) in &choice.0 {
            let mut found = self.shape(shape, value, path, depth);
            if found.iter().any(|one| matches!(one.fault, Fault::Wrong(_))) {
                if self.is_alike(shape, value) {
                    alike.push(failed.len());
                }
                failed.push(found);
                continue;
            }
            if let Some(old) = old {
                let message = (self.options.old)(&old.since, &old.instead);
                found.push(Found {
                    path: path.to_owned(),
                    place: value.span.start,
                    depth,
                    fault: Fault::Old(message),
                });
            }
            return found;
        }
        if failed.len() == 1 {
            return failed.remove(0);
        }
        if let [only] = alike[..] {
            return failed.remove(only);
        }
        // Of several shapes the one that went deepest is meant.
        let mut all: Vec<Found> = failed.into_iter().flatten().collect();
        all.retain(|one| matches!(one.fault, Fault::Wrong(_)));
        let deepest = all.iter().map(|one| one.depth).max().unwrap_or(depth);
        if deepest > depth {
            all.retain(|one| one.depth == deepest);
            return all;
        }
        vec![wrong(path, value, depth, &self.expected(choice))]
    }

    fn is_alike(&self, shape: &Shape, value: &Value) -> bool {
        match shape {
            Shape::List | Shape::Items { .. } => matches!(value.data, Data::List(_)),
            Shape::Map | Shape::Of(..) | Shape::Object(_) => matches!(value.data, Data::Map(_)),
            Shape::Named(name) => self
                .shapes
                .named
                .get(name)
                .is_some_and(|shape| self.is_alike(shape, value)),
            _ => false,
        }
    }

    fn shape(&self, shape: &Shape, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        let scalar = match &value.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        };
        let kind = scalar.map(|scalar| scalar.kind);
        let text = scalar.filter(|scalar| {
            matches!(scalar.kind, Kind::Text | Kind::Binary) && !(self.options.date)(value)
        });
        let fits = match shape {
            Shape::Any => true,
            Shape::Text => text.is_some(),
            Shape::Form(form) => text.is_some_and(|scalar| has_form(form, &scalar.text)),
            Shape::Word(word) => text.is_some_and(|scalar| scalar.text == *word),
            Shape::Bool => matches!(kind, Some(Kind::Bool(_))),
            Shape::Flag(flag) => kind == Some(Kind::Bool(*flag)),
            Shape::Integer(least) => match kind {
                Some(Kind::Integer(number)) => least.is_none_or(|least| number >= least),
                _ => false,
            },
            Shape::Number => matches!(kind, Some(Kind::Integer(_) | Kind::Float(_))),
            Shape::Null => kind == Some(Kind::Null),
            Shape::List => matches!(value.data, Data::List(_)),
            Shape::Map => matches!(value.data, Data::Map(_)),
            Shape::Items {
                of,
                least,
                most,
                unique,
            } => {
                let Data::List(items) = &value.data else {
                    return vec![wrong(path, value, depth, "a list")];
                };
                let mut found = Vec::new();
                if items.len() < *least || items.len() > *most {
                    let wanted = match (least, most) {
                        (1, &usize::MAX) => "a list that is not empty".to_owned(),
                        (least, most) if least == most => format!("a list of {least} items"),
                        (least, most) => format!("a list of {least} to {most} items"),
                    };
                    found.push(wrong(path, value, depth, &wanted));
                }
                if *unique && repeated(items) {
                    found.push(wrong(path, value, depth, "a list without repetitions"));
                }
                for (index, item) in items.iter().enumerate() {
                    found.extend(self.choice(of, item, &join(path, index), depth + 1));
                }
                return found;
            }
            Shape::Of(of, least) => {
                let Data::Map(entries) = &value.data else {
                    return vec![wrong(path, value, depth, "a mapping")];
                };
                if entries.len() < *least {
                    return vec![wrong(path, value, depth, "a mapping that is not empty")];
                }
                return entries
                    .iter()
                    .flat_map(|entry| {
                        self.choice(of, &entry.value, &join(path, &entry.key), depth + 1)
                    })
                    .collect();
            }
            Shape::Object(object) => return self.object(object, value, path, depth),
            Shape::Named(name) => {
                return match self.shapes.named.get(name) {
                    Some(shape) => self.shape(shape, value, path, depth),
                    None => Vec::new(),
                };
            }
        };
        if fits {
            Vec::new()
        } else {
            vec![wrong(path, value, depth, &self.words(shape))]
        }
    }

    fn object(&self, object: &Object, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        let Data::Map(entries) = &value.data else {
            return vec![wrong(path, value, depth, "a mapping")];
        };
        let mut found = Vec::new();
        let version = self.options.version;
        let known = |field: &Field| (field.versions.0..=field.versions.1).contains(&version);
        let fields: HashMap<&str, &Field> = object
            .fields
            .iter()
            .filter(|(_, field)| known(field))
            .map(|(name, field)| (name.as_str(), field))
            .collect();
        for (name, field) in &object.fields {
            if field.required && known(field) && value.get(name).is_none() {
                found.push(Found {
                    path: path.to_owned(),
                    place: value.span.start,
                    depth,
                    fault: Fault::Wrong(format!("the key `{name}` is missing")),
                });
            }
        }
        if entries.len() < object.least {
            found.push(wrong(path, value, depth, "a mapping that is not empty"));
        }
        if !object.any_of.is_empty() && !object.any_of.iter().any(|key| value.get(key).is_some()) {
            let wanted = format!(
                "a mapping with one of the keys {}",
                object.any_of.join(", ")
            );
            found.push(wrong(path, value, depth, &wanted));
        }
        for entry in entries {
            let below = join(path, &entry.key);
            let mut add = |fault| {
                found.push(Found {
                    path: below.clone(),
                    place: entry.span.start,
                    depth: depth + 1,
                    fault,
                });
            };
            let Some(field) = fields.get(entry.key.as_str()) else {
                if !object.open {
                    let guess = self.guesses.get() > 0;
                    self.guesses.set(self.guesses.get().saturating_sub(1));
                    let near = guess.then(|| nearest(&entry.key, fields.keys().copied()));
                    let near = did_you_mean(near.flatten());
                    add(Fault::Unknown(format!("unknown key{near}")));
                }
                continue;
            };
            if let Some(old) = &field.old {
                add(Fault::Old((self.options.old)(&old.since, &old.instead)));
            }
            found.extend(self.choice(&field.choice, &entry.value, &below, depth + 1));
        }
        found
    }

    fn expected(&self, choice: &Choice) -> String {
        let mut words: Vec<String> = Vec::new();
        for (shape, _) in &choice.0 {
            let word = self.words(shape);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" or ")
    }

    fn words(&self, shape: &Shape) -> String {
        match shape {
            Shape::Any => "anything".to_owned(),
            Shape::Text => "text".to_owned(),
            Shape::Form(form) => form_words(form).to_owned(),
            Shape::Word(word) => format!("`{word}`"),
            Shape::Bool => "true or false".to_owned(),
            Shape::Flag(flag) => format!("`{flag}`"),
            Shape::Integer(None) => "an integer".to_owned(),
            Shape::Integer(Some(least)) => format!("an integer from {least}"),
            Shape::Number => "a number".to_owned(),
            Shape::Null => "nothing".to_owned(),
            Shape::List | Shape::Items { .. } => "a list".to_owned(),
            Shape::Map | Shape::Of(..) | Shape::Object(_) => "a mapping".to_owned(),
            Shape::Named(name) => match self.shapes.named.get(name) {
                Some(shape) if !matches!(shape, Shape::Named(_)) => self.words(shape),
                _ => name.clone(),
            },
        }
    }
}

fn wrong(path: &str, value: &Value, depth: usize, wanted: &str) -> Found {
    // What was found is described by its type alone: it may be a secret.
    let what = match &value.data {
        Data::List(items) if items.is_empty() => "an empty list",
        Data::List(_) => "a list",
        Data::Map(entries) if entries.is_empty() => "an empty mapping",
        Data::Map(_) => "a mapping",
        Data::Scalar(Scalar { kind, .. }) => match kind {
            Kind::Null => "nothing",
            Kind::Bool(true) => "true",
            Kind::Bool(false) => "false",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Text if wanted.starts_with("text") => "a date; put it in quotes",
            Kind::Text => "text",
            Kind::Binary => "binary data",
        },
    };
    let quote = match &value.data {
        Data::Scalar(Scalar {
            kind: Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_),
            ..
        }) if wanted.starts_with("text") => "; put it in quotes",
        _ => "",
    };
    Found {
        path: path.to_owned(),
        place: value.span.start,
        depth,
        fault: Fault::Wrong(format!("must be {wanted}, found {what}{quote}")),
    }
}

/// Whether two items of a list are the same scalar.
fn repeated(items: &[Value]) -> bool {
    let mut seen = HashSet::new();
    items.iter().any(|item| match &item.data {
        Data::Scalar(scalar) => !seen.insert(scalar.text.as_str()),
        _ => false,
    })
}
