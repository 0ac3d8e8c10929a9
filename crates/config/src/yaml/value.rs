//! The values of a YAML document.

use crate::finding::Place;

/// Where a value begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first character.
    pub start: Place,
    /// The place after the last character.
    pub end: Place,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Where it is; for what comes through an alias, where the anchor is.
    pub span: Span,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Text, number, boolean or null.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key is.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// A scalar with its source text.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text as written for plain scalars, else without quotes and with escapes resolved.
    pub text: String,
    /// What the core schema makes of it.
    pub kind: Kind,
}

/// The types of the core schema (YAML 1.2.2, chapter 10.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Integer(i128),
    /// A number with a fraction or exponent.
    Float(f64),
    /// Anything else, and all that is quoted.
    Text,
    /// Bytes that are not UTF-8, as `!!binary` gives them; the text is their base64. Only the
    /// lenient reader makes it.
    Binary,
}

impl Value {
    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The list's items; none if this is no list.
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(
            self.data,
            Data::Scalar(Scalar {
                kind: Kind::Null,
                ..
            })
        )
    }

    /// What it is, for messages: `the number 12`, `a list`.
    pub(crate) fn described(&self) -> String {
        match &self.data {
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a mapping".to_owned(),
            Data::Scalar(scalar) => match scalar.kind {
                Kind::Null => "nothing".to_owned(),
                Kind::Bool(value) => format!("the boolean {value}"),
                Kind::Integer(_) | Kind::Float(_) => format!("the number {}", scalar.text),
                Kind::Binary => "binary data".to_owned(),
                Kind::Text => format!("the text {}", crate::finding::shown(&scalar.text)),
            },
        }
    }
}
