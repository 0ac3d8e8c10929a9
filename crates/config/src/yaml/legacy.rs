//! Reads YAML files that were written for other systems, as these systems' own readers do.
//!
//! Unlike the strict reader: the first document of several, the last of duplicate keys, merge
//! keys, the scalars of a [`Dialect`]. What it passes over is noted, never dropped in silence.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use saphyr_parser::{Event, ScalarStyle, ScanError, Tag};

pub(crate) use super::dialect::Dialect;
use super::{
    indent::Indented,
    reader::{place, syntax_hint},
    source, tabs,
    value::{Data, Entry, Kind, Scalar, Span, Value},
};
use crate::finding::{Place, shown};

/// A file that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where the reader gave up.
    pub place: Place,
    /// Why, and what to do about it.
    pub message: String,
}

/// Something in a file that was read, and is not what it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where it is.
    pub place: Place,
    /// The keys and list indexes that lead to it, as written.
    pub path: Vec<String>,
    /// Its kind, stable over versions: `duplicate-key`, `later-document`, `bad-key`, `bad-tag`,
    /// `bad-merge`.
    pub code: &'static str,
    /// What became of it. Never quotes a value.
    pub message: String,
}

/// Deeper nesting is refused: values are walked by recursion.
const MOST_DEPTH: usize = 200;
/// Values in one file, so that its tree fits into memory.
const MOST_VALUES: usize = 500_000;
/// Values that aliases and anchors add.
const MOST_COPIES: usize = 250_000;
/// Bytes of text that aliases and anchors add.
const MOST_COPIED_TEXT: usize = 4 * source::MOST_BYTES;

/// The first document of a file; null if that is empty.
pub(crate) fn read(bytes: &[u8], dialect: Dialect) -> Result<Value, Flaw> {
    read_noting(bytes, dialect).map(|(value, _)| value)
}

/// As [`read`], with what was passed over, in the order of the file.
pub(crate) fn read_noting(bytes: &[u8], dialect: Dialect) -> Result<(Value, Vec<Note>), Flaw> {
    let document = source::first(bytes).map_err(|refusal| Flaw {
        place: refusal.place,
        message: format!("{}; {}", refusal.message, refusal.hint),
    })?;
    let mut indented = Indented::new(document.text);
    let mut reader = loop {
        match parse(&indented, dialect) {
            Ok(reader) => break reader,
            Err(Failure::Refused(flaw)) => return Err(flaw),
            Err(Failure::Syntax(error)) => {
                let place = indented.original(place(*error.marker()));
                if !indented.repair(error.info(), place) {
                    let hint = syntax_hint(document.text, place);
                    let message = format!("not YAML: {}; {hint}", error.info());
                    return Err(Flaw { place, message });
                }
            }
        }
    };
    if document.more {
        if dialect == Dialect::Python {
            return Err(Flaw {
                place: document.end,
                message: "a second document begins here; the file may hold one".to_owned(),
            });
        }
        reader.notes.push(Note {
            place: document.end,
            path: Vec::new(),
            code: "later-document",
            message: "what follows the first document is not read".to_owned(),
        });
    }
    let empty = Value {
        span: Span {
            start: Place::START,
            end: Place::START,
        },
        data: Data::Scalar(Scalar {
            text: String::new(),
            kind: Kind::Null,
        }),
    };
    reader.notes.sort_by_key(|note| note.place);
    Ok((reader.root.unwrap_or(empty), reader.notes))
}

enum Failure {
    Syntax(ScanError),
    Refused(Flaw),
}

fn parse(indented: &Indented<'_>, dialect: Dialect) -> Result<Reader, Failure> {
    let mut reader = Reader {
        dialect,
        stack: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        copies: 0,
        copied_text: 0,
        root: None,
        notes: Vec::new(),
    };
    for event in tabs::parser(indented.text()) {
        let (event, span) = event.map_err(Failure::Syntax)?;
        let span = Span {
            start: indented.original(place(span.start)),
            end: indented.original(place(span.end)),
        };
        reader.event(event, span).map_err(Failure::Refused)?;
    }
    Ok(reader)
}

