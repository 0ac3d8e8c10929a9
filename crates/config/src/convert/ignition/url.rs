//! URLs as Go's net/url takes them apart, as far as Ignition's rules look at them.

/// The parts of a URL that rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case; empty for a relative one.
    pub(super) scheme: String,
    /// What follows the scheme, if that is no `/`; without query and fragment.
    pub(super) opaque: &'a str,
    /// What follows `?`.
    query: &'a str,
}

impl<'a> Url<'a> {
    /// Takes a URL apart; nothing if Go would refuse it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) || !escapes_are_whole(fragment) {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            opaque: "",
            query,
        };
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                url.opaque = rest;
                return Some(url);
            }
            let segment = rest.split('/').next().unwrap_or_default();
            if segment.contains(':') {
                return None;
            }
        }
        let mut path = rest;
        let has_authority = !scheme.is_empty() || !rest.starts_with("///");
        if let Some(rest) = rest.strip_prefix("//").filter(|_| has_authority) {
            let end = rest.find('/').unwrap_or(rest.len());
            if !authority(&rest[..end]) {
                return None;
            }
            path = &rest[end..];
        }
        escapes_are_whole(path).then_some(url)
    }

    /// Whether the query has a key, and whether its first value is empty.
    pub(super) fn is_empty_in_query(&self, key: &str) -> Option<bool> {
        self.query
            .split('&')
            .filter(|pair| !pair.contains(';') && escapes_are_whole(pair))
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.is_empty())
    }
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    for (at, letter) in text.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return None,
            ':' => return Some((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'%' || hex(at + 1) && hex(at + 2))
}

fn authority(text: &str) -> bool {
    let (user, host) = text
        .rsplit_once('@')
        .map_or((None, text), |(user, host)| (Some(user), host));
    let in_user =
        |letter: char| letter.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(letter);
    if user.is_some_and(|user| !user.chars().all(in_user) || !escapes_are_whole(user)) {
        return false;
    }
    let is_port = |text: &str| text.is_empty() || text.strip_prefix(':').is_some_and(all_digits);
    let name = if host.starts_with('[') {
        let Some(end) = host.rfind(']') else {
            return false;
        };
        if !is_port(&host[end + 1..]) {
            return false;
        }
        host
    } else {
        let port = host.rfind(':').map_or("", |at| &host[at..]);
        if !is_port(port) {
            return false;
        }
        host
    };
    let fine = |letter: char| {
        !letter.is_ascii()
            || letter.is_ascii_alphanumeric()
            || "-_.~!$&'()*+,;=:[]<>\"%".contains(letter)
    };
    name.chars().all(fine) && host_escapes(name)
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// In a host only bytes beyond ASCII, and `%25` before a zone, may be escaped.
fn host_escapes(host: &str) -> bool {
    escapes_are_whole(host)
        && host.match_indices('%').all(|(at, _)| {
            let digits = &host[at + 1..at + 3];
            digits == "25" || u8::from_str_radix(digits, 16).is_ok_and(|byte| byte >= 0x80)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_takes_them_apart() {
        let scheme = |text: &str| Url::parse(text).map(|url| url.scheme);
        assert_eq!(scheme("HTTPS://x/y?z#f").as_deref(), Some("https"));
        assert_eq!(scheme("data:,a%20b").as_deref(), Some("data"));
        assert_eq!(scheme("file/x").as_deref(), Some(""));
        assert_eq!(scheme("").as_deref(), Some(""));
        assert_eq!(scheme("http://[::1]:80/x").as_deref(), Some("http"));
        for bad in [
            "http://a b/",
            "http://x/%zz",
            ":x",
            "http://x:port/",
            "a b:c",
            "data:,a\nb",
            "http://[::1",
            "http://x/#%g",
        ] {
            assert_eq!(scheme(bad), None, "{bad}");
        }
        assert_eq!(
            Url::parse("s3://b/k?versionId=").and_then(|url| url.is_empty_in_query("versionId")),
            Some(true)
        );
        assert_eq!(
            Url::parse("arn:aws:s3:::b/k?versionId=1").map(|url| url.opaque.to_owned()),
            Some("aws:s3:::b/k".to_owned())
        );
    }
}
