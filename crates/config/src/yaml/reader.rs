//! From bytes to values.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{
    resolve,
    source::{self, MOST_BYTES},
    value::{Data, Entry, Kind, Scalar, Span, Value},
};
use crate::finding::{Collector, Place, shown};

/// Deeper nesting is refused: values are walked by recursion.
const MOST_DEPTH: usize = 64;
/// Values in one document, counted after aliases: a "billion laughs" file ends here.
const MOST_VALUES: usize = 200_000;
/// Bytes of text in one document, counted after aliases.
const MOST_TEXT: usize = 4 * MOST_BYTES;

/// Reads the one document of a file. An empty file is null.
///
/// What can be read despite a finding (all but syntax errors and limits) is returned beside the
/// findings, so that later checks add theirs.
pub fn read(bytes: &[u8], findings: &mut Collector) -> Option<Value> {
    let text = text(bytes, findings)?;
    Reader {
        findings,
        stack: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        text: 0,
        root: None,
    }
    .read(text)
}

/// The text of a file, if it is one that YAML allows.
fn text<'a>(bytes: &'a [u8], findings: &mut Collector) -> Option<&'a str> {
    source::whole(bytes)
        .map_err(|refusal| {
            let hint = Some(refusal.hint.to_owned());
            findings.add(refusal.place, "", "unreadable", refusal.message, hint);
        })
        .ok()
}

struct Frame {
    start: Place,
    anchor: usize,
    content: Open,
    /// Values in it, itself included.
    values: usize,
    text: usize,
    /// Levels below it.
    depth: usize,
}

enum Open {
    List(Vec<Value>),
    Map {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        /// A key that waits for its value.
        pending: Option<Key>,
    },
}

enum Key {
    Usable(String, Span),
    /// Reported already; its value is dropped.
    Unusable,
}

/// A value with what it costs.
#[derive(Clone)]
struct Counted {
    value: Value,
    values: usize,
    text: usize,
    depth: usize,
}

struct Reader<'a> {
    findings: &'a mut Collector,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Counted>,
    values: usize,
    text: usize,
    root: Option<Value>,
}

