//! The arguments of k3s, as Go's `flag` package and k3s read them.

use std::fmt;

use super::{
    Note,
    flags::{Flag, Role, Takes, flag, meant},
};
use crate::finding::shown;

/// The arguments of `k3s_args`, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// The command at their beginning.
    pub role: Option<Role>,
    /// The flags in their order.
    pub given: Vec<Given>,
    /// What could not be read.
    pub notes: Vec<Note>,
}

/// A flag that is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Which.
    pub flag: &'static Flag,
    /// Its value; of one that takes none, `true` or `false`.
    pub value: String,
    /// Where: `k3s_args[2]`, `environment.K3S_URL`.
    pub path: String,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.flag.takes {
            Takes::Secret => "…",
            _ => &self.value,
        };
        write!(f, "{}: --{}={value:?}", self.path, self.flag.name)
    }
}

impl Given {
    /// Whether a flag that takes no value is on.
    pub fn is_on(&self) -> bool {
        self.value == "true"
    }
}

/// A word and the item of the list that it is from.
struct Word<'a> {
    text: &'a str,
    item: usize,
}

/// The path of an item of `k3s_args`.
fn path(item: usize) -> String {
    format!("k3s_args[{item}]")
}

/// Reads `k3s_args`. A flag that cannot be read costs itself only.
pub fn parse(items: &[impl AsRef<str>]) -> Args {
    let mut args = Args::default();
    let mut words: Vec<Word<'_>> = Vec::new();
    for (item, text) in items.iter().enumerate() {
        let text = text.as_ref();
        if split(text, item) {
            args.notes.push(Note::new(
                path(item),
                "k3s-argument",
                "several words in one item; they are read as words of their own",
                Some("make each word an item of the list".to_owned()),
            ));
            words.extend(text.split_whitespace().map(|text| Word { text, item }));
        } else {
            words.push(Word { text, item });
        }
    }
    let mut rest = words.as_slice();
    if let Some((first, others)) = rest.split_first() {
        args.role = match first.text {
            "server" => Some(Role::Server),
            "agent" => Some(Role::Agent),
            _ => None,
        };
        if args.role.is_some() {
            rest = others;
        }
    }
    while let Some((word, others)) = rest.split_first() {
        rest = others;
        if word.text == "--" {
            for word in others {
                stray(word, &mut args);
            }
            break;
        }
        let Some(name) = word.text.strip_prefix('-').filter(|name| !name.is_empty()) else {
            stray(word, &mut args);
            continue;
        };
        let name = name.strip_prefix('-').unwrap_or(name);
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        if let Some(flag) = flag(name) {
            take(flag, value, word.item, &mut rest, &mut args);
            continue;
        }
        unknown(name, word.item, &mut args);
        // What follows is most likely its value.
        if value.is_none()
            && let Some((next, others)) = rest.split_first()
            && !next.text.starts_with('-')
        {
            rest = others;
        }
    }
    args
}

/// Whether an item holds several words: k3s itself would refuse it.
fn split(text: &str, item: usize) -> bool {
    let blank = text.trim().find(char::is_whitespace);
    let Some(blank) = blank else {
        return false;
    };
    let first = &text.trim()[..blank];
    (item == 0 && matches!(first, "server" | "agent"))
        || (first.starts_with('-') && !first.contains('='))
}

fn stray(word: &Word<'_>, args: &mut Args) {
    // It may be the value of a flag that takes none, and so anything.
    let message = "is neither a flag nor the value of one; it is left out";
    let hint = match word.text {
        "true" | "false" => "a flag that is true or false takes its value after `=`",
        _ => "the first word is `server` or `agent`, all others are flags and their values",
    };
    args.notes.push(Note::new(
        path(word.item),
        "k3s-argument",
        message,
        Some(hint.to_owned()),
    ));
}

fn unknown(name: &str, item: usize, args: &mut Args) {
    let near = meant(name);
    let hint = near.map(|near| format!("did you mean {near}?"));
    args.notes.push(Note::new(
        path(item),
        "k3s-flag-unknown",
        format!("k3s has no flag {}; it is left out", shown(name)),
        hint,
    ));
}

fn take(
    flag: &'static Flag,
    value: Option<&str>,
    item: usize,
    rest: &mut &[Word<'_>],
    args: &mut Args,
) {
    let value = match (flag.takes, value) {
        (Takes::Nothing, None) => Some("true"),
        (Takes::Nothing, Some(value)) => boolean(value),
        (_, Some(value)) => Some(value),
        // As Go does: whatever follows is the value, dashes or not.
        (_, None) => rest.split_first().map(|(next, others)| {
            *rest = others;
            next.text
        }),
    };
    let Some(value) = value else {
        let wanted = match flag.takes {
            Takes::Nothing => "takes true or false",
            _ => "needs a value",
        };
        args.notes.push(Note::new(
            path(item),
            "k3s-flag-value",
            format!("--{} {wanted}; it is left out", flag.name),
            None,
        ));
        return;
    };
    args.given.push(Given {
        flag,
        value: value.to_owned(),
        path: path(item),
    });
}

/// A truth value as Go reads it.
pub(super) fn boolean(text: &str) -> Option<&'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some("true"),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some("false"),
        _ => None,
    }
}
