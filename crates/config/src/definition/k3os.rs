//! Types of the keys of `node:` that are k3OS' own: where the configuration comes from, wireless
//! networks, the cluster to join, installation.

use std::net::Ipv6Addr;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    formats::Refusal,
    types::{NodePath, Url, checks, text_types},
};
use crate::finding::{did_you_mean, listed, nearest, shown};

/// The keys that k3OS has below `k3os:`; in `node:` they stand directly or below `k3os:`.
pub(crate) const SECTION: [&str; 14] = [
    "data_sources",
    "modules",
    "sysctls",
    "dns_nameservers",
    "ntp_servers",
    "wifi",
    "password",
    "server_url",
    "token",
    "labels",
    "taints",
    "k3s_args",
    "environment",
    "install",
];

text_types! {
    /// The formats of k3OS' own keys.
    table FORMATS [];
    /// A cloud data source: its name, or `file=PATH`, `nocloud=URL`.
    DataSource: "data-source", "string", "a data source", data_source, false;
    /// The name of a wireless network (SSID), at most 32 bytes.
    NetworkName: "wifi-name", "string", "the name of a wireless network", network_name, false;
    /// The passphrase of a wireless network: 8 to 63 characters, or 64 hexadecimal digits.
    Passphrase: "wifi-passphrase", "string", "a passphrase", passphrase, true;
    /// The address of a cluster's API server: `https://HOST:PORT`.
    ServerUrl: "server-url", "string", "the URL of a cluster", server_url, false;
    /// What lets a node join a cluster.
    Token: "token", "string", "a token", token, true;
    /// An argument of k3s. Arguments may hold tokens, so none is shown.
    Argument: "argument", ["string", "number", "boolean"], "an argument", checks::one_line, true;
    /// Where a file is: a http, https, ftp or tftp URL, or a path.
    Location: "location", "string", "a URL or a path", location, false;
    /// A terminal such as `ttyS0`, options such as `ttyS0,115200` allowed.
    Terminal: "terminal", "string", "a terminal such as ttyS0", terminal, false;
    /// A SHA-256 in hexadecimal digits.
    Sha256: "sha256", "string", "a SHA-256 in hexadecimal digits", sha256, false;
}

/// A wireless network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Its name (SSID).
    pub name: NetworkName,
    /// Its passphrase; an open network has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Passphrase>,
}

/// A file in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Where it is.
    pub url: Url,
    /// The SHA-256 of what is there: `sha256sum FILE`. Anything else is not written.
    pub sha256: Sha256,
}

/// Installation to a disk, as k3OS' installer took it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "as k3OS has them")]
pub struct InstallConfig {
    /// Ask nothing.
    pub silent: bool,
    /// The disk to install to, such as `/dev/sda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<NodePath>,
    /// The configuration of the installed system: a URL or a path. The default is the one that
    /// is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_url: Option<Location>,
    /// Where the image to install is, if it is not the one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso_url: Option<Location>,
    /// Keep the disk's partitions.
    pub no_format: bool,
    /// Install for UEFI firmware, whatever this machine has.
    pub force_efi: bool,
    /// Log more.
    pub debug: bool,
    /// The console of the installed system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<Terminal>,
    /// Power off when done; the default is to restart.
    pub power_off: bool,
}

impl DataSource {
    /// The names that are known.
    pub const NAMES: [&str; 17] = [
        "aws",
        "azure",
        "cdrom",
        "digitalocean",
        "equinix",
        "file",
        "firecracker",
        "fw_cfg",
        "gcp",
        "hetzner",
        "nocloud",
        "openstack",
        "packet",
        "scaleway",
        "smbios",
        "vmware",
        "vultr",
    ];

    /// Other names of these.
    pub const ALIASES: [&str; 11] = [
        "amazon",
        "config-drive",
        "ec2",
        "equinix-metal",
        "gce",
        "google",
        "guestinfo",
        "hcloud",
        "mmds",
        "nocloud-net",
        "qemu",
    ];

    /// Its name, and what stands after `=`.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.as_str().split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (self.as_str(), None),
        }
    }
}

impl ServerUrl {
    /// Host and port; an IPv6 address without brackets. The port is 6443 where none is named.
    pub fn host_and_port(&self) -> (&str, u16) {
        let whole = split_server(self.as_str());
        let (host, port) = whole.unwrap_or((self.as_str(), None));
        (host, port.unwrap_or(6443))
    }
}

impl Token {
    /// Whether this is a token of k3s, which no other Kubernetes takes: `K10HASH::USER:SECRET`
    /// or `USER:SECRET`.
    pub fn is_of_k3s(&self) -> bool {
        let text = self.as_str();
        text.starts_with("K10")
            || text.contains("::")
            || text.starts_with("server:")
            || text.starts_with("node:")
    }