/// A value with what it costs.
#[derive(Clone)]
struct Counted {
    value: Value,
    values: usize,
    text: usize,
    depth: usize,
    /// A plain `<<`.
    merge: bool,
}

struct Frame {
    start: Place,
    anchor: usize,
    content: Open,
    values: usize,
    text: usize,
    depth: usize,
}

enum Open {
    List(Vec<Value>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// Keys, each with where it is in `entries`.
    keys: HashMap<String, usize>,
    /// Positions in `entries` of keys that come again.
    outdated: Vec<usize>,
    /// Values of `<<`.
    merged: Vec<Value>,
    pending: Option<Key>,
}

enum Key {
    Usable(String, Span),
    Merge,
    /// Noted already; its value is dropped.
    Unusable,
}

struct Reader {
    dialect: Dialect,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Counted>,
    values: usize,
    copies: usize,
    copied_text: usize,
    root: Option<Value>,
    notes: Vec<Note>,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Flaw> {
        match event {
            Event::Alias(id) => {
                let Some(counted) = self.anchors.get(&id) else {
                    return Err(Flaw {
                        place: span.start,
                        message:
                            "the alias is inside the value that it stands for; write the value out"
                                .to_owned(),
                    });
                };
                let counted = Counted {
                    merge: false,
                    ..counted.clone()
                };
                self.charge(&counted, span.start)?;
                self.within_depth(counted.depth, span.start)?;
                self.place_value(counted, span.start)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(span.start)?;
                let merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let scalar = self.scalar(text.into_owned(), style, tag.as_deref(), span.start)?;
                let counted = Counted {
                    values: 1,
                    text: scalar.text.len(),
                    depth: 1,
                    value: Value {
                        span,
                        data: Data::Scalar(scalar),
                    },
                    merge,
                };
                self.remember(anchor, &counted)?;
                self.place_value(counted, span.start)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), span.start)?;
                self.open(span.start, anchor, Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), span.start)?;
                self.open(span.start, anchor, Open::Map(OpenMap::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            _ => Ok(()),
        }
    }

    fn open(&mut self, start: Place, anchor: usize, content: Open) -> Result<(), Flaw> {
        self.count(start)?;
        self.within_depth(1, start)?;
        self.stack.push(Frame {
            start,
            anchor,
            content,
            values: 1,
            text: 0,
            depth: 1,
        });
        Ok(())
    }

    fn close(&mut self, end: Place) -> Result<(), Flaw> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let data = match frame.content {
            Open::List(items) => Data::List(items),
            Open::Map(map) => Data::Map(self.entries(map)?),
        };
        let counted = Counted {
            values: frame.values,
            text: frame.text,
            depth: frame.depth,
            value: Value {
                span: Span {
                    start: frame.start,
                    end,
                },
                data,
            },
            merge: false,
        };
        self.remember(frame.anchor, &counted)?;
        self.place_value(counted, frame.start)
    }

    fn remember(&mut self, anchor: usize, counted: &Counted) -> Result<(), Flaw> {
        if anchor > 0 {
            self.charge(counted, counted.value.span.start)?;
            self.anchors.insert(anchor, counted.clone());
        }
        Ok(())
    }

