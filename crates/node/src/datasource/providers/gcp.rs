//! Google Compute Engine: the metadata server, version 1.

use std::time::SystemTime;

use serde_json::Value as Json;

use super::{LINK_LOCAL, miss};
use crate::datasource::{
    Miss,
    dmi::Platform,
    found::{Found, Part},
    http::{METADATA, USER_DATA},
    machine::Machine,
};

const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::Gcp), &[LINK_LOCAL])?;
    let root = format!("{}/computeMetadata/v1", server.base);
    let id = server
        .client
        .get(&format!("{root}/instance/id"), &[FLAVOR], METADATA)
        .map_err(|error| miss(&server, &error))?;
    // A server that does not say so is another one.
    if id.header(FLAVOR.0) != Some(FLAVOR.1) {
        let why = "the answer has no header `Metadata-Flavor: Google`".to_owned();
        return Err(if server.is_certain {
            Miss::Failed(why)
        } else {
            Miss::NotHere(why)
        });
    }
    let mut found = Found::at(&*server.base);
    found.set_instance_id(&id.text());
    let get = |found: &mut Found, part: Part, path: &str, limit: u64| {
        let answer = server
            .client
            .find(&format!("{root}/{path}"), &[FLAVOR], limit);
        found.part(part, answer)
    };
    if let Some(name) = get(&mut found, Part::Hostname, "instance/hostname", METADATA) {
        // The full name says the zone and the project, which may change and be long.
        let name = name.text();
        found.set_hostname(name.split('.').next().unwrap_or(&name));
        found.hostname = Some(name);
    }

    let mut attribute = |name: &str| {
        get(
            &mut found,
            Part::Keys,
            &format!("instance/attributes/{name}"),
            METADATA,
        )
        .map(|answer| answer.text())
    };
    let own = attribute("ssh-keys");
    let old = attribute("sshKeys");
    let blocked = attribute("block-project-ssh-keys")
        .is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    // Keys of the old attribute stand for all keys of the project.
    let project = if blocked || old.is_some() {
        None
    } else {
        get(
            &mut found,
            Part::Keys,
            "project/attributes/ssh-keys",
            METADATA,
        )
        .map(|answer| answer.text())
    };
    for text in [own, old, project].into_iter().flatten() {
        for line in text.lines() {
            if let Some(key) = key(line, machine.environment.now) {
                found.add_keys(key);
            }
        }
    }

    if let Some(data) = get(
        &mut found,
        Part::UserData,
        "instance/attributes/user-data",
        USER_DATA,
    ) {
        let encoding = get(
            &mut found,
            Part::UserData,
            "instance/attributes/user-data-encoding",
            METADATA,
        );
        match encoding.map(|answer| answer.text()).as_deref() {
            Some("base64") => match super::base64(&data.body) {
                Some(plain) => found.set_user_data(plain),
                None => found.unread(Part::UserData, "it is not base64, which its encoding says"),
            },
            _ => found.set_user_data(data.body),
        }
    }
    Ok(found)
}

/// The key in a line `USER:KEY`, unless it has expired. Keys of the console end in
/// `google-ssh {"userName":"…","expireOn":"2026-12-04T20:12:00+0000"}`.
fn key(line: &str, now: SystemTime) -> Option<&str> {
    let line = line.trim();
    let key = match line.split_once(':') {
        // A user's name holds no blank; a colon after one is part of a comment.
        Some((user, key)) if !user.contains(' ') => key,
        _ => line,
    };
    let Some((_, json)) = key.split_once(" google-ssh ") else {
        return Some(key);
    };
    let expires = serde_json::from_str::<Json>(json)
        .ok()
        .and_then(|json| seconds(json.get("expireOn")?.as_str()?));
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    match expires {
        Some(expires) if expires <= now => None,
        _ => Some(key),
    }
}

/// Seconds since 1970 of `2026-12-04T20:12:00+0000` (RFC 3339, also with `Z` or a colon in the
/// offset).
fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if separators
        .iter()
        .any(|&(at, mark)| text.get(at..=at) != Some(mark))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from civil: years begin in March, so that a leap day is the last day.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    let time = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let zone = text
        .get(19..)?
        .trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let digits: String = rest
                .iter()
                .map(|byte| char::from(*byte))
                .filter(char::is_ascii_digit)
                .collect();
            let hours = digits.get(0..2)?.parse::<i64>().ok()?;
            let minutes = digits.get(2..4)?.parse::<i64>().ok()?;
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    u64::try_from(days * 86400 + time - offset).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00+0000", Some(951_825_600)),
            ("2018-12-04T20:12:00+0000", Some(1_543_954_320)),
            ("2018-12-04T21:12:00.5+01:00", Some(1_543_954_320)),
            ("2018-12-04", None),
            ("2018-13-04T20:12:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn keys_lose_their_user_and_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_543_954_000);
        assert_eq!(
            key("u:ssh-ed25519 AAAA u@h", now),
            Some("ssh-ed25519 AAAA u@h")
        );
        assert_eq!(
            key("ssh-ed25519 AAAA a:b", now),
            Some("ssh-ed25519 AAAA a:b")
        );
        let with = |time: &str| {
            format!("u:ssh-rsa AAAA google-ssh {{\"userName\":\"u\",\"expireOn\":\"{time}\"}}")
        };
        assert!(key(&with("2018-12-04T20:12:00+0000"), now).is_some());
        assert!(key(&with("2018-12-03T20:12:00+0000"), now).is_none());
    }

    proptest! {
        #[test]
        fn any_line_has_a_key_or_none(line: String, time in "[0-9T:+.Z-]{0,30}") {
            let _ = key(&line, SystemTime::UNIX_EPOCH);
            let _ = seconds(&time);
            let _ = seconds(&line);
        }
    }
}
