//! Package versions and their order (deb-version(7)).

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A package version, `[epoch:]upstream[-revision]`. Ordered as dpkg orders; two spellings of
/// one version (`1.0` and `0:1.0`) are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// Text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a package version: {reason}")]
pub struct ParseVersionError {
    text: String,
    reason: &'static str,
}

impl Version {
    /// The version as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| {
            Err(ParseVersionError {
                text: text.to_owned(),
                reason,
            })
        };
        let rest = match text.split_once(':') {
            Some((epoch, rest)) => {
                if epoch.parse::<u32>().is_err() || epoch.starts_with('+') {
                    return fail("its epoch is not a number");
                }
                rest
            }
            None => text,
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return fail("nothing follows its last `-`"),
            Some((upstream, revision)) => (upstream, revision),
            None => (rest, ""),
        };
        // Upstream versions should start with a digit; dpkg lets packages that exist pass.
        if upstream.is_empty() {
            return fail("it is empty");
        }
        let allowed = |byte: u8, more: &[u8]| byte.is_ascii_alphanumeric() || more.contains(&byte);
        if !upstream.bytes().all(|byte| allowed(byte, b".+-~:"))
            || !revision.bytes().all(|byte| allowed(byte, b".+~"))
        {
            return fail("it holds a character other than letters, digits, `.+-~:`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = ParseVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// Compares two versions as text. What is not a version gets some place in a total order.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let split = |text| -> (&str, &str, &str) {
        let (epoch, rest) = str::split_once(text, ':').unwrap_or(("", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    };
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) =
        (split(a), split(b));
    compare_part(epoch_a, epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

/// Compares by turns a stretch of other characters and a number, deb-version(7): letters sort
/// before the other characters, `~` before the end of the part.
fn compare_part(a: &str, b: &str) -> Ordering {
    fn weight(byte: Option<&u8>) -> i32 {
        match byte {
            None => 0,
            Some(b'~') => -1,
            Some(byte) if byte.is_ascii_digit() => 0,
            Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
            Some(byte) => i32::from(*byte) + 256,
        }
    }
    fn is_other(byte: Option<&u8>) -> bool {
        byte.is_some_and(|byte| !byte.is_ascii_digit())
    }
    fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
        let end = bytes
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(bytes.len());
        let zeroes = bytes[..end]
            .iter()
            .position(|byte| *byte != b'0')
            .unwrap_or(end);
        (&bytes[zeroes..end], &bytes[end..])
    }
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        while is_other(a.first()) || is_other(b.first()) {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (number_a, number_b);
        (number_a, a) = number(a);
        (number_b, b) = number(b);
        let order = number_a
            .len()
            .cmp(&number_b.len())
            .then_with(|| number_a.cmp(number_b));
        if order != Ordering::Equal || (a.is_empty() && b.is_empty()) {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        // Each line is in ascending order.
        for line in [
            "1.0~~ 1.0~ 1.0~beta1~svn1245 1.0~beta1 1.0 1.0-1 1.0+b1 1.0.1",
            "~~ ~~a ~ 0 a",
            "0.9 1:0.1 2:0.0.1",
            "1.2.3-1 1.2.3-1+deb13u1 1.2.3-1+deb13u2 1.2.3-1.1 1.2.3-2 1.2.3-10",
            "9a 9a1 9b 9+ 10",
            "1.10 1.100 1.1000000000000000000000000000000001",
            "6.12.9-1~bpo12+1 6.12.9-1",
        ] {
            let versions: Vec<&str> = line.split(' ').collect();
            for (index, a) in versions.iter().enumerate() {
                for (other, b) in versions.iter().enumerate() {
                    assert_eq!(compare(a, b), index.cmp(&other), "{a} and {b}");
                }
            }
        }
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} and {b}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "x:1", ":1", "1-", "1_2", "1 2", "-1", "+1:2"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    const VERSION: &str = "([0-9]:)?[0-9][a-z0-9.+~]{0,6}(-[a-z0-9.+~]{1,4})?";

    proptest! {
        #[test]
        fn the_order_is_total(a in VERSION, b in VERSION, c in VERSION) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let mut all = [&*a, &*b, &*c];
            all.sort_by(|a, b| compare(a, b));
            prop_assert!(compare(all[0], all[2]) != Ordering::Greater);
            prop_assert!(a.parse::<Version>().is_ok());
        }

        #[test]
        fn any_text_compares_without_a_panic(a: String, b: String) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let _ = a.parse::<Version>();
        }

        #[test]
        fn a_tilde_is_earlier_and_a_suffix_later(a in "[0-9][a-z0-9.]{0,6}") {
            prop_assert_eq!(compare(&format!("{a}~1"), &a), Ordering::Less);
            prop_assert_eq!(compare(&format!("{a}+1"), &a), Ordering::Greater);
        }
    }
}
