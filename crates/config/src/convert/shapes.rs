//! What keys and types another system's documents have: a small notation and its checker.
//!
//! One key on a line, the keys of a mapping indented below it by two blanks:
//!
//! ```text
//! name! text                 required text
//! size 'auto' | int          one of several shapes
//! mode text ~~22.2 new_name  the key is deprecated since 22.2; what follows is to be used
//! uid int | text ~22.3 an integer is wanted      only this shape of it is deprecated
//! files [{..}]+              a list, not empty, of mappings whose keys follow
//! hosts {text}               a mapping of any keys to text
//! extra {...}                a mapping whose keys follow, and any others
//! user $user                 a shape with a name: a line that begins with `$`
//! args {text} ^1-3           only in versions 1 to 3
//! ```
//!
//! After `]`: `+` not empty, `*` no item twice, `2` or `1-6` so many items. After `}`: `+` not
//! empty, `/a/b` at least one of these keys.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::report::join;
use crate::{
    finding::{Place, did_you_mean, nearest},
    yaml::{Data, Kind, Scalar, Value},
};

/// A part of a document that is not as its schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) place: Place,
    /// Levels below the value that was checked.
    depth: usize,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Breaks the schema.
    Wrong(String),
    /// A deprecated key or shape.
    Old(String),
    /// A key that the schema does not have.
    Unknown(String),
}

#[derive(Debug, Clone)]
struct Old {
    since: String,
    instead: String,
}

#[derive(Debug, Clone)]
struct Choice(Vec<(Shape, Option<Old>)>);

#[derive(Debug, Clone)]
enum Shape {
    Any,
    Text,
    /// Text of a form with a name.
    Form(String),
    Bool,
    Integer(Option<i128>),
    Number,
    Null,
    List,
    Map,
    /// Exactly this text.
    Word(String),
    /// Exactly this boolean.
    Flag(bool),
    Items {
        of: Box<Choice>,
        least: usize,
        most: usize,
        unique: bool,
    },
    /// Any keys with such values.
    Of(Box<Choice>),
    Object(Object),
    Named(String),
}

#[derive(Debug, Clone, Default)]
struct Object {
    fields: Vec<(String, Field)>,
    open: bool,
    least: usize,
    any_of: Vec<String>,
}

#[derive(Debug, Clone)]
struct Field {
    required: bool,
    choice: Choice,
    old: Option<Old>,
    versions: (u32, u32),
}

/// A schema.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    named: HashMap<String, Shape>,
    root: Object,
}

/// What a check needs beside the value.
pub(super) struct Options<'a> {
    /// The version of the format, for keys that some versions have.
    pub(super) version: u32,
    /// Values of which nothing is known, so that they fit everywhere.
    pub(super) opaque: &'a dyn Fn(&Value) -> bool,
    /// Scalars that the format's reader makes a date of: no text then.
    pub(super) date: &'a dyn Fn(&Value) -> bool,
    /// Says which version deprecated a form, and what replaces it.
    pub(super) old: &'a dyn Fn(&str, &str) -> String,
}

