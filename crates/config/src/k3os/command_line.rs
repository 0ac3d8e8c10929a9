//! The kernel's command line.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Change, New, flag,
    keys::{self, Field, Key, Section},
    warning::Warnings,
};
use crate::finding::{did_you_mean, nearest};

/// What the command line changes.
pub(super) fn read(bytes: &[u8], warnings: &mut Warnings<'_>) -> Vec<Change> {
    let mut reader = Reader {
        warnings,
        changes: Vec::new(),
    };
    let mut rest = bytes;
    while let Some((word, after)) = word(rest) {
        reader.word(word);
        rest = after;
    }
    reader.changes
}

/// What `\s` means to Go.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// The first word, and what follows it: `"…"`, else `…="…"` with the last `="` before a space,
/// else up to a space.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = bytes.iter().position(|byte| !is_space(*byte))?;
    let bytes = &bytes[start..];
    // The end of a quoted text whose opening quote is at `open`.
    let quoted = |open: usize| {
        let length = bytes
            .get(open + 1..)?
            .iter()
            .position(|byte| *byte == b'"')?;
        (length > 0).then_some(open + 1 + length + 1)
    };
    let space = bytes
        .iter()
        .position(|byte| is_space(*byte))
        .unwrap_or(bytes.len());
    let end = match bytes.first() {
        Some(b'"') => quoted(0),
        _ => None,
    };
    let end = end.or_else(|| {
        (1..space.saturating_sub(1))
            .rev()
            .filter(|at| bytes[*at] == b'=' && bytes[*at + 1] == b'"')
            .find_map(|at| quoted(at + 1))
    });
    Some(bytes.split_at(end.unwrap_or(space)))
}

fn without_quotes(mut bytes: &[u8]) -> &[u8] {
    while let [b'"', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b'"'] = bytes {
        bytes = rest;
    }
    bytes
}

/// What the name of a word stands for.
enum Meaning<'a> {
    /// A key, and what follows its name.
    Key(&'static Key, &'a str),
    /// A word of another program, or of the boot code.
    NotOurs,
    /// A name that does not exist below `k3os.`.
    Unknown(Section),
}

fn meaning(section: Section, name: &str) -> Meaning<'_> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (head, rest) = name.split_at(end);
    let Some(key) = section.find(head) else {
        let boot = section == Section::K3os && rest.is_empty() && keys::is_boot_word(head);
        return if boot || section == Section::Top {
            Meaning::NotOurs
        } else {
            Meaning::Unknown(section)
        };
    };
    match (key.field, rest.strip_prefix('.')) {
        (Field::Section(inner), Some(rest)) if !rest.is_empty() => meaning(inner, rest),
        (Field::Section(inner), None) if !rest.is_empty() => Meaning::Unknown(inner),
        _ => Meaning::Key(key, rest),
    }
}

struct Reader<'a, 'w> {
    warnings: &'a mut Warnings<'w>,
    changes: Vec<Change>,
}

