//! Plain scalars as the readers of other systems understand them.

use super::value::Kind;

/// Whose reader a file was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// k3OS': YAML 1.1 as go-yaml v2 reads it. What that reader refuses as a value is kept as
    /// text and noted.
    Go,
    /// cloud-init's: YAML 1.1 as `PyYAML`'s safe loader reads it.
    Python,
    /// Butane's and kubeadm's: go-yaml v3, into values without a type.
    Core,
}

impl Dialect {
    /// What a plain scalar's text is.
    pub(super) fn plain(self, text: &str) -> Kind {
        if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Kind::Null;
        }
        if let Some(value) = self.boolean(text) {
            return Kind::Bool(value);
        }
        let number = match self {
            Self::Python => python_integer(text).or_else(|| python_float(text)),
            Self::Go | Self::Core => go_number(text),
        };
        number.unwrap_or(Kind::Text)
    }

    pub(super) fn boolean(self, text: &str) -> Option<bool> {
        let one_of = |words: &[&str]| {
            words.iter().any(|word| {
                // Each word in lower case, in capitals, or with a capital first letter.
                text == *word
                    || text == word.to_ascii_uppercase()
                    || text.eq_ignore_ascii_case(word)
                        && text.starts_with(|first: char| first.is_ascii_uppercase())
                        && text[1..].chars().all(|rest| rest.is_ascii_lowercase())
            })
        };
        let (yes, no): (&[&str], &[&str]) = match self {
            Self::Core => (&["true"], &["false"]),
            Self::Python => (&["true", "yes", "on"], &["false", "no", "off"]),
            Self::Go => (&["true", "yes", "on", "y"], &["false", "no", "off", "n"]),
        };
        if one_of(yes) {
            Some(true)
        } else {
            one_of(no).then_some(false)
        }
    }
}

fn special_float(text: &str) -> Option<f64> {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(f64::NAN);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF").then_some(if text.starts_with('-') {
        f64::NEG_INFINITY
    } else {
        f64::INFINITY
    })
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn digits(text: &str, radix: u32) -> Option<i128> {
    let known = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    known.then(|| i128::from_str_radix(text, radix).ok())?
}

