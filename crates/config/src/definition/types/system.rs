//! The values of the keys for the operating system around Kubernetes.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Refusal, checks, network::domain, shown};

pub(super) type Checked = Result<(), Refusal>;

text_types! {
    /// The formats of the operating system's values.
    table FORMATS [];
    /// The name of a user or group.
    UserName: "user-name", "string", "a user's name", user_name, false;
    /// A home folder or shell.
    AccountPath: "account-path", "string", "an absolute path", account_path, false;
    /// The full name of a user.
    Gecos: "gecos", "string", "text", gecos, false;
    /// What a user may do by sudo: `true`, `false` or a rule of sudoers(5).
    SudoRule: "sudo", ["string", "boolean"], "true, false or a rule such as ALL=(ALL) ALL", sudo, false;
    /// Certificates as PEM.
    Certificate: "certificate", "string", "a certificate as PEM", certificate, false;
    /// Certificates as PEM, or the path of a file of them.
    CertificateSource: "certificate-source", "string", "a certificate as PEM, or a path", certificate_source, false;
    /// A private key as PEM, or the path of its file.
    PrivateKeySource: "key-source", "string", "a private key as PEM, or a path", key_source, true;
    /// A time zone by its name.
    Timezone: "timezone", "string", "a time zone such as Europe/Berlin", timezone, false;
    /// A locale by its name.
    Locale: "locale", "string", "a locale such as C.UTF-8", locale, false;
    /// The host of a registry, with its port; `*` for any.
    RegistryHost: "registry-host", "string", "a registry's host", registry_host, false;
    /// The URL of a mirror.
    Endpoint: "endpoint", "string", "a URL", endpoint, false;
    /// The name of a registry's user.
    RegistryUser: "registry-user", "string", "text", registry_user, false;
    /// A password or token of a registry.
    RegistrySecret: "registry-secret", "string", "a password", checks::one_line, true;
    /// The URL of a proxy; may hold a password.
    ProxyUrl: "proxy-url", "string", "a proxy's URL", proxy_url, true;
    /// A host, domain, address or network that is reached without the proxy.
    NoProxy: "no-proxy", "string", "a host, domain or network", no_proxy, false;
    /// One argument of the kernel's command line.
    KernelArgument: "kernel-argument", "string", "a kernel argument", kernel_argument, false;
}

impl ProxyUrl {
    /// Whether it holds a user's name or password.
    pub fn has_credentials(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    }
}

impl SudoRule {
    /// The rule after the user's name; none for `false`.
    pub fn rule(&self) -> Option<&str> {
        match self.0.as_str() {
            "false" => None,
            "true" => Some("ALL=(ALL:ALL) NOPASSWD: ALL"),
            rule => Some(rule),
        }
    }
}

pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Refusal::new(message()))
    }
}

fn user_name(text: &str) -> Checked {
    let byte = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
    };
    // In sudoers(5), words of capital letters are not users.
    let holds = (1..=32).contains(&text.len())
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && text.bytes().all(byte);
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a user's name: at most 32 lower-case letters, digits, `_`, `-` and `.`, a letter first",
        shown(text)
    ));
    let fixed = text.to_lowercase();
    Err(if fixed != text && user_name(&fixed).is_ok() {
        refusal.hint(format!("{fixed} would be one"))
    } else {
        refusal
    })
}

fn account_path(text: &str) -> Checked {
    checks::node_path(text)?;
    ensure(!text.contains(':'), || {
        format!("{} has a `:`, which /etc/passwd cannot hold", shown(text))
    })
}

fn gecos(text: &str) -> Checked {
    checks::one_line(text)?;
    ensure(!text.contains(':'), || {
        format!("{} has a `:`, which /etc/passwd cannot hold", shown(text))
    })
}

