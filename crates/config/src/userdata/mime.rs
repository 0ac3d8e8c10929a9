//! MIME multi-part messages (RFC 2045, RFC 2046), as far as user data comes in them.

use base64::Engine as _;

/// Parts in one message.
const MOST_PARTS: usize = 256;
/// Messages in messages.
const MOST_DEPTH: usize = 4;

/// A part that is no message itself, decoded.
pub(super) struct Part {
    /// Type in lower case without parameters; empty if it has none.
    pub kind: String,
    pub body: Vec<u8>,
}

/// All parts of a message, in their order.
pub(super) fn parts(message: &[u8]) -> Result<Vec<Part>, &'static str> {
    let mut all = Vec::new();
    collect(message, 0, &mut all)?;
    Ok(all)
}

struct Header {
    kind: String,
    boundary: Option<String>,
    encoding: String,
}

fn collect(entity: &[u8], depth: usize, all: &mut Vec<Part>) -> Result<(), &'static str> {
    let (header, body) = header(entity);
    if !header.kind.starts_with("multipart/") {
        if all.len() == MOST_PARTS {
            return Err("it has more than 256 parts");
        }
        all.push(Part {
            body: decode(&header.encoding, body)?,
            kind: header.kind,
        });
        return Ok(());
    }
    if depth == MOST_DEPTH {
        return Err("its parts are nested more than 4 deep");
    }
    let boundary = header
        .boundary
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= 200)
        .ok_or("it names no boundary between its parts")?;
    for part in split(body, boundary.as_bytes()) {
        collect(part, depth + 1, all)?;
    }
    Ok(())
}

/// The parts between the boundaries; without the last one, the rest is the last part.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut begin = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let start = at;
        at += line.len();
        let Some(rest) = line
            .strip_prefix(b"--")
            .and_then(|rest| rest.strip_prefix(boundary))
        else {
            continue;
        };
        let rest = rest.trim_ascii_end();
        let end = rest == b"--";
        if !end && !rest.is_empty() {
            continue;
        }
        if let Some(begin) = begin {
            parts.push(without_line_end(&body[begin..start]));
        }
        if end {
            return parts;
        }
        begin = Some(at);
    }
    if let Some(begin) = begin {
        parts.push(&body[begin..]);
    }
    parts
}

/// The line break before a boundary belongs to the boundary.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

fn header(entity: &[u8]) -> (Header, &[u8]) {
    let mut header = Header {
        kind: String::new(),
        boundary: None,
        encoding: String::new(),
    };
    let mut lines: Vec<String> = Vec::new();
    let mut at = 0;
    for raw in entity.split_inclusive(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(raw);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            at += raw.len();
            break;
        }
        if line.starts_with([' ', '\t']) && !lines.is_empty() {
            // A long field goes on.
            if let Some(last) = lines.last_mut() {
                last.push(' ');
                last.push_str(line.trim());
            }
        } else if line.contains(':') || (at == 0 && line.starts_with("From ")) {
            lines.push(line.to_owned());
        } else {
            // Content without a blank line before it.
            break;
        }
        at += raw.len();
    }
    for line in &lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" => {
                let mut words = parameters(value);
                header.kind = words.remove(0).0.to_ascii_lowercase();
                header.boundary = words
                    .into_iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
                    .map(|(_, value)| value);
            }
            "content-transfer-encoding" => header.encoding = value.trim().to_ascii_lowercase(),
            _ => {}
        }
    }
    (header, &entity[at..])
}

/// The words of a header field between semicolons, as name and value; at least one.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut words = vec![(String::new(), String::new())];
    let mut quoted = false;
    let mut in_value = false;
    let mut letters = text.trim().chars();
    while let Some(letter) = letters.next() {
        let last = words.len() - 1;
        let (name, value) = &mut words[last];
        match letter {
            '"' => quoted = !quoted,
            '\\' if quoted => value.extend(letters.next()),
            ';' if !quoted => {
                in_value = false;
                words.push((String::new(), String::new()));
            }
            '=' if !quoted && !in_value => in_value = true,
            letter if in_value => value.push(letter),
            letter => name.push(letter),
        }
    }
    for (name, value) in &mut words {
        *name = name.trim().to_owned();
        *value = value.trim().to_owned();
    }
    words
}

fn decode(encoding: &str, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    match encoding {
        "base64" => {
            let packed: Vec<u8> = body
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            base64::engine::general_purpose::STANDARD
                .decode(packed)
                .map_err(|_| "the base64 of a part is broken or cut off")
        }
        "quoted-printable" => Ok(quoted_printable(body)),
        _ => Ok(body.to_vec()),
    }
}

fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'=' {
            plain.push(*first);
            continue;
        }
        match more {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => rest = after,
            [high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    // Two hexadecimal digits are one byte.
                    plain.push(u8::try_from(high * 16 + low).unwrap_or_default());
                    rest = after;
                }
                _ => plain.push(b'='),
            },
            _ => plain.push(b'='),
        }
    }
    plain
}
