//! Paragraphs of `Field: value` lines (deb822(5)), without copying a byte of them.

/// One paragraph: its fields in the order of the text.
///
/// A value is a slice of the text, trimmed; one that spans several lines still holds its line
/// breaks and the blanks after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<(&'a str, &'a str)>,
    line: usize,
}

/// Text that is not deb822.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither `Field: value` nor the continuation of one: `{text}`")]
pub struct ParagraphError {
    /// The line, counted from 1.
    pub line: usize,
    /// The start of that line.
    pub text: String,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, whatever the case of its name (deb822(5)).
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// All fields in the order of the text.
    pub fn fields(&self) -> &[(&'a str, &'a str)] {
        &self.fields
    }

    /// The line of the text, counted from 1, on which the paragraph starts.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Reads paragraphs one after the other.
#[derive(Clone, Debug)]
pub struct Paragraphs<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Paragraphs<'a> {
    /// Reads `text` from its start.
    pub fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 0,
        }
    }

    /// Reads the next paragraph into `paragraph`, whose memory is used again; `false` at the
    /// end. Comment lines (`#`) are skipped.
    ///
    /// # Errors
    /// [`ParagraphError`] at a line that is no field.
    pub fn read(&mut self, paragraph: &mut Paragraph<'a>) -> Result<bool, ParagraphError> {
        paragraph.fields.clear();
        // Where the value that may still be continued starts.
        let mut value_start = 0;
        let mut text = self.rest;
        let all = text;
        let offset = |part: &str| part.as_ptr() as usize - all.as_ptr() as usize;
        while !text.is_empty() {
            let (line, rest) = match text.as_bytes().iter().position(|byte| *byte == b'\n') {
                Some(end) => (&text[..end], &text[end + 1..]),
                None => (text, ""),
            };
            self.line += 1;
            text = rest;
            match line.as_bytes().first() {
                Some(b'#') => {}
                Some(b' ' | b'\t') if !line.trim_ascii().is_empty() => {
                    let Some((_, value)) = paragraph.fields.last_mut() else {
                        return Err(self.error(line));
                    };
                    *value = all[value_start..offset(line) + line.len()].trim_ascii();
                }
                _ if line.trim_ascii().is_empty() => {
                    if !paragraph.fields.is_empty() {
                        break;
                    }
                }
                _ => {
                    let Some(colon) = line.as_bytes().iter().position(|byte| *byte == b':') else {
                        return Err(self.error(line));
                    };
                    let name = &line[..colon];
                    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace()) {
                        return Err(self.error(line));
                    }
                    if paragraph.fields.is_empty() {
                        paragraph.line = self.line;
                    }
                    value_start = offset(line) + colon + 1;
                    paragraph
                        .fields
                        .push((name, line[colon + 1..].trim_ascii()));
                }
            }
        }
        self.rest = text;
        Ok(!paragraph.fields.is_empty())
    }

    fn error(&self, line: &str) -> ParagraphError {
        ParagraphError {
            line: self.line,
            text: line.chars().take(60).collect(),
        }
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ParagraphError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut paragraph = Paragraph::default();
        match self.read(&mut paragraph) {
            Ok(true) => Some(Ok(paragraph)),
            Ok(false) => None,
            Err(error) => {
                self.rest = "";
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folded_values_keep_their_lines() {
        let text =
            "\nPackage: a\nDepends: b,\n c\n# remark\nDescription: one\n two\n .\n\n\nPackage: z\n";
        let all: Vec<_> = Paragraphs::new(text).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("depends"), Some("b,\n c"));
        assert_eq!(all[0].get("Description"), Some("one\n two\n ."));
        assert_eq!((all[0].line(), all[1].line()), (2, 11));
        assert_eq!(all[1].fields(), [("Package", "z")]);
    }

    #[test]
    fn a_line_that_is_no_field_is_named() {
        let error = Paragraphs::new("A: b\nnonsense\n").next().unwrap();
        assert_eq!(error.unwrap_err().line, 2);
    }

    proptest! {
        #[test]
        fn written_paragraphs_read_back(
            fields in prop::collection::vec(("[A-Z][a-zA-Z-]{0,9}", "[!-~]([ -~]{0,20}[!-~])?"), 1..8)
        ) {
            let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let text = lines.join("\n");
            let paragraph = Paragraphs::new(&text).next().unwrap().unwrap();
            let read: Vec<_> = paragraph.fields().iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            prop_assert_eq!(read, fields);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            for paragraph in Paragraphs::new(&text) {
                let _ = paragraph;
            }
        }
    }
}