    /// Whether this is a bootstrap token as kubeadm has them: `abcdef.0123456789abcdef`.
    pub fn is_of_kubeadm(&self) -> bool {
        let part = |text: &str, length: usize| {
            text.len() == length
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let halves = self.as_str().split_once('.');
        halves.is_some_and(|(id, secret)| part(id, 6) && part(secret, 16))
    }
}

fn refuse(holds: bool, message: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds {
        Ok(())
    } else {
        Err(Refusal::new(message()))
    }
}

fn data_source(text: &str) -> Result<(), Refusal> {
    let (name, argument) = match text.find(['=', ':']) {
        Some(at) => (&text[..at], Some(text[at..].split_at(1))),
        None => (text, None),
    };
    if !DataSource::NAMES.contains(&name) && !DataSource::ALIASES.contains(&name) {
        let near = did_you_mean(nearest(name, DataSource::NAMES));
        return Err(Refusal::new(format!(
            "unknown data source {}; known: {}{near}",
            shown(name),
            listed(DataSource::NAMES)
        )));
    }
    match (name, argument) {
        ("file", Some(("=", path))) if checks::node_path(path).is_ok() => Ok(()),
        ("file", _) => Err(Refusal::new("`file` needs an absolute path")
            .hint("write it as file=/path/to/userdata")),
        ("nocloud" | "nocloud-net", Some(("=", url))) => checks::web_address(url),
        // Without session tokens, where there are none.
        ("aws" | "ec2" | "amazon", Some((":", "imdsv1")))
        | ("firecracker" | "mmds", Some((":", "mmdsv1")))
        | (_, None) => Ok(()),
        (_, Some(_)) => Err(Refusal::new(format!("{name} takes nothing after its name"))),
    }
}

fn network_name(text: &str) -> Result<(), Refusal> {
    refuse(
        (1..=32).contains(&text.len()) && !text.contains('\0'),
        || {
            format!(
                "{} is not the name of a wireless network: 1 to 32 bytes",
                shown(text)
            )
        },
    )
}

fn passphrase(text: &str) -> Result<(), Refusal> {
    // IEEE 802.11, annex J.4: printable ASCII; or the key itself.
    let phrase =
        (8..=63).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    refuse(phrase || key, || {
        "a passphrase has 8 to 63 printable ASCII characters, or is a key of 64 hexadecimal digits"
            .to_owned()
    })
}

/// Host and port of `https://HOST[:PORT][/]`.
fn split_server(text: &str) -> Option<(&str, Option<u16>)> {
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        match after {
            "" => (host, None),
            after => (host, Some(after.strip_prefix(':')?)),
        }
    } else {
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        checks::server(host).ok()?;
        (host, port)
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some((host, port))
}

fn server_url(text: &str) -> Result<(), Refusal> {
    if split_server(text).is_some() {
        return Ok(());
    }
    // Not repeated: an address may hold a password.
    let refusal = Refusal::new("must be a URL https://HOST:PORT, without a path");
    Err(match text.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
            refusal.hint("a cluster is joined over https only")
        }
        Some(_) => refusal,
        None => refusal.hint("put `https://` before it"),
    })
}

fn token(text: &str) -> Result<(), Refusal> {
    let holds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    refuse(holds, || {
        "a token is one word of ASCII characters".to_owned()
    })
}

fn location(text: &str) -> Result<(), Refusal> {
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    let known = match text.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = scheme.to_ascii_lowercase();
            matches!(&*scheme, "http" | "https" | "ftp" | "tftp" | "file") && !rest.is_empty()
        }
        None => text.starts_with('/') && text.len() > 1,
    };
    // Not repeated: an address may hold a password.
    refuse(clean && known, || {
        "must be a http, https, ftp or tftp URL, or an absolute path".to_owned()
    })
}

fn terminal(text: &str) -> Result<(), Refusal> {
    let device = text.split(',').next().unwrap_or_default();
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let holds = !name.is_empty()
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b',' | b'-' | b'_'));
    refuse(holds, || {
        format!("{} is not a terminal such as ttyS0", shown(text))
    })
}

fn sha256(text: &str) -> Result<(), Refusal> {
    let holds = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    refuse(holds, || {
        format!("{} is not a SHA-256: 64 hexadecimal digits", shown(text))
    })
}

/// Adds `k3os` to the schema of the node's configuration: the same keys in k3OS' own place.
pub(crate) fn section_schema(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) else {
        return;
    };
    let inner: Map<String, Json> = SECTION
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), properties.get(*key)?.clone())))
        .collect();
    let section = serde_json::json!({
        "description": "k3OS' own place of data_sources, modules, sysctls, dns_nameservers, ntp_servers, wifi, password, server_url, token, labels, taints, k3s_args, environment and install: they mean the same here as directly in `node`. A key may stand in one of the two places only.",
        "type": "object",
        "properties": inner,
        "additionalProperties": false,
    });
    properties.insert("k3os".to_owned(), section);
}