impl Shapes {
    /// Reads the notation. A line that is not of it is an error with its number.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<(usize, usize, &str)> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .map(|(number, line)| {
                let content = line.trim_start();
                (number + 1, line.len() - content.len(), content)
            })
            .collect();
        let mut shapes = Self::default();
        let mut at = 0;
        while let Some((number, _, content)) = lines.get(at) {
            at += 1;
            let below = children(&lines, at, 0);
            let inner = &lines[at..below];
            at = below;
            let fault = |message: &str| format!("line {number}: {message}");
            if let Some(rest) = content.strip_prefix('$') {
                let (name, rest) = rest.split_once(' ').ok_or_else(|| fault("no shape"))?;
                let field = field(rest, inner, 2).map_err(|error| fault(&error))?;
                let shape = field.choice.0.into_iter().next().map(|(shape, _)| shape);
                let shape = shape.ok_or_else(|| fault("no shape"))?;
                shapes.named.insert(name.to_owned(), shape);
            } else {
                let (name, rest) = content.split_once(' ').ok_or_else(|| fault("no shape"))?;
                let field = field_named(name, rest, inner, 2).map_err(|error| fault(&error))?;
                shapes.root.fields.push(field);
            }
        }
        Ok(shapes)
    }

    /// The keys of a document.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.fields.iter().map(|(name, _)| name.as_str())
    }

    /// Everything in a document that is not as the schema says.
    pub(super) fn check(&self, value: &Value, options: &Options<'_>) -> Vec<Found> {
        Checker::new(self, options).object(&self.root, value, "", 0)
    }

    /// The same for a document that is the shape with this name.
    pub(super) fn check_named(
        &self,
        name: &str,
        value: &Value,
        path: &str,
        options: &Options<'_>,
    ) -> Vec<Found> {
        let named = Shape::Named(name.to_owned());
        Checker::new(self, options).shape(&named, value, path, 0)
    }
}

/// Where the lines deeper than `indent` that begin at `from` end.
fn children(lines: &[(usize, usize, &str)], from: usize, indent: usize) -> usize {
    lines[from..]
        .iter()
        .position(|(_, depth, _)| *depth <= indent)
        .map_or(lines.len(), |length| from + length)
}

type Line<'a> = (usize, usize, &'a str);