/// A number of go-yaml: `strconv.ParseInt` with base 0 once `_` is taken out, else a decimal.
fn go_number(text: &str) -> Option<Kind> {
    if let Some(value) = special_float(text) {
        return Some(Kind::Float(value));
    }
    if !text.starts_with(|first: char| matches!(first, '0'..='9' | '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, unsigned) = signed(&plain);
    let based = |prefixes: [&str; 2], radix| {
        let rest = prefixes
            .iter()
            .find_map(|prefix| unsigned.strip_prefix(prefix))?;
        digits(rest, radix)
    };
    let integer = based(["0x", "0X"], 16)
        .or_else(|| based(["0b", "0B"], 2))
        .or_else(|| based(["0o", "0O"], 8))
        .or_else(|| match unsigned.strip_prefix('0') {
            Some("") => Some(0),
            Some(octal) => digits(octal, 8),
            None => digits(unsigned, 10),
        });
    if let Some(value) = integer {
        let value = sign * value;
        if value >= i128::from(i64::MIN) && value <= i128::from(u64::MAX) {
            return Some(Kind::Integer(value));
        }
    }
    decimal(unsigned, true)?;
    plain.parse().ok().map(Kind::Float)
}

/// Whether this is `1`, `1.`, `1.5` or `.5`, with an exponent or without.
fn decimal(unsigned: &str, bare: bool) -> Option<()> {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let known = match mantissa.split_once('.') {
        Some((whole, part)) => {
            all_digits(whole) && all_digits(part) && !(whole.is_empty() && part.is_empty())
        }
        None => bare && !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent = match exponent {
        None => true,
        Some(text) => {
            let power = text.strip_prefix(['-', '+']);
            let power = if bare { power.unwrap_or(text) } else { power? };
            !power.is_empty() && all_digits(power)
        }
    };
    (known && exponent).then_some(())
}

fn python_integer(text: &str) -> Option<Kind> {
    let (sign, unsigned) = signed(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let plain = unsigned.replace('_', "");
    let value = if let Some(rest) = plain.strip_prefix("0b") {
        digits(rest, 2)?
    } else if let Some(rest) = plain.strip_prefix("0x") {
        digits(rest, 16)?
    } else if plain == "0" {
        0
    } else if let Some(rest) = plain.strip_prefix('0') {
        digits(rest, 8)?
    } else if plain.contains(':') {
        sexagesimal(&plain)?
    } else {
        digits(&plain, 10)?
    };
    Some(Kind::Integer(sign * value))
}

/// `190:20:30`, of which every part but the first is below 60.
fn sexagesimal(plain: &str) -> Option<i128> {
    let mut parts = plain.split(':');
    let mut value = digits(parts.next()?, 10)?;
    for part in parts {
        let part = digits(part, 10).filter(|number| *number < 60 && part.len() <= 2)?;
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

fn python_float(text: &str) -> Option<Kind> {
    if let Some(value) = special_float(text) {
        return Some(Kind::Float(value));
    }
    let (sign, unsigned) = signed(text);
    let first = unsigned.bytes().next()?;
    // `.5` has no sign there, and no number begins with `_`.
    let starts = first.is_ascii_digit() || first == b'.' && unsigned == text;
    let plain = unsigned.replace('_', "");
    if !starts || !plain.contains('.') || plain.starts_with("._") {
        return None;
    }
    if let Some((whole, part)) = plain.split_once('.')
        && whole.contains(':')
    {
        let whole: f64 = sexagesimal(whole)?.to_string().parse().ok()?;
        let part: f64 = format!("0.{part}").parse().ok()?;
        let sign = if sign < 0 { -1.0 } else { 1.0 };
        return Some(Kind::Float(sign * (whole + part)));
    }
    decimal(&plain, false)?;
    let value: f64 = plain.parse().ok()?;
    Some(Kind::Float(if sign < 0 { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_knows_its_own_words_and_numbers() {
        use Dialect::{Core, Go, Python};
        use Kind::{Bool, Float, Integer, Null, Text};
        for (text, go, python, core) in [
            ("y", Bool(true), Text, Text),
            ("N", Bool(false), Text, Text),
            ("On", Bool(true), Bool(true), Text),
            ("oN", Text, Text, Text),
            ("TRUE", Bool(true), Bool(true), Bool(true)),
            ("~", Null, Null, Null),
            ("nULL", Text, Text, Text),
            ("0644", Integer(420), Integer(420), Integer(420)),
            ("0o17", Integer(15), Text, Integer(15)),
            ("0900", Float(900.0), Text, Float(900.0)),
            ("0x_1F", Integer(31), Integer(31), Integer(31)),
            ("-0b11", Integer(-3), Integer(-3), Integer(-3)),
            ("1_000", Integer(1000), Integer(1000), Integer(1000)),
            ("1e3", Float(1000.0), Text, Float(1000.0)),
            ("1.e+3", Float(1000.0), Float(1000.0), Float(1000.0)),
            (".5", Float(0.5), Float(0.5), Float(0.5)),
            (
                "-.inf",
                Float(f64::NEG_INFINITY),
                Float(f64::NEG_INFINITY),
                Float(f64::NEG_INFINITY),
            ),
            ("12:30:45", Text, Integer(45_045), Text),
            ("1:75", Text, Text, Text),
            ("1:30.5", Text, Float(90.5), Text),
            ("2020-01-02", Text, Text, Text),
            (".", Text, Text, Text),
            ("-", Text, Text, Text),
            ("inf", Text, Text, Text),
            ("1.2.3", Text, Text, Text),
            (
                "18446744073709551616",
                Float(18_446_744_073_709_551_616.0),
                Integer(1 << 64),
                Float(18_446_744_073_709_551_616.0),
            ),
        ] {
            assert_eq!(Go.plain(text), go, "Go {text}");
            assert_eq!(Python.plain(text), python, "Python {text}");
            assert_eq!(Core.plain(text), core, "Core {text}");
        }
    }
}