impl Reader<'_> {
    fn read(mut self, text: &str) -> Option<Value> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax(error.info(), place(*error.marker()), text);
                    return None;
                }
            };
            let span = Span {
                start: place(span.start),
                end: place(span.end),
            };
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.add(
                            span.start,
                            "several-documents",
                            "a second document begins here; the file may hold one".to_owned(),
                            "remove the `---` line, or split the file",
                        );
                        break;
                    }
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                other => self.event(other, span)?,
            }
        }
        Some(self.root.unwrap_or(Value {
            span: Span {
                start: Place::START,
                end: Place::START,
            },
            data: Data::Scalar(Scalar {
                text: String::new(),
                kind: Kind::Null,
            }),
        }))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Alias(id) => {
                let Some(counted) = self.anchors.get(&id) else {
                    self.add(
                        span.start,
                        "bad-alias",
                        "the alias is inside the value that it stands for".to_owned(),
                        "write the value out",
                    );
                    return None;
                };
                let counted = counted.clone();
                self.charge(counted.values, counted.text, span.start)?;
                self.within_depth(counted.depth, span.start)?;
                self.place_value(counted);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(1, text.len(), span.start)?;
                let kind = self.kind(&text, style, tag.as_deref(), span.start);
                let counted = Counted {
                    values: 1,
                    text: text.len(),
                    depth: 1,
                    value: Value {
                        span,
                        data: Data::Scalar(Scalar {
                            text: text.into_owned(),
                            kind,
                        }),
                    },
                };
                self.remember(anchor, &counted)?;
                self.place_value(counted);
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", span.start);
                self.open(span.start, anchor, Open::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", span.start);
                self.open(
                    span.start,
                    anchor,
                    Open::Map {
                        entries: Vec::new(),
                        keys: HashSet::new(),
                        pending: None,
                    },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end)?,
            _ => {}
        }
        Some(())
    }

    fn open(&mut self, start: Place, anchor: usize, content: Open) -> Option<()> {
        self.charge(1, 0, start)?;
        self.within_depth(1, start)?;
        self.stack.push(Frame {
            start,
            anchor,
            content,
            values: 1,
            text: 0,
            depth: 1,
        });
        Some(())
    }

    fn close(&mut self, end: Place) -> Option<()> {
        let frame = self.stack.pop()?;
        let data = match frame.content {
            Open::List(items) => Data::List(items),
            Open::Map { entries, .. } => Data::Map(entries),
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
        };
        self.remember(frame.anchor, &counted)?;
        self.place_value(counted);
        Some(())
    }

    fn remember(&mut self, anchor: usize, counted: &Counted) -> Option<()> {
        if anchor > 0 {
            self.charge(counted.values, counted.text, counted.value.span.start)?;
            self.anchors.insert(anchor, counted.clone());
        }
        Some(())
    }

    /// Puts a whole value where the open collection, or the document, wants it.
    fn place_value(&mut self, counted: Counted) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(counted.value);
            return;
        };
        frame.values += counted.values;
        frame.text += counted.text;
        frame.depth = frame.depth.max(counted.depth + 1);
        let value = counted.value;
        match &mut frame.content {
            Open::List(items) => items.push(value),
            Open::Map {
                entries,
                keys,
                pending,
            } => match pending.take() {
                Some(key) => {
                    if let Key::Usable(key, span) = key {
                        entries.push(Entry { key, span, value });
                    }
                }
                None => *pending = Some(key(value, keys, entries, self.findings)),
            },
        }
    }

    fn charge(&mut self, values: usize, text: usize, place: Place) -> Option<()> {
        self.values += values;
        self.text += text;
        if self.values <= MOST_VALUES && self.text <= MOST_TEXT {
            return Some(());
        }
        self.add(
            place,
            "too-large",
            format!("the file holds more than {MOST_VALUES} values or {MOST_TEXT} bytes of text, aliases counted each time"),
            "write less, and fewer aliases",
        );
        None
    }

    fn within_depth(&mut self, more: usize, place: Place) -> Option<()> {
        if self.stack.len() + more <= MOST_DEPTH {
            return Some(());
        }
        self.add(
            place,
            "too-deep",
            format!("values are nested more than {MOST_DEPTH} levels deep"),
            "no key of Lifeboat needs that; is a bracket not closed?",
        );
        None
    }

    fn kind(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Kind {
        let resolved = match style {
            ScalarStyle::Plain => resolve::plain(text),
            _ => Kind::Text,
        };
        let Some(tag) = tag else { return resolved };
        let plain = resolve::plain(text);
        let wanted = match (tag.is_yaml_core_schema(), tag.suffix.as_str(), plain) {
            (true, "str", _) => return Kind::Text,
            // The non-specific tag `!`, whose halves saphyr gives as "" and "!".
            (false, "", _) if tag.handle == "!" => return Kind::Text,
            (false, "!", _) if tag.handle.is_empty() => return Kind::Text,
            (true, "null", Kind::Null)
            | (true, "bool", Kind::Bool(_))
            | (true, "int", Kind::Integer(_))
            | (true, "float", Kind::Float(_) | Kind::Integer(_)) => return plain,
            (true, "null" | "bool" | "int" | "float", _) => Some(tag.suffix.as_str()),
            _ => None,
        };
        match wanted {
            Some(wanted) => self.add(
                place,
                "bad-tag",
                format!("{} is not what its tag !!{wanted} says", shown(text)),
                "correct the value or remove the tag",
            ),
            None => self.unknown_tag(tag, place),
        }
        resolved
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, own: &str, place: Place) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == own)
        {
            self.unknown_tag(tag, place);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, place: Place) {
        let name = shown(&format!("{}{}", tag.handle, tag.suffix));
        self.add(
            place,
            "bad-tag",
            format!("the tag {name} has no meaning here"),
            "remove it; null, bool, int, float, str, seq and map are known",
        );
    }

    fn syntax(&mut self, info: &str, place: Place, text: &str) {
        let message = format!("not YAML: {info}");
        self.add(place, "syntax", message, syntax_hint(text, place));
    }

    fn add(&mut self, place: Place, code: &'static str, message: String, hint: &str) {
        self.findings
            .add(place, "", code, message, Some(hint.to_owned()));
    }
}

/// The key that `value` is, unless it cannot be one or is there already.
fn key(
    value: Value,
    keys: &mut HashSet<String>,
    entries: &[Entry],
    findings: &mut Collector,
) -> Key {
    let span = value.span;
    let Data::Scalar(scalar) = value.data else {
        findings.add(
            span.start,
            "",
            "bad-key",
            "a list or mapping cannot be a key",
            Some("keys are text; `{{ }}` of a template needs quotes".to_owned()),
        );
        return Key::Unusable;
    };
    if keys.insert(scalar.text.clone()) {
        return Key::Usable(scalar.text, span);
    }
    let first = entries
        .iter()
        .find(|entry| entry.key == scalar.text)
        .map(|entry| entry.span.start.line);
    findings.add(
        span.start,
        "",
        "duplicate-key",
        match first {
            Some(line) => format!("the key {} is already in line {line}", shown(&scalar.text)),
            None => format!("the key {} is there twice", shown(&scalar.text)),
        },
        Some("keep one of the two".to_owned()),
    );
    Key::Unusable
}

pub(super) fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// What most likely makes the line of `place` no YAML.
pub(super) fn syntax_hint(text: &str, place: Place) -> &'static str {
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let indent: &str = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        "indent with spaces: YAML does not allow tabs there"
    } else if line
        .trim_start()
        .starts_with(['@', '`', '%', '&', '*', '!'])
        || line.contains(": ") && line.matches(": ").count() > 1
    {
        "text with `: `, ` #` or a special first character needs quotes"
    } else {
        "look at the indentation, quotes and brackets of this line and the one before"
    }
}
