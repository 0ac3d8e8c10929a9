//! MIME messages (RFC 2045 and 2046) as cloud-init reads them: the leaves of all multiparts, in
//! order.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::unpack;

/// More parts than anybody writes.
const MOST_PARTS: usize = 100;
/// Multiparts inside of multiparts.
const MOST_DEPTH: usize = 10;
/// Bytes of one part's headers.
const MOST_HEADERS: usize = 64 << 10;

/// A part that holds content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// In lower case, without parameters. `text/plain` if nothing is said.
    pub(super) kind: String,
    /// How its lines are joined with those of earlier parts, by a header of its own.
    pub(super) merge: Option<String>,
    /// The lines of the message before its content, if that stands there as it is.
    pub(super) line: Option<usize>,
    /// The content, its transfer encoding undone; why it cannot be read otherwise.
    pub(super) content: Result<Vec<u8>, String>,
    /// Headers that change when or where the part counts.
    pub(super) launch_index: bool,
}

/// A message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// A message's parts, and where text stands outside of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) parts: Vec<Part>,
    /// Lines of text before the first and after the last part.
    pub(super) outside: Vec<usize>,
}

/// Whether cloud-init takes this for a message: it looks for the version in the first 4 KiB.
pub(super) fn is_message(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).to_ascii_lowercase();
    let first = start.trim_start();
    // A cloud-config may hold a message as the content of a file.
    let header = first
        .lines()
        .next()
        .is_some_and(|line| header(line.as_bytes()).is_some());
    header && (start.contains("mime-version:") || first.starts_with("content-type: multipart/"))
}

/// Reads a message.
pub(super) fn read(bytes: &[u8]) -> Result<Message, Fault> {
    let mut message = Message::default();
    let start = bytes
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .unwrap_or(0);
    let line = lines(&bytes[..start]);
    entity(&bytes[start..], line, 0, &mut message)?;
    Ok(message)
}

fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// The name and value of a header line.
fn header(line: &[u8]) -> Option<(String, String)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let token = |byte: &u8| byte.is_ascii_graphic();
    if name.is_empty() || !name.iter().all(token) {
        return None;
    }
    Some((
        String::from_utf8_lossy(name).to_ascii_lowercase(),
        String::from_utf8_lossy(&value[1..]).trim().to_owned(),
    ))
}

/// One line of `rest` with its end, and what follows.
fn line(rest: &[u8]) -> (&[u8], &[u8]) {
    let end = rest.iter().position(|byte| *byte == b'\n');
    rest.split_at(end.map_or(rest.len(), |end| end + 1))
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// Headers and content that begin after `before` lines of the file.
fn entity(bytes: &[u8], before: usize, depth: usize, message: &mut Message) -> Result<(), Fault> {
    let mut rest = bytes;
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let (one, more) = line(rest);
        if trimmed(one).is_empty() {
            rest = more;
            break;
        }
        if one.starts_with(b" ") || one.starts_with(b"\t") {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(String::from_utf8_lossy(one).trim());
            }
        } else if let Some(header) = header(trimmed(one)) {
            headers.push(header);
        } else {
            // No header: the content begins without an empty line, as Python's reader has it.
            break;
        }
        rest = more;
        if bytes.len() - rest.len() > MOST_HEADERS {
            return Err(Fault {
                line: before + 1,
                message: format!("a part has more than {} KiB of headers", MOST_HEADERS >> 10),
            });
        }
    }
    let before_content = before + lines(&bytes[..bytes.len() - rest.len()]);
    let get = |name: &str| {
        let mut found = headers.iter().filter(|(header, _)| header == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let (kind, parameters) = parameters(get("content-type").unwrap_or("text/plain"));
    if kind.starts_with("multipart/") {
        let boundary = parameters
            .iter()
            .find(|(name, _)| name == "boundary")
            .map(|(_, value)| value.as_str())
            .filter(|boundary| !boundary.is_empty());
        let Some(boundary) = boundary else {
            return Err(Fault {
                line: before + 1,
                message: "the multipart's Content-Type has no `boundary`".to_owned(),
            });
        };
        return multipart(rest, boundary, before_content, depth, message);
    }
    if message.parts.len() >= MOST_PARTS {
        return Err(Fault {
            line: before + 1,
            message: format!("the message has more than {MOST_PARTS} parts"),
        });
    }
    let encoding = get("content-transfer-encoding").unwrap_or("7bit");
    let charset = parameters
        .iter()
        .find(|(name, _)| name == "charset")
        .map_or("utf-8", |(_, value)| value.as_str());
    let plain = matches!(
        encoding.to_ascii_lowercase().as_str(),
        "7bit" | "8bit" | "binary"
    );
    let mut content = undo(rest, encoding);
    if kind.starts_with("text/") {
        content = content.and_then(|bytes| in_utf8(bytes, charset));
    }
    message.parts.push(Part {
        merge: get("merge-type")
            .or_else(|| get("x-merge-type"))
            .map(str::to_owned),
        launch_index: get("launch-index").is_some(),
        line: (plain && is_utf8(charset)).then_some(before_content),
        kind,
        content,
    });
    Ok(())
}

fn multipart(
    bytes: &[u8],
    boundary: &str,
    before: usize,
    depth: usize,
    message: &mut Message,
) -> Result<(), Fault> {
    if depth >= MOST_DEPTH {
        return Err(Fault {
            line: before + 1,
            message: format!("multiparts are nested more than {MOST_DEPTH} levels deep"),
        });
    }
    let mut rest = bytes;
    let mut number = before;
    // Where the open part begins: bytes, and lines before it.
    let mut open: Option<(usize, usize)> = None;
    let mut found = false;
    let mut closed = false;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (one, more) = line(rest);
        rest = more;
        number += 1;
        let delimiter = trimmed(one)
            .strip_prefix(b"--")
            .and_then(|text| text.strip_prefix(boundary.as_bytes()));
        let last = match delimiter {
            Some(b"") => false,
            Some(b"--") => true,
            _ => {
                if open.is_none() && !trimmed(one).is_empty() && (!found || closed) {
                    message.outside.push(number);
                }
                continue;
            }
        };
        found = true;
        if let Some((start, lines)) = open.take() {
            entity(without_end(&bytes[start..at]), lines, depth + 1, message)?;
        }
        if last {
            closed = true;
        } else if !closed {
            open = Some((bytes.len() - rest.len(), number));
        }
    }
    if !found {
        return Err(Fault {
            line: before + 1,
            message: format!(
                "no line of the message is its boundary, {}",
                crate::finding::shown(&format!("--{boundary}"))
            ),
        });
    }
    if let Some((start, lines)) = open {
        // The message breaks off; Python's reader takes what is there.
        entity(&bytes[start..], lines, depth + 1, message)?;
    }
    Ok(())
}

