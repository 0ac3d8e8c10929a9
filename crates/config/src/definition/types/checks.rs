//! What makes the text of each type a valid one.

use std::{net::IpAddr, ops::RangeInclusive};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{KeySource, Refusal, did_you_mean, known_versions, listed, nearest, shown};

type Checked = Result<(), Refusal>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Refusal::new(message()))
    }
}

pub(super) fn hostname(text: &str) -> Checked {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    // The kernel holds 64 bytes (HOST_NAME_MAX).
    if text.len() <= 64 && !text.is_empty() && text.split('.').all(label) {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a host name: at most 64 lower-case letters, digits, `-` and `.`",
        shown(text)
    ));
    let fixed = text.to_lowercase().replace(['_', ' '], "-");
    Err(if fixed != text && hostname(&fixed).is_ok() {
        refusal.hint(format!("{fixed:?} would be one"))
    } else {
        refusal
    })
}

pub(super) fn ssh_key(text: &str) -> Checked {
    const TYPES: [&str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    one_line(text)?;
    if let Some(source) = key_source(text) {
        return key_source_is_whole(source, text);
    }
    if let Some((scheme, user)) = text.split_once(':')
        && !text.contains(' ')
        && !user.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err(Refusal::new(format!(
            "keys cannot be fetched from {}",
            shown(&format!("{scheme}:"))
        ))
        .hint("write github:USER, gitlab:USER, a https URL, or the key itself"));
    }
    if text.contains("PRIVATE KEY") {
        return Err(Refusal::new("this is a private key")
            .hint("keep it secret, and write the line of its .pub file here"));
    }
    // Options may stand before the type (sshd(8)); their quotes may hold blanks.
    let mut words = text.split_ascii_whitespace();
    let Some(kind) = words.by_ref().find(|word| TYPES.contains(word)) else {
        return Err(
            Refusal::new(format!("{} is not a public SSH key", shown(text)))
                .hint(format!("it begins with its type: {}", listed(TYPES))),
        );
    };
    let body = words.next().unwrap_or_default();
    // The body begins with the length and the name of its type (RFC 4253, 6.6).
    let decoded = STANDARD.decode(body).unwrap_or_default();
    let named = decoded.get(4..4 + kind.len()) == Some(kind.as_bytes());
    if named && decoded.len() > 4 + kind.len() {
        return Ok(());
    }
    Err(Refusal::new(format!("the {kind} key is cut or damaged"))
        .hint("copy the whole line of the .pub file"))
}

/// Where a key is fetched from, by its scheme, in any case.
pub(super) fn key_source(text: &str) -> Option<KeySource<'_>> {
    let (scheme, rest) = text.split_once(':')?;
    if scheme.eq_ignore_ascii_case("github") {
        Some(KeySource::GitHub(rest))
    } else if scheme.eq_ignore_ascii_case("gitlab") {
        Some(KeySource::GitLab(rest))
    } else if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        Some(KeySource::Url(text))
    } else {
        None
    }
}

fn key_source_is_whole(source: KeySource<'_>, text: &str) -> Checked {
    match source {
        KeySource::GitHub(user) | KeySource::GitLab(user) => {
            let name = !user.is_empty()
                && user
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            ensure(name && user.len() <= 255, || {
                format!("{} names no user", shown(text))
            })
        }
        KeySource::Url(_) => web_address(text),
    }
}

/// A http or https URL with a host.
pub(crate) fn web_address(text: &str) -> Checked {
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    let host = ["http", "https"].iter().find_map(|wanted| {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        (scheme.eq_ignore_ascii_case(wanted) && !host.is_empty()).then_some(host)
    });
    // Not repeated: an address may hold a password.
    ensure(clean && host.is_some(), || {
        "must be a http or https URL such as https://example.org/file".to_owned()
    })
}

pub(super) fn password(text: &str) -> Checked {
    if text.is_empty() {
        return Err(Refusal::new("the password is empty")
            .hint("leave the key out, or write \"*\" for no password"));
    }
    one_line(text)?;
    // `*` and `!` lock the account; a hash is `$ID$…` without `:` (crypt(5), shadow(5)).
    let hash = text.matches('$').count() >= 3
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':');
    if hash || !text.starts_with('$') {
        return Ok(());
    }
    Err(
        Refusal::new("not a password hash, although it begins with `$` as one")
            .hint("make a hash with `openssl passwd -6`, or write \"*\" for no password"),
    )
}

fn name_part(text: &str, most: usize) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= most
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

pub(super) fn label_key(text: &str) -> Checked {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix_holds = prefix.is_none_or(|prefix| {
        let label = |part: &str| !part.is_empty() && hostname(part).is_ok();
        prefix.len() <= 253 && prefix.split('.').all(label)
    });
    if !prefix_holds || !name_part(name, 63) {
        return Err(Refusal::new(format!(
            "{} is not a label key: [DOMAIN/]NAME, the name at most 63 letters, digits, `-`, `_` and `.`",
            shown(text)
        )));
    }
    Ok(())
}