    /// Puts a whole value where the open collection, or the document, wants it.
    fn place_value(&mut self, counted: Counted, at: Place) -> Result<(), Flaw> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(counted.value);
            return Ok(());
        };
        frame.values += counted.values;
        frame.text += counted.text;
        frame.depth = frame.depth.max(counted.depth + 1);
        let value = counted.value;
        let map = match &mut frame.content {
            Open::List(items) => {
                items.push(value);
                return Ok(());
            }
            Open::Map(map) => map,
        };
        match map.pending.take() {
            None => {
                let (key, refused) = key(value, counted.merge);
                map.pending = Some(key);
                if refused {
                    self.object(at, "bad-key", "a list or mapping cannot be a key")?;
                }
            }
            Some(Key::Unusable) => {}
            Some(Key::Merge) => map.merged.push(value),
            Some(Key::Usable(key, span)) => {
                let earlier = map.keys.insert(key.clone(), map.entries.len());
                let line = earlier.and_then(|earlier| {
                    map.outdated.push(earlier);
                    map.entries.get(earlier).map(|entry| entry.span.start.line)
                });
                map.entries.push(Entry {
                    key: key.clone(),
                    span,
                    value,
                });
                if let Some(line) = line {
                    let mut path = self.path();
                    path.push(key);
                    self.notes.push(Note {
                        place: span.start,
                        path,
                        code: "duplicate-key",
                        message: format!(
                            "the key is already in line {line}; only this last one counts"
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// The entries of a mapping: merged ones first, so that of two spellings of one key its own
    /// is the last.
    fn entries(&mut self, map: OpenMap) -> Result<Vec<Entry>, Flaw> {
        let OpenMap {
            mut entries,
            keys,
            mut outdated,
            merged,
            ..
        } = map;
        if !outdated.is_empty() {
            outdated.sort_unstable();
            let mut position = 0;
            entries.retain(|_| {
                let keep = outdated.binary_search(&position).is_err();
                position += 1;
                keep
            });
        }
        if merged.is_empty() {
            return Ok(entries);
        }
        // From strong to weak: the last `<<`, and of its list the first mapping.
        let mut seen: HashSet<String> = keys.into_keys().collect();
        let mut groups = Vec::new();
        for value in merged.into_iter().rev() {
            let start = value.span.start;
            let sources = match value.data {
                Data::List(items) => items,
                _ => vec![value],
            };
            for source in sources {
                let Data::Map(more) = source.data else {
                    self.object(
                        start,
                        "bad-merge",
                        "`<<` takes a mapping or a list of mappings",
                    )?;
                    continue;
                };
                let fresh = more
                    .into_iter()
                    .filter(|entry| seen.insert(entry.key.clone()));
                groups.push(fresh.collect::<Vec<_>>());
            }
        }
        Ok(groups.into_iter().rev().flatten().chain(entries).collect())
    }

    fn count(&mut self, place: Place) -> Result<(), Flaw> {
        self.values += 1;
        if self.values <= MOST_VALUES {
            return Ok(());
        }
        Err(Flaw {
            place,
            message: format!("the file holds more than {MOST_VALUES} values"),
        })
    }

    fn charge(&mut self, counted: &Counted, place: Place) -> Result<(), Flaw> {
        self.copies += counted.values;
        self.copied_text += counted.text;
        if self.copies <= MOST_COPIES && self.copied_text <= MOST_COPIED_TEXT {
            return Ok(());
        }
        Err(Flaw {
            place,
            message: format!(
                "aliases multiply to more than {MOST_COPIES} values or {MOST_COPIED_TEXT} bytes of text; write fewer of them"
            ),
        })
    }

    fn within_depth(&self, more: usize, place: Place) -> Result<(), Flaw> {
        if self.stack.len() + more <= MOST_DEPTH {
            return Ok(());
        }
        Err(Flaw {
            place,
            message: format!(
                "values are nested more than {MOST_DEPTH} levels deep; is a bracket not closed?"
            ),
        })
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<Scalar, Flaw> {
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            let kind = if plain {
                self.dialect.plain(&text)
            } else {
                Kind::Text
            };
            return Ok(Scalar { text, kind });
        };
        if !tag.is_yaml_core_schema() {
            // `!` alone means text. Of tags of their own, Go's readers keep the text.
            let own = !(tag.suffix.is_empty() || tag.suffix == "!" && tag.handle.is_empty());
            if own && self.dialect == Dialect::Python {
                return Err(unknown_tag(tag, place));
            }
            let kind = Kind::Text;
            return Ok(Scalar { text, kind });
        }
        let found = self.dialect.plain(&text);
        let kind = match (tag.suffix.as_str(), found) {
            ("str" | "timestamp" | "value", _) => Kind::Text,
            ("null", _) if text.is_empty() || found == Kind::Null => Kind::Null,
            ("bool", Kind::Bool(_)) | ("int", Kind::Integer(_)) | ("float", Kind::Float(_)) => {
                found
            }
            #[expect(clippy::cast_precision_loss, reason = "as the tag asks for")]
            ("float", Kind::Integer(number)) => Kind::Float(number as f64),
            ("binary", _) => return self.binary(text, place),
            ("null" | "bool" | "int" | "float", _) => {
                let message = format!("the value is not what its tag !!{} says", tag.suffix);
                self.object(place, "bad-tag", &message)?;
                if plain { found } else { Kind::Text }
            }
            _ if self.dialect == Dialect::Python => return Err(unknown_tag(tag, place)),
            _ => Kind::Text,
        };
        Ok(Scalar { text, kind })
    }

    fn binary(&mut self, text: String, place: Place) -> Result<Scalar, Flaw> {
        let packed: String = text.split_ascii_whitespace().collect();
        let Ok(bytes) = BASE64.decode(&packed) else {
            self.object(
                place,
                "bad-tag",
                "the value is not base64, as its tag !!binary says",
            )?;
            let kind = Kind::Text;
            return Ok(Scalar { text, kind });
        };
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Scalar {
                text,
                kind: Kind::Text,
            },
            Err(_) => Scalar {
                text: packed,
                kind: Kind::Binary,
            },
        })
    }

    fn collection_tag(&self, tag: Option<&Tag>, place: Place) -> Result<(), Flaw> {
        match tag {
            Some(tag) if self.dialect == Dialect::Python && !tag.is_yaml_core_schema() => {
                Err(unknown_tag(tag, place))
            }
            _ => Ok(()),
        }
    }

    /// Something that the dialect's own reader gives up at; here it costs only itself for k3OS'
    /// files.
    fn object(&mut self, place: Place, code: &'static str, message: &str) -> Result<(), Flaw> {
        if self.dialect != Dialect::Go {
            return Err(Flaw {
                place,
                message: message.to_owned(),
            });
        }
        let path = self.path();
        self.notes.push(Note {
            place,
            path,
            code,
            message: if code == "bad-tag" {
                format!("{message}; the tag is ignored")
            } else {
                format!("{message}; ignored")
            },
        });
        Ok(())
    }

    /// The keys and indexes that lead to the value that is being read.
    fn path(&self) -> Vec<String> {
        let steps = self.stack.iter().map(|frame| match &frame.content {
            Open::List(items) => Some(items.len().to_string()),
            Open::Map(map) => match &map.pending {
                Some(Key::Usable(key, _)) => Some(key.clone()),
                Some(Key::Merge) => Some("<<".to_owned()),
                Some(Key::Unusable) | None => None,
            },
        });
        steps.flatten().collect()
    }
}

/// The key that a value is, and whether it cannot be one.
fn key(value: Value, merge: bool) -> (Key, bool) {
    match value.data {
        Data::Scalar(_) if merge => (Key::Merge, false),
        Data::Scalar(scalar) => (Key::Usable(scalar.text, value.span), false),
        Data::List(_) | Data::Map(_) => (Key::Unusable, true),
    }
}

fn unknown_tag(tag: &Tag, place: Place) -> Flaw {
    let name = shown(&format!("{}{}", tag.handle, tag.suffix));
    Flaw {
        place,
        message: format!("the tag {name} has no meaning here; remove it"),
    }
}

#[cfg(test)]
mod tests;
