//! Texts of a form that the notation names.

/// Whether text has a form that the notation names.
pub(super) fn has_form(form: &str, text: &str) -> bool {
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

pub(super) fn form_words(form: &str) -> &'static str {
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