/// What a kubelet may set on its own node (`--node-labels`); with any other label of these
/// domains it does not start.
pub(crate) fn kubelet_may_set(key: &str) -> bool {
    const KNOWN: [&str; 13] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "node.kubernetes.io/windows-build",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
    ];
    let Some((domain, _)) = key.split_once('/') else {
        return true;
    };
    let within = |parent: &str| {
        domain == parent
            || domain
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    !within("kubernetes.io") && !within("k8s.io")
        || KNOWN.contains(&key)
        || within("kubelet.kubernetes.io")
        || within("node.kubernetes.io")
}

pub(super) fn label_value(text: &str) -> Checked {
    ensure(text.is_empty() || name_part(text, 63), || {
        format!(
            "{} is not a label value: at most 63 letters, digits, `-`, `_` and `.`",
            shown(text)
        )
    })
}

pub(super) fn taint(text: &str) -> Checked {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let Some((rest, effect)) = text.rsplit_once(':') else {
        return Err(Refusal::new(format!("{} is not a taint", shown(text)))
            .hint("write KEY=VALUE:EFFECT or KEY:EFFECT"));
    };
    if !EFFECTS.contains(&effect) {
        let near = did_you_mean(nearest(effect, EFFECTS));
        return Err(Refusal::new(format!(
            "unknown effect {}; effects: {}{near}",
            shown(effect),
            listed(EFFECTS)
        )));
    }
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    label_key(key)?;
    label_value(value)
}

pub(super) fn module(text: &str) -> Checked {
    one_line(text)?;
    let name = text.split_whitespace().next().unwrap_or_default();
    let holds = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    ensure(holds, || {
        format!("{} is not the name of a kernel module", shown(name))
    })
}

pub(super) fn sysctl(text: &str) -> Checked {
    let holds = !text.is_empty()
        && text.split(['.', '/']).all(|part| !part.is_empty())
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b'@')
        });
    ensure(holds, || {
        format!(
            "{} is not a kernel setting such as net.ipv4.ip_forward",
            shown(text)
        )
    })
}

pub(crate) fn one_line(text: &str) -> Checked {
    ensure(!text.contains(char::is_control), || {
        "must be one line without control characters".to_owned()
    })
}

pub(super) fn variable_name(text: &str) -> Checked {
    let holds = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    ensure(holds, || {
        format!(
            "{} is not a variable's name: letters, digits and `_`",
            shown(text)
        )
    })
}

pub(super) fn address(text: &str) -> Checked {
    ensure(text.parse::<IpAddr>().is_ok(), || {
        format!("{} is not an IPv4 or IPv6 address", shown(text))
    })
}

pub(crate) fn server(text: &str) -> Checked {
    let name = text.to_ascii_lowercase();
    // Digits and dots alone would be an address with a mistake.
    let numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let holds = address(text).is_ok() || !numeric && hostname(name.trim_end_matches('.')).is_ok();
    ensure(holds, || {
        format!("{} is not a host name or address", shown(text))
    })
}

pub(super) fn command(text: &str) -> Checked {
    ensure(!text.trim().is_empty() && !text.contains('\0'), || {
        "the command is empty".to_owned()
    })
}

pub(crate) fn node_path(text: &str) -> Checked {
    let clean = |path: &str| {
        path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255)
        })
    };
    if clean(text) && !text.contains(char::is_control) && text.len() < 4096 {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not an absolute path to a file, without `.`, `..` and `//`",
        shown(text)
    ));
    let absolute = format!("/{text}");
    Err(if clean(&absolute) {
        refusal.hint(format!("{} would be one", shown(&absolute)))
    } else {
        refusal
    })
}

pub(super) fn host_path(text: &str) -> Checked {
    ensure(!text.is_empty() && !text.contains('\0'), || {
        "the path is empty".to_owned()
    })
}

pub(super) fn mode(text: &str) -> Checked {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal =
        (3..=5).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let holds = octal && u32::from_str_radix(digits, 8).is_ok_and(|bits| bits <= 0o7777);
    ensure(holds, || {
        format!("{} is not an octal mode such as 0644 or 04755", shown(text))
    })
}

