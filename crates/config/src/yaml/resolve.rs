//! Plain scalars by the core schema (YAML 1.2.2, chapter 10.3.2).

use super::value::Kind;

/// What the core schema makes of a plain scalar's text.
pub(super) fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    integer(text)
        .map(Kind::Integer)
        .or_else(|| float(text).map(Kind::Float))
        .unwrap_or(Kind::Text)
}

fn integer(text: &str) -> Option<i128> {
    let based = |digits: &str, radix| {
        let known = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        known.then(|| i128::from_str_radix(digits, radix).ok())?
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let decimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    decimal.then(|| text.parse().ok())?
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(sign * f64::INFINITY);
    }
    // Rust's own reader also knows `inf`, `nan` and `infinity`, which are text in YAML.
    let first = unsigned.bytes().next()?;
    let numeric = unsigned
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let second = unsigned.as_bytes().get(1);
    let starts = first.is_ascii_digit() || first == b'.' && second.is_some_and(u8::is_ascii_digit);
    (numeric && starts).then(|| text.parse().ok())?
}