fn field_named(
    name: &str,
    rest: &str,
    inner: &[Line<'_>],
    indent: usize,
) -> Result<(String, Field), String> {
    let mut made = field(rest, inner, indent)?;
    let name = match name.strip_suffix('!') {
        Some(name) => {
            made.required = true;
            name
        }
        None => name,
    };
    Ok((name.to_owned(), made))
}

fn field(rest: &str, inner: &[Line<'_>], indent: usize) -> Result<Field, String> {
    let (rest, versions) = match rest.rsplit_once(" ^") {
        Some((rest, range)) => {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str, default| text.parse().unwrap_or(default);
            (rest, (number(from, 0), number(to, u32::MAX)))
        }
        None => (rest, (0, u32::MAX)),
    };
    let (rest, old) = match rest.split_once(" ~~") {
        Some((rest, old)) => (rest, Some(parse_old(old))),
        None => (rest, None),
    };
    let mut fields = Vec::new();
    let mut at = 0;
    while let Some((number, _, content)) = inner.get(at) {
        at += 1;
        let below = children(inner, at, indent);
        let (name, rest) = content
            .split_once(' ')
            .ok_or_else(|| format!("line {number}: no shape"))?;
        fields.push(field_named(name, rest, &inner[at..below], indent + 2)?);
        at = below;
    }
    let mut alternatives = Vec::new();
    for part in rest.split(" | ") {
        let (part, old) = match part.split_once(" ~") {
            Some((part, old)) => (part, Some(parse_old(old))),
            None => (part, None),
        };
        let (shape, left) = shape(part.trim(), &fields)?;
        if !left.is_empty() {
            return Err(format!("`{left}` is left over"));
        }
        alternatives.push((shape, old));
    }
    Ok(Field {
        required: false,
        choice: Choice(alternatives),
        old,
        versions,
    })
}

fn parse_old(text: &str) -> Old {
    let (since, instead) = text.split_once(' ').unwrap_or((text, ""));
    Old {
        since: since.to_owned(),
        instead: instead.trim().to_owned(),
    }
}

/// The shape at the start of `text`, and what follows it.
fn shape<'a>(text: &'a str, fields: &[(String, Field)]) -> Result<(Shape, &'a str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (of, rest) = choice(rest, fields)?;
        let rest = rest.strip_prefix(']').ok_or("`]` is missing")?;
        let end = rest.find(['|', ']', '}']).unwrap_or(rest.len());
        let (flags, rest) = rest.split_at(end);
        let (mut least, mut most, mut unique) = (0, usize::MAX, false);
        match flags {
            "" => {}
            "+" => least = 1,
            "*" => unique = true,
            "+*" => (least, unique) = (1, true),
            range => {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                least = from.parse().map_err(|_| format!("`{range}`"))?;
                most = to.parse().map_err(|_| format!("`{range}`"))?;
            }
        }
        let of = Box::new(of);
        return Ok((
            Shape::Items {
                of,
                least,
                most,
                unique,
            },
            rest,
        ));
    }
    for (mark, open) in [("{..}", false), ("{...}", true)] {
        if let Some(rest) = text.strip_prefix(mark) {
            let end = rest.find(['|', ']', '}']).unwrap_or(rest.len());
            let (flags, rest) = rest.split_at(end);
            let mut any_of = flags.split('/');
            let least = usize::from(any_of.next() == Some("+"));
            let object = Object {
                fields: fields.to_vec(),
                open,
                least,
                any_of: any_of.map(str::to_owned).collect(),
            };
            return Ok((Shape::Object(object), rest));
        }
    }
    if let Some(rest) = text.strip_prefix('{') {
        let (of, rest) = choice(rest, fields)?;
        let rest = rest.strip_prefix('}').ok_or("`}` is missing")?;
        return Ok((Shape::Of(Box::new(of)), rest));
    }
    if let Some(rest) = text.strip_prefix('\'') {
        let (word, rest) = rest.split_once('\'').ok_or("a quote is missing")?;
        return Ok((Shape::Word(word.to_owned()), rest));
    }
    let end = text.find(['|', ']', '}']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let shape = match word {
        "any" => Shape::Any,
        "text" => Shape::Text,
        "bool" => Shape::Bool,
        "int" => Shape::Integer(None),
        "number" => Shape::Number,
        "null" => Shape::Null,
        "list" => Shape::List,
        "map" => Shape::Map,
        "true" => Shape::Flag(true),
        "false" => Shape::Flag(false),
        other => {
            if let Some(name) = other.strip_prefix('$') {
                Shape::Named(name.to_owned())
            } else if let Some(least) = other.strip_prefix("int>=") {
                Shape::Integer(Some(least.parse().map_err(|_| format!("`{other}`"))?))
            } else if let Some(form) = other.strip_prefix("text:") {
                Shape::Form(form.to_owned())
            } else {
                return Err(format!("unknown shape `{other}`"));
            }
        }
    };
    Ok((shape, rest))
}

fn choice<'a>(text: &'a str, fields: &[(String, Field)]) -> Result<(Choice, &'a str), String> {
    let (first, mut rest) = shape(text, fields)?;
    let mut shapes = vec![(first, None)];
    while let Some(more) = rest.strip_prefix('|') {
        let (next, left) = shape(more, fields)?;
        shapes.push((next, None));
        rest = left;
    }
    Ok((Choice(shapes), rest))
}

/// Whether the paths of all values together are of a size that can be reported.
pub(super) fn is_sane(value: &Value) -> bool {
    const MOST: usize = 64 << 20;
    fn weigh(value: &Value, above: usize, total: &mut usize) {
        *total = total.saturating_add(above);
        if *total > MOST {
            return;
        }
        match &value.data {
            Data::List(items) => items.iter().for_each(|item| weigh(item, above + 7, total)),
            Data::Map(entries) => entries
                .iter()
                .for_each(|entry| weigh(&entry.value, above + entry.key.len() + 1, total)),
            Data::Scalar(_) => {}
        }
    }
    let mut total = 0;
    weigh(value, 0, &mut total);
    total <= MOST
}

struct Checker<'a> {
    shapes: &'a Shapes,
    options: &'a Options<'a>,
    /// Unknown keys for which a known one is still looked for.
    guesses: Cell<usize>,
}

impl<'a> Checker<'a> {
    fn new(shapes: &'a Shapes, options: &'a Options<'a>) -> Self {
        Self {
            shapes,
            options,
            guesses: Cell::new(500),
        }
    }
}

