//! Repairs indentation that YAML 1.1's readers do not look at.
//!
//! Inside brackets and quotes, go-yaml and `PyYAML` take lines at any column; saphyr follows
//! YAML 1.2, which wants them indented more than what they belong to. Such lines get more space
//! at their beginning, which means nothing there, and the text is parsed again.

use std::{collections::BTreeSet, iter::Peekable};

use crate::finding::Place;

/// The space that a line gets: more than any sensible indentation.
const SPACE: usize = 64;
/// How often a text may be parsed again.
const MOST_REPAIRS: usize = 200;
/// How many bytes may be parsed again.
const MOST_BYTES: usize = 64 << 20;

/// A text, some lines of which are moved to the right.
#[derive(Debug)]
pub(super) struct Indented<'a> {
    original: &'a str,
    moved: Option<String>,
    lines: BTreeSet<usize>,
    repairs: usize,
    parsed: usize,
}

impl<'a> Indented<'a> {
    pub(super) fn new(original: &'a str) -> Self {
        Self {
            original,
            moved: None,
            lines: BTreeSet::new(),
            repairs: 0,
            parsed: 0,
        }
    }

    /// The text to parse.
    pub(super) fn text(&self) -> &str {
        self.moved.as_deref().unwrap_or(self.original)
    }

    /// Where a place of the text is in the original.
    pub(super) fn original(&self, place: Place) -> Place {
        if !self.lines.contains(&place.line) {
            return place;
        }
        Place {
            line: place.line,
            column: place.column.saturating_sub(SPACE).max(1),
        }
    }

    /// Moves the lines that an error at `place` of the original is about; false if there are
    /// none, and the error stands.
    pub(super) fn repair(&mut self, error: &str, place: Place) -> bool {
        self.repairs += 1;
        self.parsed += self.text().len();
        if self.repairs > MOST_REPAIRS || self.parsed > MOST_BYTES {
            return false;
        }
        let lines = match error {
            "invalid indentation" | "invalid indentation in flow construct" => {
                self.rest_of_brackets(place)
            }
            "invalid indentation in quoted scalar" => self.rest_of_quotes(place),
            _ => None,
        };
        let Some((first, last)) = lines else {
            return false;
        };
        let before = self.lines.len();
        self.lines.extend(first..=last);
        if self.lines.len() == before {
            return false;
        }
        let space = " ".repeat(SPACE);
        let mut moved = String::with_capacity(self.original.len() + self.lines.len() * SPACE);
        for (index, line) in self.original.split_inclusive('\n').enumerate() {
            if self.lines.contains(&(index + 1)) {
                moved.push_str(&space);
            }
            moved.push_str(line);
        }
        self.moved = Some(moved);
        true
    }

    fn letters_from(&self, place: Place) -> impl Iterator<Item = (usize, char)> {
        let lines = self.original.split_inclusive('\n').enumerate();
        let mut rest = lines
            .skip(place.line - 1)
            .flat_map(|(index, line)| line.chars().map(move |letter| (index + 1, letter)));
        for _ in 1..place.column {
            rest.next();
        }
        rest
    }

    /// The lines from `place` to the bracket that closes what `place` is in.
    fn rest_of_brackets(&self, place: Place) -> Option<(usize, usize)> {
        let mut letters = self.letters_from(place).peekable();
        let mut depth = 0;
        // A quote or `#` inside a word is a part of it.
        let mut between = true;
        while let Some((line, letter)) = letters.next() {
            match letter {
                '[' | '{' => depth += 1,
                ']' | '}' if depth == 0 => return Some((place.line, line)),
                ']' | '}' => depth -= 1,
                '#' if between => {
                    letters.find(|(_, letter)| *letter == '\n')?;
                }
                '"' | '\'' if between => {
                    quoted_end(letter, &mut letters)?;
                }
                _ => {}
            }
            between = letter.is_whitespace() || matches!(letter, '[' | '{' | ',' | ':' | '#');
        }
        None
    }

    /// The lines after the first of a quoted text that begins at `place`.
    fn rest_of_quotes(&self, place: Place) -> Option<(usize, usize)> {
        let mut letters = self.letters_from(place).peekable();
        let (_, quote) = letters.next()?;
        let last = quoted_end(quote, &mut letters)?;
        Some((place.line + 1, last))
    }
}

/// The line in which a quoted text ends.
fn quoted_end(
    quote: char,
    letters: &mut Peekable<impl Iterator<Item = (usize, char)>>,
) -> Option<usize> {
    while let Some((line, letter)) = letters.next() {
        if letter == quote {
            // `''` in single quotes is a quote.
            let doubled = |(_, next): &(usize, char)| quote == '\'' && *next == quote;
            if letters.next_if(doubled).is_none() {
                return Some(line);
            }
            continue;
        }
        if letter == '\\' && quote == '"' {
            letters.next();
        }
    }
    None
}
