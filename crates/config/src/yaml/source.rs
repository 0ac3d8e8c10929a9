//! From bytes to the text of a document, for both readers.

use crate::finding::Place;

/// The largest file that is read, in bytes.
pub const MOST_BYTES: usize = 4 << 20;

/// Why bytes are no text of YAML.
#[derive(Debug)]
pub struct Refusal {
    pub place: Place,
    pub message: String,
    pub hint: &'static str,
}

/// The text of a file, if it is one that YAML allows (chapter 5.1 and 5.2).
pub fn whole(bytes: &[u8]) -> Result<&str, Refusal> {
    encoding(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    printable(text)?;
    Ok(text)
}

/// The first document of a file, and what follows it.
#[derive(Debug)]
pub struct First<'a> {
    /// The document with all that stands before it, so that lines are those of the file.
    pub text: &'a str,
    /// The place after it.
    pub end: Place,
    /// Whether something follows it that is more than comments.
    pub more: bool,
}

/// The text of the first document: what follows it is not even looked at for wrong bytes.
pub fn first(bytes: &[u8]) -> Result<First<'_>, Refusal> {
    encoding(bytes)?;
    let (text, error) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            (std::str::from_utf8(valid).unwrap_or_default(), Some(error))
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let end = end_of_first(text);
    let (document, rest) = text.split_at(end.unwrap_or(text.len()));
    if let (None, Some(error)) = (end, error) {
        return Err(not_utf8(bytes, error));
    }
    printable(document)?;
    Ok(First {
        text: document,
        end: place_after(document),
        more: error.is_some() || rest.lines().any(|line| !is_idle(line)),
    })
}

/// Where the line begins that ends the first document, if one does.
///
/// `---` and `...` at the beginning of a line end a document whatever is open (chapter 9.1.2),
/// so that this needs no parser.
fn end_of_first(text: &str) -> Option<usize> {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if is_marker(line, "---") {
            if begun {
                return Some(at);
            }
            begun = true;
        } else if is_marker(line, "...") {
            if begun {
                return Some(at);
            }
        } else if !begun {
            let content = line.trim_start();
            begun = !content.is_empty() && !content.starts_with('#') && !line.starts_with('%');
        }
        at += line.len();
    }
    None
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line after a document holds nothing that is lost.
fn is_idle(line: &str) -> bool {
    let content = line.trim();
    content.is_empty() || content.starts_with('#') || matches!(content, "---" | "...")
}

fn encoding(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > MOST_BYTES {
        return Err(Refusal {
            place: Place::START,
            message: format!(
                "the file has {} bytes; at most {MOST_BYTES} are read",
                bytes.len()
            ),
            hint: "is this the right file? large contents belong into files of their own",
        });
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Refusal {
            place: Place::START,
            message: "the file is UTF-16; only UTF-8 is read".to_owned(),
            hint: "save it as UTF-8",
        });
    }
    Ok(())
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Refusal {
    let valid = &bytes[..error.valid_up_to()];
    let byte = bytes.get(valid.len()).copied().unwrap_or_default();
    Refusal {
        place: place_after(&String::from_utf8_lossy(valid)),
        message: format!("byte 0x{byte:02x} is not UTF-8"),
        hint: "save the file as UTF-8; binary content can be written as base64 with `encoding: base64`",
    }
}

fn printable(text: &str) -> Result<(), Refusal> {
    let forbidden = |character: char| matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}');
    let Some((at, character)) = text.char_indices().find(|(_, c)| forbidden(*c)) else {
        return Ok(());
    };
    let name = match character {
        '\0' => "a NUL byte".to_owned(),
        other => format!("the control character U+{:04X}", u32::from(other)),
    };
    Err(Refusal {
        place: place_after(&text[..at]),
        message: format!("{name} is not allowed in YAML"),
        hint: "remove it, or write it as an escape in double quotes, such as \"\\x1b\"",
    })
}

/// The place that follows `text`.
fn place_after(text: &str) -> Place {
    let line = text.matches('\n').count() + 1;
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place {
        line,
        column: last.chars().count() + 1,
    }
}