impl Checker<'_> {
    fn choice(&self, choice: &Choice, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        if (self.options.opaque)(value) {
            return Vec::new();
        }
        let mut failed = Vec::new();
        // The faults of the shapes that are a list or mapping as the value is.
        let mut alike = Vec::new();
        for (shape, old) in &choice.0 {
            let mut found = self.shape(shape, value, path, depth);
            if found.iter().any(|one| matches!(one.fault, Fault::Wrong(_))) {
                if self.is_alike(shape, value) {
                    alike.push(failed.len());
                }
                failed.push(found);
                continue;
            }
            if let Some(old) = old {
                let message = (self.options.old)(&old.since, &old.instead);
                found.push(Found {
                    path: path.to_owned(),
                    place: value.span.start,
                    depth,
                    fault: Fault::Old(message),
                });
            }
            return found;
        }
        if failed.len() == 1 {
            return failed.remove(0);
        }
        if let [only] = alike[..] {
            return failed.remove(only);
        }
        // Of several shapes the one that went deepest is meant.
        let mut all: Vec<Found> = failed.into_iter().flatten().collect();
        all.retain(|one| matches!(one.fault, Fault::Wrong(_)));
        let deepest = all.iter().map(|one| one.depth).max().unwrap_or(depth);
        if deepest > depth {
            all.retain(|one| one.depth == deepest);
            return all;
        }
        vec![wrong(path, value, depth, &self.expected(choice))]
    }

    fn is_alike(&self, shape: &Shape, value: &Value) -> bool {
        match shape {
            Shape::List | Shape::Items { .. } => matches!(value.data, Data::List(_)),
            Shape::Map | Shape::Of(_) | Shape::Object(_) => matches!(value.data, Data::Map(_)),
            Shape::Named(name) => self
                .shapes
                .named
                .get(name)
                .is_some_and(|shape| self.is_alike(shape, value)),
            _ => false,
        }
    }

    fn shape(&self, shape: &Shape, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        let scalar = match &value.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        };
        let kind = scalar.map(|scalar| scalar.kind);
        let text = scalar.filter(|scalar| {
            matches!(scalar.kind, Kind::Text | Kind::Binary) && !(self.options.date)(value)
        });
        let fits = match shape {
            Shape::Any => true,
            Shape::Text => text.is_some(),
            Shape::Form(form) => text.is_some_and(|scalar| has_form(form, &scalar.text)),
            Shape::Word(word) => text.is_some_and(|scalar| scalar.text == *word),
            Shape::Bool => matches!(kind, Some(Kind::Bool(_))),
            Shape::Flag(flag) => kind == Some(Kind::Bool(*flag)),
            Shape::Integer(least) => match kind {
                Some(Kind::Integer(number)) => least.is_none_or(|least| number >= least),
                _ => false,
            },
            Shape::Number => matches!(kind, Some(Kind::Integer(_) | Kind::Float(_))),
            Shape::Null => kind == Some(Kind::Null),
            Shape::List => matches!(value.data, Data::List(_)),
            Shape::Map => matches!(value.data, Data::Map(_)),
            Shape::Items {
                of,
                least,
                most,
                unique,
            } => {
                let Data::List(items) = &value.data else {
                    return vec![wrong(path, value, depth, "a list")];
                };
                let mut found = Vec::new();
                if items.len() < *least || items.len() > *most {
                    let wanted = match (least, most) {
                        (1, &usize::MAX) => "a list that is not empty".to_owned(),
                        (least, most) if least == most => format!("a list of {least} items"),
                        (least, most) => format!("a list of {least} to {most} items"),
                    };
                    found.push(wrong(path, value, depth, &wanted));
                }
                if *unique && repeated(items) {
                    found.push(wrong(path, value, depth, "a list without repetitions"));
                }
                for (index, item) in items.iter().enumerate() {
                    found.extend(self.choice(of, item, &join(path, index), depth + 1));
                }
                return found;
            }
            Shape::Of(of) => {
                let Data::Map(entries) = &value.data else {
                    return vec![wrong(path, value, depth, "a mapping")];
                };
                return entries
                    .iter()
                    .flat_map(|entry| {
                        self.choice(of, &entry.value, &join(path, &entry.key), depth + 1)
                    })
                    .collect();
            }
            Shape::Object(object) => return self.object(object, value, path, depth),
            Shape::Named(name) => {
                return match self.shapes.named.get(name) {
                    Some(shape) => self.shape(shape, value, path, depth),
                    None => Vec::new(),
                };
            }
        };
        if fits {
            Vec::new()
        } else {
            vec![wrong(path, value, depth, &self.words(shape))]
        }
    }

    fn object(&self, object: &Object, value: &Value, path: &str, depth: usize) -> Vec<Found> {
        let Data::Map(entries) = &value.data else {
            return vec![wrong(path, value, depth, "a mapping")];
        };
        let mut found = Vec::new();
        let version = self.options.version;
        let known = |field: &Field| (field.versions.0..=field.versions.1).contains(&version);
        let fields: HashMap<&str, &Field> = object
            .fields
            .iter()
            .filter(|(_, field)| known(field))
            .map(|(name, field)| (name.as_str(), field))
            .collect();
        for (name, field) in &object.fields {
            if field.required && known(field) && value.get(name).is_none() {
                let wanted = format!("a mapping with the key `{name}`");
                found.push(wrong(path, value, depth, &wanted));
            }
        }
        if entries.len() < object.least {
            found.push(wrong(path, value, depth, "a mapping that is not empty"));
        }
        if !object.any_of.is_empty() && !object.any_of.iter().any(|key| value.get(key).is_some()) {
            let wanted = format!(
                "a mapping with one of the keys {}",
                object.any_of.join(", ")
            );
            found.push(wrong(path, value, depth, &wanted));
        }
        for entry in entries {
            let below = join(path, &entry.key);
            let mut add = |fault| {
                found.push(Found {
                    path: below.clone(),
                    place: entry.span.start,
                    depth: depth + 1,
                    fault,
                });
            };
            let Some(field) = fields.get(entry.key.as_str()) else {
                if !object.open {
                    let guess = self.guesses.get() > 0;
                    self.guesses.set(self.guesses.get().saturating_sub(1));
                    let near = guess.then(|| nearest(&entry.key, fields.keys().copied()));
                    let near = did_you_mean(near.flatten());
                    add(Fault::Unknown(format!("unknown key{near}")));
                }
                continue;
            };
            if let Some(old) = &field.old {
                add(Fault::Old((self.options.old)(&old.since, &old.instead)));
            }
            found.extend(self.choice(&field.choice, &entry.value, &below, depth + 1));
        }
        found
    }

    fn expected(&self, choice: &Choice) -> String {
        let mut words: Vec<String> = Vec::new();
        for (shape, _) in &choice.0 {
            let word = self.words(shape);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" or ")
    }

    fn words(&self, shape: &Shape) -> String {
        match shape {
            Shape::Any => "anything".to_owned(),
            Shape::Text => "text".to_owned(),
            Shape::Form(form) => form_words(form).to_owned(),
            Shape::Word(word) => format!("`{word}`"),
            Shape::Bool => "true or false".to_owned(),
            Shape::Flag(flag) => format!("`{flag}`"),
            Shape::Integer(None) => "an integer".to_owned(),
            Shape::Integer(Some(least)) => format!("an integer from {least}"),
            Shape::Number => "a number".to_owned(),
            Shape::Null => "nothing".to_owned(),
            Shape::List | Shape::Items { .. } => "a list".to_owned(),
            Shape::Map | Shape::Of(_) | Shape::Object(_) => "a mapping".to_owned(),
            Shape::Named(name) => match self.shapes.named.get(name) {
                Some(shape) if !matches!(shape, Shape::Named(_)) => self.words(shape),
                _ => name.clone(),
            },
        }
    }
}