impl Reader<'_, '_> {
    fn word(&mut self, word: &[u8]) {
        let equals = word.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&word[..at], without_quotes(&word[at + 1..])),
            None => (word, &b"true"[..]),
        };
        let name = String::from_utf8_lossy(without_quotes(name));
        let (key, rest) = match meaning(Section::Top, &name) {
            Meaning::Key(key, rest) => (key, rest),
            Meaning::NotOurs => return,
            Meaning::Unknown(section) => {
                let last = name.rsplit('.').next().unwrap_or(&name);
                let near = if self.warnings.is_full() {
                    None
                } else {
                    nearest(last, section.keys().iter().map(Key::name))
                };
                let message = format!("unknown key{}; ignored", did_you_mean(near));
                return self.warn(&name, "unknown-key", message);
            }
        };
        match (&name, std::str::from_utf8(value)) {
            (Cow::Borrowed(name), Ok(value)) => self.key(key, name, rest, value),
            _ => self.warn(&name, "not-utf-8", "the word is not UTF-8; ignored"),
        }
    }

    fn key(&mut self, key: &'static Key, name: &str, rest: &str, value: &str) {
        let inner = match key.field {
            Field::Files(_) | Field::Wifi(_) => {
                let message = "a list of mappings cannot be given on the command line; ignored";
                return self.warn(name, "not-on-command-line", message);
            }
            Field::Section(_) => {
                let message = format!(
                    "a section without a key in it; ignored. Keys are given as {}.KEY=VALUE",
                    key.path
                );
                return self.warn(name, "no-key", message);
            }
            Field::Map(_) => {
                let Some(inner) = inner_key(rest) else {
                    let message = format!(
                        "a mapping without a key in it; ignored. Entries are given as {0}.KEY=VALUE or {0}[KEY]=VALUE",
                        key.path
                    );
                    return self.warn(name, "no-key", message);
                };
                inner
            }
            _ if !rest.is_empty() => {
                let message = format!("{} has no keys below it; ignored", key.path);
                return self.warn(name, "unknown-key", message);
            }
            _ => "",
        };
        let position = self
            .changes
            .iter()
            .position(|change| change.key.path == key.path);
        let new = match (key.field, position.map(|at| &mut self.changes[at].new)) {
            (_, Some(New::List(texts))) => {
                texts.push(value.to_owned());
                return;
            }
            (_, Some(New::Map(entries))) => {
                let value = value.trim();
                let first = entries
                    .entry(inner.to_owned())
                    .or_insert_with(|| value.to_owned());
                if first != value {
                    let message = "the entry is given several times; only the first one counts";
                    self.warn(name, "duplicate-key", message);
                }
                return;
            }
            (Field::List(_), _) => New::List(vec![value.to_owned()]),
            (Field::Map(_), _) => New::Map(BTreeMap::from([(
                inner.to_owned(),
                value.trim().to_owned(),
            )])),
            (Field::Flag(_), _) => New::Flag(flag(value).unwrap_or_else(|| {
                let message = "neither true nor false; taken as false";
                self.warn(name, "not-a-truth-value", message);
                false
            })),
            _ => New::Text(value.to_owned()),
        };
        let Some(at) = position else {
            self.changes.push(Change {
                key,
                new,
                place: None,
            });
            return;
        };
        if self.changes[at].new != new {
            let message = "the key is given several times; only the last one counts";
            self.warn(name, "duplicate-key", message);
        }
        self.changes[at].new = new;
    }

    fn warn(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        // A quoted word without `=` may go on with anything.
        let shown = name.split(char::is_whitespace).next().unwrap_or(name);
        self.warnings.add(None, shown, code, message);
    }
}

/// The key in `.KEY` or `[KEY]`.
fn inner_key(rest: &str) -> Option<&str> {
    let key = match rest.strip_prefix('.') {
        Some(key) => key,
        None => rest.strip_prefix('[')?.strip_suffix(']')?.trim_matches('"'),
    };
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut rest = text.as_bytes();
        let mut words = Vec::new();
        while let Some((word, after)) = word(rest) {
            words.push(std::str::from_utf8(word).unwrap());
            rest = after;
        }
        words
    }

    #[test]
    fn words_are_those_of_the_pattern_of_k3os() {
        for (text, expected) in [
            ("a b=c\td\n", &["a", "b=c", "d"][..]),
            ("a=\"b c\" d", &["a=\"b c\"", "d"]),
            ("\"a b\"c d", &["\"a b\"", "c", "d"]),
            ("a=\"b c\"d", &["a=\"b c\"", "d"]),
            ("a=b=\"c d\"", &["a=b=\"c d\""]),
            ("a=\"b c", &["a=\"b", "c"]),
            ("a=\"\" b", &["a=\"\"", "b"]),
            ("\"\" b", &["\"\"", "b"]),
            ("\" b", &["\"", "b"]),
            ("=\"a b\"", &["=\"a", "b\""]),
            ("x\"=\"a b\"", &["x\"=\"a b\""]),
            ("\"a=\"b c\" d", &["\"a=\"", "b", "c\"", "d"]),
            ("a=\"x=\"b c\"", &["a=\"x=\"b c\""]),
            ("a='b c'", &["a='b", "c'"]),
            ("ä=\"ö ü\"\u{a0}b", &["ä=\"ö ü\"", "\u{a0}b"]),
            ("  ", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn words_that_are_not_utf_8_are_ignored_with_a_warning_if_they_are_ours() {
        let mut warnings = Warnings::new("cmdline");
        let line = b"a=\xff \xff=b hostname=\xff k3os.\xff=x k3os.labels.\xff=x run_cmd=c";
        let changes = read(line, &mut warnings);
        assert_eq!(changes.len(), 1);
        let warnings = warnings.finish();
        let codes: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, ["not-utf-8", "unknown-key", "not-utf-8"]);
    }

    proptest! {
        #[test]
        fn words_cover_all_but_the_space_between_them(bytes in "[a=\" \\n.é]{0,40}") {
            let joined: String = words(&bytes).concat();
            let mut rest = joined.as_str();
            for letter in bytes.chars() {
                match rest.strip_prefix(letter) {
                    Some(after) => rest = after,
                    None => prop_assert!(letter.is_ascii_whitespace(), "{letter:?} is lost"),
                }
            }
            prop_assert_eq!(rest, "");
        }
    }
}
