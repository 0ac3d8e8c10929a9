//! A document as a tree whose nodes know their path in the source.
//!
//! Butane's sugar is turned into nodes of Ignition that keep the path of what they stand for,
//! so that one set of rules reports about both formats in the words of the document.

use super::report::join;
use crate::{
    finding::Place,
    yaml::{self, Kind, Scalar, Value},
};

/// A value with its path and place in the source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its path in the source.
    pub(crate) path: String,
    /// Its place in the source; of a value under a key, the key's place.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Null, or nothing.
    Null,
    /// Of a wrong type, and reported already: no rule speaks about it again.
    Bad,
    /// As it was read, before its type is checked.
    Raw(Scalar),
    /// Text.
    Text(String),
    /// A boolean.
    Truth(bool),
    /// A number, and how it is written.
    Number(i64, String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the source.
    Map(Vec<(String, Node)>),
}

/// Values in one document.
const MOST_VALUES: usize = 150_000;
/// Bytes of the paths of all values together: each node holds its own.
const MOST_PATHS: usize = 32 << 20;

/// Whether a document is small enough to be made a tree; an error says why not.
pub(crate) fn fits(value: &Value) -> Result<(), String> {
    let (mut values, mut paths) = (0, 0);
    measure(value, 0, &mut values, &mut paths);
    if values > MOST_VALUES {
        Err(format!("the file holds more than {MOST_VALUES} values"))
    } else if paths > MOST_PATHS {
        Err("the keys of the file are too long, or too deeply nested".to_owned())
    } else {
        Ok(())
    }
}

fn measure(value: &Value, path: usize, values: &mut usize, paths: &mut usize) {
    *values += 1;
    *paths += path;
    if *values > MOST_VALUES || *paths > MOST_PATHS {
        return;
    }
    match &value.data {
        yaml::Data::List(items) => {
            for item in items {
                measure(item, path + 7, values, paths);
            }
        }
        yaml::Data::Map(entries) => {
            for entry in entries {
                measure(&entry.value, path + entry.key.len() + 1, values, paths);
            }
        }
        yaml::Data::Scalar(_) => {}
    }
}

/// An empty node, for what is not there.
static NOTHING: Node = Node {
    path: String::new(),
    place: Place::START,
    data: Data::Null,
};

impl Node {
    /// A node at `path`.
    pub(crate) fn new(path: impl Into<String>, place: Place, data: Data) -> Self {
        Self {
            path: path.into(),
            place,
            data,
        }
    }

    /// A tree of a document that was read.
    pub(crate) fn from_value(path: &str, place: Place, value: Value) -> Self {
        let data = match value.data {
            yaml::Data::Scalar(Scalar {
                kind: Kind::Null, ..
            }) => Data::Null,
            yaml::Data::Scalar(scalar) => Data::Raw(scalar),
            yaml::Data::List(items) => Data::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(number, item)| {
                        let place = item.span.start;
                        Self::from_value(&join(path, number), place, item)
                    })
                    .collect(),
            ),
            yaml::Data::Map(entries) => Data::Map(
                entries
                    .into_iter()
                    .map(|entry| {
                        let path = join(path, &entry.key);
                        let node = Self::from_value(&path, entry.span.start, entry.value);
                        (entry.key, node)
                    })
                    .collect(),
            ),
        };
        Self::new(path, place, data)
    }

    /// Leaves out the items of lists that are null, as go-yaml does; the others keep their paths.
    pub(crate) fn drop_nulls(&mut self) {
        match &mut self.data {
            Data::List(items) => {
                items.retain(|item| item.data != Data::Null);
                items.iter_mut().for_each(Self::drop_nulls);
            }
            Data::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.drop_nulls()),
            _ => {}
        }
    }

    /// The value under a key, unless it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node)
                .filter(|node| node.data != Data::Null),
            _ => None,
        }
    }

    /// The value under a key; an empty one if there is none.
    pub(crate) fn below(&self, key: &str) -> &Self {
        self.get(key).unwrap_or(&NOTHING)
    }

    /// Takes the value under a key out of this map.
    pub(crate) fn take(&mut self, key: &str) -> Option<Self> {
        let Data::Map(entries) = &mut self.data else {
            return None;
        };
        let number = entries.iter().position(|(name, _)| name == key)?;
        let (_, node) = entries.remove(number);
        (node.data != Data::Null).then_some(node)
    }

    /// Puts a value under a key of this map, in place of what is there.
    pub(crate) fn put(&mut self, key: &str, node: Self) {
        self.take(key);
        if let Data::Map(entries) = &mut self.data {
            entries.push((key.to_owned(), node));
        }
    }

    /// The entries of a map; none if this is none.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of the list under a key; none if there is none.
    pub(crate) fn list(&self, key: &str) -> &[Self] {
        match self.get(key).map(|node| &node.data) {
            Some(Data::List(items)) => items,
            _ => &[],
        }
    }

    /// The value under a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.data {
            Data::Map(entries) => entries
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of this node.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text under a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_text)
    }

    /// The text under a key, unless it is empty.
    pub(crate) fn filled(&self, key: &str) -> Option<&str> {
        self.text(key).filter(|text| !text.is_empty())
    }

    /// The number under a key.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        match self.get(key).map(|node| &node.data) {
            Some(Data::Number(number, _)) => Some(*number),
            _ => None,
        }
    }

    /// The boolean under a key.
    pub(crate) fn truth(&self, key: &str) -> Option<bool> {
        match self.get(key).map(|node| &node.data) {
            Some(Data::Truth(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// Whether the boolean under a key is there and true.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.truth(key) == Some(true)
    }

    /// Whether the value under a key was reported as of a wrong type.
    pub(crate) fn is_bad(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| node.data == Data::Bad)
    }

    /// Whether there is anything in it: keys, items, or a scalar.
    pub(crate) fn is_filled(&self) -> bool {
        match &self.data {
            Data::Null => false,
            Data::List(items) => !items.is_empty(),
            Data::Map(entries) => entries.iter().any(|(_, node)| node.is_filled()),
            _ => true,
        }
    }

    /// What it is, for messages.
    pub(crate) fn described(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Raw(scalar) => match scalar.kind {
                Kind::Null => "nothing",
                Kind::Bool(_) => "a boolean",
                Kind::Integer(_) => "a number",
                Kind::Float(_) => "a number with a fraction",
                Kind::Text => "text",
                Kind::Binary => "binary data",
            },
            Data::Bad | Data::Text(_) => "text",
            Data::Truth(_) => "a boolean",
            Data::Number(..) => "a number",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}