fn sudo(text: &str) -> Checked {
    if matches!(text, "true" | "false") {
        return Ok(());
    }
    checks::one_line(text)?;
    let (hosts, what) = text.split_once('=').unwrap_or((text, ""));
    let holds = !hosts.trim().is_empty()
        && !what.trim().is_empty()
        && !text.ends_with('\\')
        && !text.starts_with(['#', '@', '='])
        && text.len() <= 1000;
    if holds {
        return Ok(());
    }
    Err(
        Refusal::new(format!("{} is not a rule of sudoers(5)", shown(text)))
            .hint("write true for everything without a password, or such as `ALL=(ALL) ALL`"),
    )
}

/// The DER certificates of PEM text.
pub(crate) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    if text.contains("PRIVATE KEY-----") {
        return Err(Refusal::new("this holds a private key")
            .hint("keep it secret, and write the certificate alone"));
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        outside(before)?;
        let number = found.len() + 1;
        let Some((body, after)) = after.split_once(END) else {
            return Err(Refusal::new(format!(
                "certificate {number} has no line {END:?}"
            )));
        };
        let body: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|error| {
            Refusal::new(format!("certificate {number} is not base64 ({error})"))
        })?;
        if !is_der_sequence(&der) {
            return Err(
                Refusal::new(format!("certificate {number} is cut or damaged"))
                    .hint("copy the whole of the file, from BEGIN to END"),
            );
        }
        found.push(der);
        rest = after;
    }
    outside(rest)?;
    if found.is_empty() {
        return Err(
            Refusal::new(format!("{} is not a certificate as PEM", shown(text)))
                .hint(format!("it begins with the line {BEGIN:?}")),
        );
    }
    Ok(found)
}

/// Text around certificates may be comments, but no other PEM block.
fn outside(text: &str) -> Checked {
    ensure(!text.contains("-----BEGIN"), || {
        "only certificates are taken, and this holds something else".to_owned()
    })
}

/// Whether these bytes are one DER sequence from end to end (X.690, 8.1.3).
fn is_der_sequence(der: &[u8]) -> bool {
    let (Some(0x30), Some(&first)) = (der.first(), der.get(1)) else {
        return false;
    };
    let (length, header) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x83 => {
            let count = usize::from(first & 0x0f);
            let Some(bytes) = der.get(2..2 + count) else {
                return false;
            };
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + count)
        }
        _ => return false,
    };
    // The first thing in a certificate is a sequence again (RFC 5280, 4.1).
    der.len() == header + length && der.get(header) == Some(&0x30)
}

fn certificate(text: &str) -> Checked {
    certificates(text).map(drop)
}

fn certificate_source(text: &str) -> Checked {
    if text.starts_with('/') {
        return checks::node_path(text);
    }
    certificate(text)
}

fn key_source(text: &str) -> Checked {
    if text.starts_with('/') {
        return checks::node_path(text);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |line: &&str| line.starts_with("-----BEGIN ") && line.ends_with("KEY-----");
    let ends = |line: &&str| line.starts_with("-----END ") && line.ends_with("KEY-----");
    ensure(
        lines.iter().any(begins) && lines.iter().any(ends) && !text.contains('\0'),
        || "not a private key as PEM, nor the path of a file".to_owned(),
    )
}

fn timezone(text: &str) -> Checked {
    let part = |part: &str| {
        part.bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
    };
    if text.len() <= 64 && text.split('/').all(part) {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a time zone such as Europe/Berlin or UTC",
        shown(text)
    ));
    let fixed = text.trim().replace(' ', "_");
    Err(if fixed != text && timezone(&fixed).is_ok() {
        refusal.hint(format!("did you mean {fixed}?"))
    } else {
        refusal
    })
}