fn wrong(path: &str, value: &Value, depth: usize, wanted: &str) -> Found {
    // What was found is described by its type alone: it may be a secret.
    let what = match &value.data {
        Data::List(items) if items.is_empty() => "an empty list",
        Data::List(_) => "a list",
        Data::Map(entries) if entries.is_empty() => "an empty mapping",
        Data::Map(_) => "a mapping",
        Data::Scalar(Scalar { kind, .. }) => match kind {
            Kind::Null => "nothing",
            Kind::Bool(true) => "true",
            Kind::Bool(false) => "false",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Text if wanted.starts_with("text") => "a date; put it in quotes",
            Kind::Text => "text",
            Kind::Binary => "binary data",
        },
    };
    let quote = match &value.data {
        Data::Scalar(Scalar {
            kind: Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_),
            ..
        }) if wanted.starts_with("text") => "; put it in quotes",
        _ => "",
    };
    Found {
        path: path.to_owned(),
        place: value.span.start,
        depth,
        fault: Fault::Wrong(format!("must be {wanted}, found {what}{quote}")),
    }
}

/// Whether two items of a list are the same scalar.
fn repeated(items: &[Value]) -> bool {
    let mut seen = HashSet::new();
    items.iter().any(|item| match &item.data {
        Data::Scalar(scalar) => !seen.insert(scalar.text.as_str()),
        _ => false,
    })
}

