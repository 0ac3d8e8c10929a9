//! JSON as Go reads it, as values that know their place.

use std::collections::HashMap;

use crate::{
    finding::{Place, shown},
    yaml::{Data, Entry, Kind, Scalar, Span, Value},
};

/// The largest document that is read, in bytes.
pub(crate) const MOST_BYTES: usize = 16 << 20;
/// Deeper nesting is refused: values are walked by recursion.
const MOST_DEPTH: usize = 100;
/// Values in one document, so that its tree fits into memory.
const MOST_VALUES: usize = 200_000;
/// Keys that are there twice; nobody writes so many.
const MOST_DUPLICATES: usize = 1000;

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where the reader gave up.
    pub(crate) place: Place,
    /// Why.
    pub(crate) message: String,
}

/// A key that an object has twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Duplicate {
    /// The keys and indexes that lead to it.
    pub(crate) path: Vec<String>,
    /// Where the later one is.
    pub(crate) place: Place,
}

/// Reads one document. Of duplicate keys the last one counts, and two objects under one key
/// become one, as in Go.
pub(crate) fn read(bytes: &[u8]) -> Result<(Value, Vec<Duplicate>), Flaw> {
    let refuse = |place, message: String| Err(Flaw { place, message });
    if bytes.len() > MOST_BYTES {
        return refuse(
            Place::START,
            format!(
                "the file has {} bytes; at most {MOST_BYTES} are read",
                bytes.len()
            ),
        );
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            return refuse(
                place_after(&before),
                format!("byte 0x{byte:02x} is not UTF-8"),
            );
        }
    };
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        return refuse(Place::START, "the file is empty".to_owned());
    }
    if text.starts_with('\u{feff}') {
        return refuse(
            Place::START,
            "a byte order mark stands before the JSON text; save the file without it".to_owned(),
        );
    }
    let mut reader = Reader {
        text,
        at: 0,
        place: Place::START,
        values: 0,
        path: Vec::new(),
        duplicates: Vec::new(),
    };
    reader.space();
    let value = reader.value()?;
    reader.space();
    match reader.peek() {
        None => Ok((value, reader.duplicates)),
        Some(letter) => Err(reader.flaw(format!(
            "{} follows the end of the JSON text",
            shown(&letter.to_string())
        ))),
    }
}

