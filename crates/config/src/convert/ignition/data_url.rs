//! `data:` URLs (RFC 2397) as Ignition's reader takes them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Decodes a data URL; an error says what is wrong with it.
pub(crate) fn decode(url: &str) -> Result<Vec<u8>, String> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Err("`data:` must be written in lower case".to_owned());
    };
    let (head, data) = split(rest)?;
    let base64 = media_type(head)?;
    if base64 {
        let fine = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\n".contains(byte);
        if let Some(byte) = data.bytes().find(|byte| !fine(byte)) {
            return Err(format!("{:?} is no character of base64", char::from(byte)));
        }
        let plain: String = data.split('\n').collect();
        return STANDARD
            .decode(plain)
            .map_err(|error| format!("not base64: {error}"));
    }
    percent(data)
}

/// The part before the comma and the one after it; commas in quotes do not count.
fn split(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return Ok((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    Err("the comma before the data is missing".to_owned())
}

fn token(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(letter))
}

/// Checks the part before the comma; whether the data is base64.
fn media_type(head: &str) -> Result<bool, String> {
    let (kind, parameters) = match head.find(';') {
        Some(at) => (&head[..at], &head[at..]),
        None => (head, ""),
    };
    if !kind.is_empty() {
        let Some((group, detail)) = kind.split_once('/') else {
            return Err(format!("the media type {kind:?} has no `/`"));
        };
        let known = [
            "text",
            "image",
            "audio",
            "video",
            "application",
            "message",
            "multipart",
            "x-",
            "X-",
        ];
        let starts = known.iter().any(|known| group.starts_with(known));
        if !starts || !token(group) || !token(detail) {
            return Err(format!("{kind:?} is no media type"));
        }
    }
    let mut base64 = false;
    for parameter in split_parameters(parameters) {
        if base64 {
            return Err("`base64` must be the last word before the comma".to_owned());
        }
        match parameter.split_once('=') {
            Some((name, value)) => {
                let quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
                if name.is_empty() || !token(name) || !quoted && (value.is_empty() || !token(value))
                {
                    return Err(format!("{parameter:?} is no parameter of a media type"));
                }
            }
            None if parameter == "base64" => base64 = true,
            None => return Err(format!("`base64` expected, found {parameter:?}")),
        }
    }
    Ok(base64)
}

fn split_parameters(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (None, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                if let Some(start) = start {
                    parts.push(&text[start..at]);
                }
                start = Some(at + 1);
            }
            _ => {}
        }
    }
    parts.extend(start.map(|start| &text[start..]));
    parts
}

fn percent(data: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(data.len());
    let mut rest = data.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err("`%` must be followed by two hexadecimal digits; a percent sign is written %25".to_owned());
                };
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            b'+' => bytes.push(b'+'),
            byte if byte.is_ascii_graphic() && !b"<>#\"{}|\\^[]`".contains(&byte) => {
                bytes.push(byte);
            }
            byte => {
                return Err(format!(
                    "byte 0x{byte:02x} must be written %{byte:02X} in a data URL"
                ));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        assert_eq!(decode("data:,100%25%20ready%0A").unwrap(), b"100% ready\n");
        assert_eq!(decode("data:;base64,AAEC/w==").unwrap(), [0, 1, 2, 255]);
        assert_eq!(
            decode("data:text/plain;charset=utf-8;base64,aGk=").unwrap(),
            b"hi"
        );
        assert_eq!(decode("data:text/plain;a=\"x,y\",z").unwrap(), b"z");
        assert_eq!(decode("data:,").unwrap(), b"");
        for bad in [
            "data:",
            "data:text,x",
            "data:;base64,AAEC/w",
            "data:,a b",
            "data:,%4",
            "data:foo/bar,x",
            "data:;base46,x",
            "data:;base64,a-b_",
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_well(text: String) {
            let _ = decode(&format!("data:{text}"));
        }
    }
}