/// Whether text has a form that the notation names.
fn has_form(form: &str, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match form {
        // A size in bytes with a unit: `512M`, `1.5G`.
        "size" => {
            let Some((number, "B" | "K" | "M" | "G" | "T")) = text
                .len()
                .checked_sub(1)
                .and_then(|at| text.split_at_checked(at))
            else {
                return false;
            };
            match number.split_once('.') {
                Some((whole, part)) => (whole.is_empty() || digits(whole)) && digits(part),
                None => digits(number),
            }
        }
        "delay" => digits(text.strip_prefix('+').unwrap_or(text)),
        "tags" => text.split(',').all(|tag| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !tag.is_empty() && tag.bytes().all(letter)
        }),
        "user:password" => text
            .split_once(':')
            .is_some_and(|(user, password)| !user.is_empty() && !password.is_empty()),
        "date" => {
            let bytes = text.as_bytes();
            let number = |range: std::ops::Range<usize>| {
                text.get(range).and_then(|text| text.parse::<u32>().ok())
            };
            bytes.len() == 10
                && bytes[4] == b'-'
                && bytes[7] == b'-'
                && number(0..4).is_some()
                && number(5..7).is_some_and(|month| (1..=12).contains(&month))
                && number(8..10).is_some_and(|day| (1..=31).contains(&day))
        }
        // Go's durations: `4m0s`.
        "duration" => {
            let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
            if rest == "0" {
                return true;
            }
            let mut any = false;
            while !rest.is_empty() {
                let end = rest
                    .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
                    .unwrap_or(rest.len());
                let (number, unit) = rest.split_at(end);
                let known = ["ms", "us", "µs", "ns", "h", "m", "s"];
                let Some(unit) = known.iter().find(|known| unit.starts_with(**known)) else {
                    return false;
                };
                if number.is_empty() || number.parse::<f64>().is_err() {
                    return false;
                }
                rest = &rest[end + unit.len()..];
                any = true;
            }
            any
        }
        _ => true,
    }
}

fn form_words(form: &str) -> &'static str {
    match form {
        "size" => "a size such as 512M",
        "delay" => "minutes as digits",
        "tags" => "words of letters, digits, `-` and `_`, separated by commas",
        "user:password" => "NAME:PASSWORD",
        "date" => "a date such as '2030-12-31', in quotes",
        "duration" => "a duration such as 4m0s",
        _ => "text",
    }
}
