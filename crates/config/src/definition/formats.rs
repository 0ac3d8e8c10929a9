//! The formats of text values: what the schema calls `format`, and what checks it.

use serde_json::{Map, Value as Json};

use super::types;

/// Text that is not of its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong and what would be right.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Checks a text.
pub(crate) type Check = fn(&str) -> Result<(), Refusal>;

/// A format: its name in the schema, what it is in words, and its check.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) expectation: &'static str,
    pub(crate) check: Check,
    pub(crate) secret: bool,
}

fn find(name: &str) -> Option<&'static Format> {
    [
        types::FORMATS,
        super::k3os::FORMATS,
        super::kubeadm::FORMATS,
        types::network::FORMATS,
        types::system::FORMATS,
        types::units::FORMATS,
    ]
    .into_iter()
    .flatten()
    .find(|one| one.name == name)
}

/// Checks `text`; a format that is not ours says nothing.
pub(crate) fn check(format: &str, text: &str) -> Result<(), Refusal> {
    find(format).map_or(Ok(()), |format| (format.check)(text))
}

/// What a format is in words.
pub(crate) fn expectation(format: &str) -> Option<&'static str> {
    find(format).map(|format| format.expectation)
}

/// Whether values of this schema are never to be shown.
pub(crate) fn is_secret(schema: &Map<String, Json>) -> bool {
    let format = schema.get("format").and_then(Json::as_str);
    format.and_then(find).is_some_and(|format| format.secret)
}