pub(super) fn owner(text: &str) -> Checked {
    let name = |name: &str| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            && !name.starts_with('-')
            && (name.parse::<u32>().is_ok() || !name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    ensure(name(user) && group.is_none_or(name), || {
        format!("{} is not an owner such as root or root:adm", shown(text))
    })
}

pub(super) fn package(text: &str) -> Checked {
    // Debian policy 5.6.1.
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let holds = text.len() >= 2
        && text.bytes().next().is_some_and(first)
        && text
            .bytes()
            .all(|byte| first(byte) || matches!(byte, b'+' | b'-' | b'.'));
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not a package name", shown(text)));
    Err(if text.contains(['=', '/', ' ', ':']) {
        refusal.hint("write the name alone; versions are chosen by the lock")
    } else {
        refusal.hint("lower-case letters, digits, `+`, `-` and `.`, at least two")
    })
}

pub(super) fn url(text: &str) -> Checked {
    let rest = ["https://", "http://", "file:///"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    ensure(clean && rest.is_some_and(|rest| !rest.is_empty()), || {
        format!("{} is not a http, https or file URL", shown(text))
    })
}

pub(super) fn bundle(text: &str) -> Checked {
    let holds = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    ensure(holds, || format!("{} is not a bundle's name", shown(text)))
}

pub(super) fn date(text: &str) -> Checked {
    let number = |range: RangeInclusive<u32>, part: Option<&str>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|number| range.contains(&number))
        })
    };
    let mut parts = text.split('-');
    let holds = number(1970..=9999, parts.next(), 4)
        && number(1..=12, parts.next(), 2)
        && number(1..=31, parts.next(), 2)
        && parts.next().is_none();
    ensure(holds, || {
        format!("{} is not a date YYYY-MM-DD", shown(text))
    })
}

pub(super) fn size(text: &str) -> Checked {
    parse_size(text).map(drop)
}

/// The size in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, Refusal> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "MiB" | "Mi" => 20,
        "GiB" | "Gi" => 30,
        "TiB" | "Ti" => 40,
        "KiB" | "Ki" => 10,
        other => {
            let refusal = Refusal::new(format!(
                "{} is not a size: a whole number and MiB, GiB or TiB; a bare number counts MiB",
                shown(text)
            ));
            let first = other.chars().next().map(|first| first.to_ascii_uppercase());
            let whole = !number.is_empty() && matches!(other.len(), 1..=3);
            return Err(match first {
                Some(first @ ('M' | 'G' | 'T')) if whole => {
                    refusal.hint(format!("did you mean {number}{first}iB?"))
                }
                _ => refusal,
            });
        }
    };
    let bytes = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift));
    match bytes {
        None => Err(Refusal::new(format!("{} is not a size", shown(text)))),
        Some(bytes) if bytes > 1 << 50 => Err(Refusal::new(format!(
            "{} is too large; at most 1024TiB",
            shown(text)
        ))),
        Some(bytes) if bytes == 0 || !bytes.is_multiple_of(1 << 20) => Err(Refusal::new(format!(
            "{} is not a multiple of 1MiB",
            shown(text)
        ))),
        Some(bytes) => Ok(bytes),
    }
}

pub(super) fn kubernetes_version(text: &str) -> Checked {
    parse_kubernetes_version(text).map(drop)
}

/// The minor version and the patch, if named.
pub(super) fn parse_kubernetes_version(text: &str) -> Result<(u32, Option<u32>), Refusal> {
    let known: Vec<String> = known_versions()
        .iter()
        .map(|version| format!("1.{}", version.minor))
        .collect();
    let number = |part: &str| {
        let plain = part == "0" || !part.starts_with('0');
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        (plain && digits).then(|| part.parse::<u32>().ok())?
    };
    let bare = text.strip_prefix('v').unwrap_or(text);
    let mut parts = bare.split('.');
    let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
    let minor_text = format!(
        "{}.{}",
        major.unwrap_or_default(),
        minor.unwrap_or_default()
    );
    let form = parts.next().is_none() && patch.is_none_or(|patch| number(patch).is_some());
    if form && known.contains(&minor_text) && bare == text {
        let minor = minor.and_then(number);
        if let Some(minor) = minor {
            return Ok((minor, patch.and_then(number)));
        }
    }
    let near = if form && known.contains(&minor_text) {
        Some(bare)
    } else {
        nearest(&minor_text, known.iter().map(String::as_str))
    };
    let message = format!(
        "unknown version {}; supported: {}{}",
        shown(text),
        listed(&known),
        did_you_mean(near)
    );
    Err(Refusal::new(message)
        .hint("a minor such as 1.36 means its newest known patch; 1.36.3 means that one"))
}

pub(super) fn port_forward(text: &str) -> Checked {
    parse_port_forward(text).map(drop)
}

/// Host port, if named, and guest port.
pub(super) fn parse_port_forward(text: &str) -> Result<(Option<u16>, u16), Refusal> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let parsed = match text.split_once(':') {
        Some((host, guest)) => port(host).map(Some).zip(port(guest)),
        None => port(text).map(|guest| (None, guest)),
    };
    parsed.ok_or_else(|| {
        Refusal::new(format!("{} is not a forwarded port", shown(text)))
            .hint("write \"HOST:GUEST\", such as \"8080:80\", or the guest's port alone for a free one here")
    })
}
