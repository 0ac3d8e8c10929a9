//! The notation in which schemas are written.
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

use super::{Choice, Field, Object, Old, Shape, Shapes};

impl Shapes {
    /// Reads the notation. A line that is not of it is an error with its number.
    pub(in crate::convert) fn parse(text: &str) -> Result<Self, String> {
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
        let (least, rest) = match rest.strip_prefix('+') {
            Some(rest) => (1, rest),
            None => (0, rest),
        };
        return Ok((Shape::Of(Box::new(of), least), rest));
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
