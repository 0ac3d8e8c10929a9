//! What was passed over, and where.

use std::fmt;

use super::keys;
use crate::finding::Place;

/// One thing that a source says and that does not count as it is written.
///
/// Shown as `SOURCE: KEY: MESSAGE` on one line. Never quotes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The source as [`super::Input::name`] has it.
    pub source: String,
    /// The key, dotted and with list indexes, as the source spells it, cut where a secret may
    /// follow; empty for the whole source.
    pub key: String,
    /// What is wrong, and what became of it.
    pub message: String,
    /// Where, if the source is a YAML file.
    pub place: Option<Place>,
    /// The kind of warning, stable over versions:
    ///
    /// * the whole source is skipped: `unreadable`;
    /// * the value is skipped: `unknown-key`, `wrong-shape`, `no-text-form`, `not-utf-8`,
    ///   `no-key`, `not-on-command-line`, `bad-key`, `bad-merge`;
    /// * the value counts in another way: `not-a-truth-value`, `bad-tag`, `first-item`,
    ///   `one-entry`;
    /// * something else is dropped: `duplicate-key`, `later-document`, `too-many`.
    pub code: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", visible(&self.source))?;
        if !self.key.is_empty() {
            write!(f, "{}: ", visible(&self.key))?;
        }
        f.write_str(&visible(&self.message))?;
        match self.place {
            Some(place) => write!(f, " (line {}, column {})", place.line, place.column),
            None => Ok(()),
        }
    }
}

/// Text on one line, cut where nobody reads on.
fn visible(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut shown = String::new();
    for letter in text.chars().take(LONGEST) {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// More warnings of one source than anybody reads.
const MOST: usize = 1000;

/// The warnings of one source.
#[derive(Debug)]
pub(super) struct Warnings<'a> {
    source: &'a str,
    found: Vec<Warning>,
    dropped: usize,
}

impl<'a> Warnings<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            found: Vec::new(),
            dropped: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        place: Option<Place>,
        key: &str,
        code: &'static str,
        message: impl Into<String>,
    ) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        self.found.push(Warning {
            source: self.source.to_owned(),
            key: keys::shown(key).into_owned(),
            message: message.into(),
            place,
            code,
        });
    }

    /// Whether more warnings are only counted: their words need not be found.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// That the whole source is skipped.
    pub(super) fn unreadable(&mut self, place: Option<Place>, why: impl fmt::Display) {
        self.add(
            place,
            "",
            "unreadable",
            format!("{why}; this source is skipped"),
        );
    }

    /// The warnings in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Warning> {
        self.found.sort_by_key(|warning| warning.place);
        if self.dropped > 0 {
            self.found.push(Warning {
                source: self.source.to_owned(),
                key: String::new(),
                message: format!("{} more warnings are not shown", self.dropped),
                place: None,
                code: "too-many",
            });
        }
        self.found
    }
}