/// A part without the line break that belongs to the boundary after it.
fn without_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// A header's value in lower case, and its parameters, names in lower case.
fn parameters(text: &str) -> (String, Vec<(String, String)>) {
    let (value, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut found = Vec::new();
    while !rest.trim().is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            break;
        };
        let name = name
            .trim()
            .trim_start_matches(';')
            .trim()
            .to_ascii_lowercase();
        let after = after.trim_start();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut value = String::new();
            let mut letters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
                    other => value.push(other),
                }
            }
            found.push((name, value));
            rest = &quoted[end..];
            rest = rest.split_once(';').map_or("", |(_, rest)| rest);
        } else {
            let (value, more) = after.split_once(';').unwrap_or((after, ""));
            found.push((name, value.trim().to_owned()));
            rest = more;
        }
    }
    (value.trim().to_ascii_lowercase(), found)
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Base64 in lines.
pub(super) fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64.decode(text).ok()
}

fn undo(bytes: &[u8], encoding: &str) -> Result<Vec<u8>, String> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "7bit" | "8bit" | "binary" => Ok(bytes.to_vec()),
        "base64" => base64(bytes).ok_or_else(|| "the part is not base64".to_owned()),
        "quoted-printable" => Ok(quoted_printable(bytes)),
        other => Err(format!(
            "the transfer encoding {} is not read; base64, quoted-printable, 7bit, 8bit and binary are",
            crate::finding::shown(other)
        )),
    }
}

/// RFC 2045, 6.7; what is not of it stays as it is.
fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (one, more) = line(rest);
        rest = more;
        let end = if one.ends_with(b"\r\n") {
            b"\r\n".as_slice()
        } else if one.ends_with(b"\n") {
            b"\n".as_slice()
        } else {
            b"".as_slice()
        };
        let text = one[..one.len() - end.len()].trim_ascii_end();
        let (text, soft) = match text.strip_suffix(b"=") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let code = text
                .get(at + 1..at + 3)
                .filter(|_| *byte == b'=')
                .and_then(|code| std::str::from_utf8(code).ok())
                .filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|code| u8::from_str_radix(code, 16).ok());
            out.push(code.unwrap_or(*byte));
            at += if code.is_some() { 3 } else { 1 };
        }
        if !soft {
            out.extend_from_slice(end);
        }
    }
    out
}

fn is_utf8(charset: &str) -> bool {
    matches!(
        charset.to_ascii_lowercase().as_str(),
        "utf-8" | "utf8" | "us-ascii" | "ascii" | ""
    )
}

/// Text in UTF-8.
fn in_utf8(bytes: Vec<u8>, charset: &str) -> Result<Vec<u8>, String> {
    // A compressed part may say that it is text.
    if is_utf8(charset) || unpack::is_gzip(&bytes) {
        return Ok(bytes);
    }
    let units = |order: fn([u8; 2]) -> u16| -> Vec<u16> {
        let pairs = bytes.chunks_exact(2);
        pairs.map(|pair| order([pair[0], pair[1]])).collect()
    };
    let text = match charset.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "latin1" | "latin-1" | "iso8859-1" => {
            bytes.iter().copied().map(char::from).collect()
        }
        "windows-1252" | "cp1252" => bytes.iter().copied().map(windows_1252).collect(),
        "utf-16le" => String::from_utf16_lossy(&units(u16::from_le_bytes)),
        "utf-16be" => String::from_utf16_lossy(&units(u16::from_be_bytes)),
        "utf-16" => match bytes.get(..2) {
            Some([0xfe, 0xff]) => String::from_utf16_lossy(&units(u16::from_be_bytes)[1..]),
            Some([0xff, 0xfe]) => String::from_utf16_lossy(&units(u16::from_le_bytes)[1..]),
            _ => String::from_utf16_lossy(&units(u16::from_le_bytes)),
        },
        other => {
            return Err(format!(
                "the charset {} is not read; save the part as UTF-8",
                crate::finding::shown(other)
            ));
        }
    };
    Ok(text.into_bytes())
}

fn windows_1252(byte: u8) -> char {
    const SPECIAL: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => SPECIAL[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}