fn place_after(text: &str) -> Place {
    Place {
        line: text.matches('\n').count() + 1,
        column: text.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    place: Place,
    values: usize,
    path: Vec<String>,
    duplicates: Vec<Duplicate>,
}

impl Reader<'_> {
    fn flaw(&self, message: impl Into<String>) -> Flaw {
        Flaw {
            place: self.place,
            message: message.into(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        if letter == '\n' {
            self.place.line += 1;
            self.place.column = 1;
        } else {
            self.place.column += 1;
        }
        Some(letter)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.next();
        }
    }

    fn unexpected(&self, wanted: &str) -> Flaw {
        match self.peek() {
            None => self.flaw(format!("the JSON text breaks off: {wanted} is missing")),
            Some(letter) => self.flaw(format!(
                "not JSON: {} where {wanted} should be",
                shown(&letter.to_string())
            )),
        }
    }

    fn value(&mut self) -> Result<Value, Flaw> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(self.flaw(format!("the file holds more than {MOST_VALUES} values")));
        }
        if self.path.len() > MOST_DEPTH {
            return Err(self.flaw(format!(
                "values are nested more than {MOST_DEPTH} levels deep"
            )));
        }
        let start = self.place;
        let data = match self.peek() {
            Some('{') => self.object()?,
            Some('[') => self.array()?,
            Some('"') => Data::Scalar(Scalar {
                text: self.string()?,
                kind: Kind::Text,
            }),
            Some('-' | '0'..='9') => Data::Scalar(self.number()?),
            Some('t') => self.word("true", Kind::Bool(true))?,
            Some('f') => self.word("false", Kind::Bool(false))?,
            Some('n') => self.word("null", Kind::Null)?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Value {
            span: Span {
                start,
                end: self.place,
            },
            data,
        })
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Data, Flaw> {
        for wanted in word.chars() {
            if self.peek() != Some(wanted) {
                return Err(self.unexpected(word));
            }
            self.next();
        }
        Ok(Data::Scalar(Scalar {
            text: word.to_owned(),
            kind,
        }))
    }

    fn object(&mut self) -> Result<Data, Flaw> {
        let mut entries = Entries::default();
        self.next();
        self.space();
        if self.peek() == Some('}') {
            self.next();
            return Ok(Data::Map(Vec::new()));
        }
        loop {
            self.space();
            let start = self.place;
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            let span = Span {
                start,
                end: self.place,
            };
            self.space();
            if self.peek() != Some(':') {
                return Err(self.unexpected("`:`"));
            }
            self.next();
            self.space();
            self.path.push(key.clone());
            let value = self.value()?;
            if entries.add(Entry { key, span, value }) {
                if self.duplicates.len() >= MOST_DUPLICATES {
                    return Err(
                        self.flaw(format!("more than {MOST_DUPLICATES} keys are there twice"))
                    );
                }
                self.duplicates.push(Duplicate {
                    path: self.path.clone(),
                    place: start,
                });
            }
            self.path.pop();
            self.space();
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some('}') => {
                    self.next();
                    return Ok(Data::Map(entries.list));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn array(&mut self) -> Result<Data, Flaw> {
        let mut items = Vec::new();
        self.next();
        self.space();
        if self.peek() == Some(']') {
            self.next();
            return Ok(Data::List(items));
        }
        loop {
            self.space();
            self.path.push(items.len().to_string());
            items.push(self.value()?);
            self.path.pop();
            self.space();
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some(']') => {
                    self.next();
                    return Ok(Data::List(items));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn number(&mut self) -> Result<Scalar, Flaw> {
        let start = self.at;
        if self.peek() == Some('-') {
            self.next();
        }
        match self.peek() {
            Some('0') => {
                self.next();
            }
            Some('1'..='9') => self.digits(),
            _ => return Err(self.unexpected("a digit")),
        }
        let mut whole = true;
        if self.peek() == Some('.') {
            whole = false;
            self.next();
            if !matches!(self.peek(), Some('0'..='9')) {
                return Err(self.unexpected("a digit"));
            }
            self.digits();
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            whole = false;
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            if !matches!(self.peek(), Some('0'..='9')) {
                return Err(self.unexpected("a digit"));
            }
            self.digits();
        }
        let text = self.text[start..self.at].to_owned();
        let integer = whole.then(|| text.parse::<i128>().ok()).flatten();
        let kind = integer.map_or_else(
            || Kind::Float(text.parse().unwrap_or(f64::INFINITY)),
            Kind::Integer,
        );
        Ok(Scalar { text, kind })
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some('0'..='9')) {
            self.next();
        }
    }

    fn string(&mut self) -> Result<String, Flaw> {
        let mut text = String::new();
        self.next();
        loop {
            match self.peek() {
                Some('"') => {
                    self.next();
                    return Ok(text);
                }
                Some('\\') => {
                    self.next();
                    self.escape(&mut text)?;
                }
                Some(letter) if letter < ' ' => {
                    return Err(self.flaw(format!(
                        "the control character U+{:04X} must be escaped in JSON text",
                        u32::from(letter)
                    )));
                }
                Some(letter) => {
                    text.push(letter);
                    self.next();
                }
                None => return Err(self.flaw("the JSON text breaks off inside a string")),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Flaw> {
        let letter = match self.peek() {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                self.next();
                let first = self.hexadecimal()?;
                text.push(self.surrogates(first)?);
                return Ok(());
            }
            _ => return Err(self.unexpected("an escape such as \\n or \\u0041")),
        };
        self.next();
        text.push(letter);
        Ok(())
    }

    /// The character of a `\u` escape; halves of a pair that stand alone become U+FFFD, as in Go.
    fn surrogates(&mut self, first: u32) -> Result<char, Flaw> {
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let (at, place) = (self.at, self.place);
            self.next();
            self.next();
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (self.at, self.place) = (at, place);
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hexadecimal(&mut self) -> Result<u32, Flaw> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|letter| letter.to_digit(16)) else {
                return Err(self.unexpected("a hexadecimal digit"));
            };
            code = code * 16 + digit;
            self.next();
        }
        Ok(code)
    }
}

/// The entries of an object; finds a key that is there already without walking all of them.
#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    index: HashMap<String, usize>,
}

impl Entries {
    /// Adds an entry; whether its key was there.
    fn add(&mut self, entry: Entry) -> bool {
        if let Some(&number) = self.index.get(&entry.key) {
            merge(&mut self.list[number], entry);
            return true;
        }
        self.index.insert(entry.key.clone(), self.list.len());
        self.list.push(entry);
        false
    }
}

fn merge(old: &mut Entry, new: Entry) {
    old.span = new.span;
    match (&mut old.value.data, new.value.data) {
        (Data::Map(entries), Data::Map(later)) => {
            let places: HashMap<String, usize> = entries
                .iter()
                .enumerate()
                .map(|(number, entry)| (entry.key.clone(), number))
                .collect();
            for entry in later {
                // The keys of `later` differ among themselves.
                match places.get(&entry.key) {
                    Some(&number) => merge(&mut entries[number], entry),
                    None => entries.push(entry),
                }
            }
        }
        (_, data) => {
            old.value = Value {
                span: new.value.span,
                data,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(value: &Value) -> serde_json::Value {
        match &value.data {
            Data::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), plain(&entry.value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Data::List(items) => items.iter().map(plain).collect(),
            Data::Scalar(scalar) => match scalar.kind {
                Kind::Null => serde_json::Value::Null,
                Kind::Bool(value) => value.into(),
                Kind::Integer(number) => i64::try_from(number).unwrap().into(),
                Kind::Float(number) => number.into(),
                Kind::Text | Kind::Binary => scalar.text.clone().into(),
            },
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_back(json in any_json()) {
            let (value, duplicates) = read(json.to_string().as_bytes()).unwrap();
            prop_assert_eq!(plain(&value), json.clone());
            prop_assert!(duplicates.is_empty());
            let (value, _) = read(format!("{json:#}").as_bytes()).unwrap();
            prop_assert_eq!(plain(&value), json);
        }

        #[test]
        fn what_is_read_is_json(text in "[\\[\\]{}:,\" 0-9eE.+\\-truefalsn\\\\u]{0,40}") {
            let strict = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let taken = read(text.as_bytes()).is_ok();
            // serde refuses halves of surrogate pairs and numbers beyond a float; Go does not.
            let may_differ = text.contains("\\u") || text.contains(['e', 'E']);
            prop_assert!(taken == strict || taken && may_differ);
        }

        #[test]
        fn any_bytes_end_well(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn places_and_duplicates() {
        let text = "{\n \"a\": {\"x\": 1},\n \"é\": 2, \"a\": {\"y\": [3]}}";
        let (value, duplicates) = read(text.as_bytes()).unwrap();
        assert_eq!(
            plain(&value),
            serde_json::json!({"a": {"x": 1, "y": [3]}, "é": 2})
        );
        assert_eq!(duplicates.len(), 1);
        assert_eq!(duplicates[0].path, ["a"]);
        assert_eq!(
            duplicates[0].place,
            Place {
                line: 3,
                column: 10
            }
        );
    }

    #[test]
    fn what_breaks_off_has_a_place() {
        let flaw = read(b"{\"a\":\n [1, 2").unwrap_err();
        assert_eq!(flaw.place, Place { line: 2, column: 7 });
        assert!(flaw.message.contains("breaks off"), "{}", flaw.message);
        assert!(read(b"{\"a\": 1} x").is_err());
        assert!(read(&[b'['; 5000]).unwrap_err().message.contains("deep"));
    }
}