fn locale(text: &str) -> Checked {
    let language = text.split(['_', '.', '@']).next().unwrap_or_default();
    let holds = text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@'))
        && (matches!(language, "C" | "POSIX")
            || (2..=3).contains(&language.len())
                && language.bytes().all(|byte| byte.is_ascii_lowercase()));
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a locale such as C.UTF-8 or de_DE.UTF-8",
        shown(text)
    ));
    let fixed = text.replacen('-', "_", 1);
    Err(if fixed != text && locale(&fixed).is_ok() {
        refusal.hint(format!("did you mean {fixed}?"))
    } else {
        refusal
    })
}

/// `HOST` or `HOST:PORT`, an IPv6 address in brackets.
fn host_and_port(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_holds = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let six = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_holds = match six {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => domain(host) && !host.ends_with('.'),
    };
    port_holds && host_holds
}

fn registry_host(text: &str) -> Checked {
    if text == "*" || host_and_port(text) {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a registry's host such as docker.io or registry.example.org:5000",
        shown(text)
    ));
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    Err(if host != text && host_and_port(host) {
        refusal.hint(format!("write {host}"))
    } else {
        refusal
    })
}

fn endpoint(text: &str) -> Checked {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let Some(rest) = rest else {
        let refusal = Refusal::new(format!("{} is not a http or https URL", shown(text)));
        return Err(if host_and_port(text) {
            refusal.hint(format!("write https://{text}"))
        } else {
            refusal
        });
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        return Err(Refusal::new("the URL of a mirror may hold no password")
            .hint("credentials belong under registries.configs"));
    }
    let clean = path.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b':')
    });
    ensure(host_and_port(host) && clean, || {
        format!(
            "{} is not the URL of a mirror such as https://mirror.example.org:5000",
            shown(text)
        )
    })
}

fn registry_user(text: &str) -> Checked {
    checks::one_line(text)?;
    ensure(!text.is_empty() && !text.contains(':'), || {
        format!("{} is not a user's name", shown(text))
    })
}

fn proxy_url(text: &str) -> Checked {
    let rest = ["http://", "https://", "socks5://", "socks5h://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    // The text is not shown: it may hold a password.
    let Some(rest) = rest else {
        return Err(Refusal::new("the proxy is no http, https or socks5 URL")
            .hint("such as http://proxy.example.org:3128"));
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let odd = |byte: u8| {
        !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\'' | b'\\' | b'`' | b'$' | b'#')
    };
    if text.bytes().any(odd) {
        return Err(
            Refusal::new("the proxy's URL has a blank, quote or other special character")
                .hint("write it as % and two hexadecimal digits, such as %24 for $"),
        );
    }
    ensure(host_and_port(host), || {
        "the proxy's URL has no host, or a port that is not a number".to_owned()
    })
}

fn no_proxy(text: &str) -> Checked {
    let holds = !text.is_empty()
        && (text.parse::<IpAddr>().is_ok()
            || text.bytes().all(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'*' | b'[' | b']')
            }));
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!(
        "{} is not a host, domain, address or network",
        shown(text)
    ));
    Err(if text.contains(',') {
        refusal.hint("make each an item of the list")
    } else {
        refusal
    })
}

fn kernel_argument(text: &str) -> Checked {
    const OWN: [&str; 7] = [
        "roothash",
        "root",
        "init",
        "rdinit",
        "usrhash",
        "initrd",
        "systemd.verity",
    ];
    checks::one_line(text)?;
    let mut quoted = false;
    let mut words = 1;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words += 1,
            _ => {}
        }
    }
    let ascii = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || !ascii || quoted {
        return Err(Refusal::new(format!(
            "{} is not an argument of the kernel: ASCII, with every quote closed",
            shown(text)
        )));
    }
    if words > 1 {
        return Err(
            Refusal::new(format!("{} is more than one argument", shown(text)))
                .hint("make each an item of the list; a value with blanks stands in double quotes"),
        );
    }
    let key = text.split('=').next().unwrap_or_default();
    if text == "--" || OWN.contains(&key) {
        return Err(Refusal::new(format!(
            "{} is set by the image: the node would not start with another",
            shown(key)
        )));
    }
    Ok(())
}
