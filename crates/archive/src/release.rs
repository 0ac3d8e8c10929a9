//! The signed table of contents of a suite (`Release`; deb-release in the Debian wiki's
//! `RepositoryFormat`).

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use crate::{Digest, deb822::Paragraphs};

/// What a suite says about itself and its indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, such as `stable`.
    pub suite: Option<String>,
    /// `Codename`, such as `trixie`.
    pub codename: Option<String>,
    /// When it was made.
    pub date: Option<SystemTime>,
    /// Until when it may be used.
    pub valid_until: Option<SystemTime>,
    /// Architectures it has; empty if it does not say.
    pub architectures: Vec<String>,
    /// Whether indices may be asked for by their digest.
    pub by_hash: bool,
    /// Whether its packages are taken only when named (backports say so).
    pub not_automatic: bool,
    /// Whether packages for all architectures are listed in each architecture's index.
    pub all_in_each: bool,
    files: HashMap<String, (u64, Digest)>,
}

/// A `Release` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ReleaseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

impl Release {
    /// Reads the text of a `Release`, without its signature.
    ///
    /// # Errors
    /// [`ReleaseError`] if it is not deb822, a date cannot be read or it lists no SHA-256.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let fail = |line, reason: &str| ReleaseError {
            line,
            reason: reason.to_owned(),
        };
        let paragraph = Paragraphs::new(text)
            .next()
            .ok_or_else(|| fail(1, "the file is empty"))?
            .map_err(|error| ReleaseError {
                line: error.line,
                reason: error.to_string(),
            })?;
        let line_of = |value: &str| {
            let offset = (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            text.get(..offset).unwrap_or(text).split('\n').count()
        };
        let date = |field| {
            paragraph
                .get(field)
                .map(|value| {
                    parse_date(value)
                        .ok_or_else(|| fail(line_of(value), &format!("`{field}` is not a date")))
                })
                .transpose()
        };
        let list = paragraph
            .get("SHA256")
            .ok_or_else(|| fail(paragraph.line(), "it lists no SHA256 of its indices"))?;
        let mut files = HashMap::new();
        for line in list.lines().filter(|line| !line.trim_ascii().is_empty()) {
            let mut words = line.split_ascii_whitespace();
            let entry = (words.next(), words.next(), words.next(), words.next());
            let (Some(digest), Some(size), Some(path), None) = entry else {
                return Err(fail(line_of(line), "an entry is not `digest size path`"));
            };
            let digest: Digest = digest
                .parse()
                .map_err(|_| fail(line_of(line), "the digest is not SHA-256"))?;
            let size = size
                .parse()
                .map_err(|_| fail(line_of(line), "the size is not a number"))?;
            files.insert(path.to_owned(), (size, digest));
        }
        let yes = |field| paragraph.get(field) == Some("yes");
        Ok(Self {
            suite: paragraph.get("Suite").map(str::to_owned),
            codename: paragraph.get("Codename").map(str::to_owned),
            date: date("Date")?,
            valid_until: date("Valid-Until")?,
            architectures: paragraph
                .get("Architectures")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            by_hash: yes("Acquire-By-Hash"),
            not_automatic: yes("NotAutomatic"),
            all_in_each: paragraph.get("No-Support-for-Architecture-all") == Some("Packages")
                || !paragraph
                    .get("Architectures")
                    .unwrap_or_default()
                    .split_ascii_whitespace()
                    .any(|name| name == "all"),
            files,
        })
    }

    /// Size in bytes and digest of an index, by its path relative to the `Release`.
    pub fn file(&self, path: &str) -> Option<(u64, Digest)> {
        self.files.get(path).copied()
    }
}

/// Seconds since 1970 of a date like `Sat, 12 Sep 2026 07:55:41 UTC` (RFC 2822 in UTC).
fn parse_date(text: &str) -> Option<SystemTime> {
    let text = text.split_once(", ").map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[day, month, year, time, zone] = &words[..] else {
        return None;
    };
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = months.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some()
        || !(1970..=9999).contains(&year)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since 1970-01-01 of a proleptic Gregorian date, with years that start in March so
    // that the leap day is the last one.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A time as a person reads it, `2026-09-12 07:55:41 UTC`.
pub(crate) fn show_time(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let (month, carry) = if m < 10 { (m + 3, 0) } else { (m - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        year + era * 400 + carry,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Some(
            parse_date(text)?
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
    }

    #[test]
    fn dates() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(
            seconds("Sat, 12 Sep 2026 07:55:41 UTC"),
            Some(1_789_199_741)
        );
        assert_eq!(
            seconds("Thu, 29 Feb 2024 23:59:59 UTC"),
            Some(1_709_251_199)
        );
        for text in [
            "",
            "Sat, 12 Sep 2026 07:55:41 +0200",
            "12 Foo 2026 1:1:1 UTC",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_release_lists_its_indices() {
        let digest = Digest::of("x");
        let text = format!(
            "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
             Acquire-By-Hash: yes\nArchitectures: all amd64\n\
             No-Support-for-Architecture-all: Packages\nSHA256:\n {digest}   12 main/Packages.xz\n"
        );
        let release = Release::parse(&text).unwrap();
        assert_eq!(release.file("main/Packages.xz"), Some((12, digest)));
        assert!(release.by_hash && release.all_in_each && !release.not_automatic);
        let error = Release::parse(&text.replace("  12 ", " x ")).unwrap_err();
        assert_eq!(error.line, 8);
        assert!(Release::parse("Suite: x\n").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = Release::parse(&text);
            let _ = parse_date(&text);
        }

        #[test]
        fn a_shown_date_is_the_one_that_was_read(days in 0..2_900_000u64, second in 0..86_400u64) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + second);
            let shown = show_time(time);
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
                "Nov", "Dec"];
            let month = months[shown[5..7].parse::<usize>().unwrap() - 1];
            let text = format!("{} {month} {} {}", &shown[8..10], &shown[..4], &shown[11..]);
            prop_assert_eq!(parse_date(&text), Some(time), "{}", text);
        }
    }
}
