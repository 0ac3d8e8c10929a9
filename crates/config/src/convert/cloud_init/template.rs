//! jinja templates: what they would put in is not known here, so it is covered by a mark before
//! the YAML is read, and the values that hold the mark are reported.

use crate::yaml::{Data, Kind, Scalar, Value};

/// Stands where a template stood. Of a private area, so that no text has it by chance.
pub(super) const MARK: char = '\u{10fffd}';

/// A document whose template parts are covered, line for line and column for column.
#[derive(Debug, Default)]
pub(super) struct Masked {
    pub(super) text: String,
    /// Whether there was any.
    pub(super) found: bool,
    /// By line, from 0: whether it stands between `if` or `for` and its end.
    conditional: Vec<bool>,
}

/// Covers the template parts of a text.
pub(super) fn mask(text: &str) -> Masked {
    let mut masked = Masked::default();
    let mut depth: usize = 0;
    let mut covered = String::with_capacity(text.len());
    // Lines that hold statements only: nothing but a comment may stand there.
    let mut statements: Vec<bool> = vec![false];
    let mut plain: Vec<bool> = vec![false];
    let mut rest = text;
    // Ends that the rest of the text does not have: not looked for again and again.
    let mut endless = [false; 3];
    masked.conditional.push(false);
    let new_line = |depth: usize, conditional: &mut Vec<bool>| {
        conditional.push(depth > 0);
    };
    while let Some(letter) = rest.chars().next() {
        let opening = ["{{", "{%", "{#"]
            .iter()
            .position(|open| rest.starts_with(open));
        let closing = opening.filter(|kind| !endless[*kind]).and_then(|kind| {
            let at = rest[2..].find(["}}", "%}", "#}"][kind]);
            endless[kind] = at.is_none();
            at.map(|at| at + 4)
        });
        if let Some(length) = closing {
            let (inside, more) = rest.split_at(length);
            rest = more;
            masked.found = true;
            if let Some(statement) = inside.strip_prefix("{%") {
                let word = statement
                    .trim_start_matches(['-', '+'])
                    .split_whitespace()
                    .next()
                    .unwrap_or_default();
                if matches!(word, "if" | "for" | "macro" | "filter" | "call" | "block") {
                    depth += 1;
                } else if word.starts_with("end") {
                    depth = depth.saturating_sub(1);
                }
            }
            let statement = !inside.starts_with("{{");
            for letter in inside.chars() {
                if letter == '\n' {
                    covered.push('\n');
                    new_line(depth, &mut masked.conditional);
                    statements.push(statement);
                    plain.push(false);
                } else {
                    covered.push(MARK);
                }
            }
            if let (Some(here), Some(plain)) = (statements.last_mut(), plain.last_mut()) {
                *here |= statement;
                *plain |= !statement;
            }
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        covered.push(letter);
        if letter == '\n' {
            new_line(depth, &mut masked.conditional);
            statements.push(false);
            plain.push(false);
        } else if !letter.is_whitespace()
            && let Some(plain) = plain.last_mut()
        {
            *plain = true;
        }
    }
    let lines: Vec<&str> = covered.split('\n').collect();
    let only = |number: usize| statements[number] && !plain[number];
    let mut out = String::with_capacity(covered.len());
    // From the end, so that a statement stands as deep as the line that follows it.
    let mut indents = vec![0; lines.len()];
    let mut next = 0;
    for (number, line) in lines.iter().enumerate().rev() {
        let own = line.len() - line.trim_start_matches(' ').len();
        if only(number) {
            indents[number] = own.max(next);
        } else if !line.trim().is_empty() {
            next = own;
        }
    }
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        if only(number) {
            out.push_str(&" ".repeat(indents[number]));
            out.push('#');
            out.push(MARK);
        } else {
            out.push_str(line);
        }
    }
    masked.text = out;
    masked
}

impl Masked {
    /// Marks what stands under a condition.
    pub(super) fn mark(&self, value: &mut Value) {
        match &mut value.data {
            Data::List(items) => items.iter_mut().for_each(|item| self.mark(item)),
            Data::Map(entries) => entries
                .iter_mut()
                .for_each(|entry| self.mark(&mut entry.value)),
            Data::Scalar(scalar) => {
                let line = value.span.start.line.saturating_sub(1);
                if self.conditional.get(line).copied().unwrap_or_default() {
                    scalar.text.push(MARK);
                    scalar.kind = Kind::Text;
                }
            }
        }
    }
}

/// Whether a value holds a template.
pub(super) fn is_marked(value: &Value) -> bool {
    matches!(&value.data, Data::Scalar(Scalar { text, .. }) if text.contains(MARK))
}
