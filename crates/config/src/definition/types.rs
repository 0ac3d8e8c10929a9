//! The types of single values. Each text type has a format that its schema names and that the
//! parser checks, so that a value of the type is always a valid one.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    formats::{Check, Format, Refusal},
    versions::{default_minor, known_versions},
};
use crate::{
    finding::{did_you_mean, listed, shown},
    nearest,
};

pub(crate) mod checks;

pub use access::KeySource;
pub(crate) use checks::kubelet_may_set;

/// Makes text types and the table of their formats.
macro_rules! text_types {
    ($(#[$table_meta:meta])* table $table:ident [$($more:expr),* $(,)?]; $($(#[$meta:meta])* $name:ident: $format:literal, $kinds:tt, $expectation:literal, $check:path, $secret:literal;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
            #[serde(try_from = "String", into = "String")]
            pub struct $name(String);

            impl $name {
                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl std::str::FromStr for $name {
                type Err = $crate::definition::formats::Refusal;

                fn from_str(text: &str) -> Result<Self, $crate::definition::formats::Refusal> {
                    $check(text).map(|()| Self(text.to_owned()))
                }
            }

            impl TryFrom<String> for $name {
                type Error = $crate::definition::formats::Refusal;

                fn try_from(text: String) -> Result<Self, $crate::definition::formats::Refusal> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> Self {
                    value.0
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    if $secret { f.write_str("…") } else { write!(f, "{:?}", self.0) }
                }
            }

            impl schemars::JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    schemars::json_schema!({ "type": $kinds, "format": $format })
                }
            }
        )*

        $(#[$table_meta])*
        pub(crate) static $table: &[$crate::definition::formats::Format] = &[
            $($crate::definition::formats::Format { name: $format, expectation: $expectation, check: $check, secret: $secret },)*
            $($more,)*
        ];
    };    ($($(#[$meta:meta])* $name:ident: $format:literal, $kinds:tt, $expectation:literal, $check:path, $secret:literal;)*) => {
        $crate::definition::types::text_types! {
            /// The formats of these types.
            table FORMATS [];
            $($(#[$meta])* $name: $format, $kinds, $expectation, $check, $secret;)*
        }
    };
}

pub(crate) use text_types;

const fn format(name: &'static str, expectation: &'static str, check: Check) -> Format {
    Format {
        name,
        expectation,
        check,
        secret: false,
    }
}

mod access;
pub mod network;
pub mod system;
pub mod units;

text_types! {
    /// The formats of this module.
    table FORMATS [
        format("size", "a size such as 4GiB", checks::size),
        format("kubernetes-version", "a version such as 1.36 or 1.36.3", checks::kubernetes_version),
        format("port-forward", "ports such as \"8080:80\"", checks::port_forward),
    ];
    /// A host name as RFC 1123 and Kubernetes have it: lower-case letters, digits, `-` and `.`.
    Hostname: "hostname", "string", "text", checks::hostname, false;
    /// A public SSH key as in `authorized_keys`, options before it allowed; or where keys are
    /// fetched from: `github:USER`, `gitlab:USER` or a http(s) URL.
    SshKey: "ssh-key", "string", "a public SSH key", checks::ssh_key, false;
    /// A password: a hash of crypt(5), such as `openssl passwd -6` prints, or plain text, which
    /// does not begin with `$`.
    Password: "password", "string", "a password", checks::password, true;
    /// The key of a Kubernetes label.
    LabelKey: "label-key", "string", "a label key", checks::label_key, false;
    /// The value of a Kubernetes label; a number or boolean is taken as it is written.
    LabelValue: "label-value", ["string", "number", "boolean"], "text", checks::label_value, false;
    /// A Kubernetes taint: `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
    Taint: "taint", "string", "a taint such as key=value:NoSchedule", checks::taint, false;
    /// A kernel module, its parameters after it.
    ModuleLine: "module", "string", "a module name", checks::module, false;
    /// The name of a kernel setting, its parts separated by `.` or `/`.
    SysctlName: "sysctl", "string", "a kernel setting", checks::sysctl, false;
    /// The value of a kernel setting; a number is taken as it is written.
    SysctlValue: "one-line", ["string", "number", "boolean"], "text", checks::one_line, false;
    /// The name of an environment variable.
    VariableName: "variable-name", "string", "a variable's name", checks::variable_name, false;
    /// The value of an environment variable; a number or boolean is taken as it is written.
    VariableValue: "environment-value", ["string", "number", "boolean"], "text", checks::one_line, false;
    /// An IPv4 or IPv6 address.
    Address: "address", "string", "an IP address", checks::address, false;
    /// A host name or address.
    Server: "server", "string", "a host name or address", checks::server, false;
    /// A shell command.
    CommandLine: "command", "string", "a command", checks::command, false;
    /// An absolute path on the node, without `.` and `..`.
    NodePath: "node-path", "string", "an absolute path", checks::node_path, false;
    /// A path on the machine that builds; relative to the definition's folder.
    HostPath: "host-path", "string", "a path", checks::host_path, false;
    /// An octal file mode, such as `0644` or `0o4755`.
    Mode: "mode", ["string", "integer"], "an octal mode such as 0644", checks::mode, false;
    /// `USER`, `USER:GROUP` or the same in numbers.
    Owner: "owner", ["string", "integer"], "an owner such as root:root", checks::owner, false;
    /// The name of a Debian package.
    PackageName: "package", "string", "a package name", checks::package, false;
    /// A web address.
    Url: "url", "string", "a URL", checks::url, false;
    /// The name of a bundle.
    BundleName: "bundle", "string", "a bundle's name", checks::bundle, false;
    /// A date: `YYYY-MM-DD`.
    Date: "iso-date", "string", "a date such as 2026-12-31", checks::date, false;
}

impl Mode {
    /// The permission bits, special bits included.
    pub fn bits(&self) -> u32 {
        let digits = self.0.strip_prefix("0o").unwrap_or(&self.0);
        u32::from_str_radix(digits, 8).unwrap_or(0o644)
    }
}

impl Owner {
    /// User and group; the group is the user's where none is named.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.0.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (&self.0, None),
        }
    }
}

impl LabelKey {
    /// The part before `/`.
    pub fn prefix(&self) -> Option<&str> {
        self.0.split_once('/').map(|(prefix, _)| prefix)
    }
}

impl Taint {
    /// Key, value and effect.
    pub fn parts(&self) -> (&str, &str, &str) {
        let (rest, effect) = self.0.rsplit_once(':').unwrap_or((&self.0, ""));
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        (key, value, effect)
    }
}

impl ModuleLine {
    /// The module's name and its parameters.
    pub fn parts(&self) -> (&str, &str) {
        let line = self.0.trim();
        let (name, parameters) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        (name, parameters.trim())
    }
}

/// A size in bytes; a multiple of 1 MiB.
///
/// Written as `512MiB` or `4GiB`; a bare number counts MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

impl Size {
    /// So many MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// So many GiB.
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in MiB.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }
}

impl FromStr for Size {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        checks::parse_size(text).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0.is_multiple_of(1 << 30) {
            write!(f, "{}GiB", self.0 >> 30)
        } else {
            write!(f, "{}MiB", self.0 >> 20)
        }
    }
}

/// A Kubernetes version: `1.36`, meaning its newest known patch, or `1.36.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KubernetesVersion {
    minor: u32,
    patch: Option<u32>,
}

impl KubernetesVersion {
    /// The minor version: 36 of `1.36`.
    pub fn minor(self) -> u32 {
        self.minor
    }

    /// The patch: the named one, else the newest known.
    pub fn patch(self) -> u32 {
        let known = || known_versions().iter().find(|one| one.minor == self.minor);
        self.patch
            .or_else(|| known().map(|one| one.patch))
            .unwrap_or_default()
    }

    /// The patch that is named, if one is.
    pub fn named_patch(self) -> Option<u32> {
        self.patch
    }

    /// The full version without `v`: `1.36.3`.
    pub fn resolved(self) -> String {
        format!("1.{}.{}", self.minor, self.patch())
    }
}

impl Default for KubernetesVersion {
    fn default() -> Self {
        Self {
            minor: default_minor(),
            patch: None,
        }
    }
}

impl FromStr for KubernetesVersion {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (minor, patch) = checks::parse_kubernetes_version(text)?;
        Ok(Self { minor, patch })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// A forwarded TCP port, written `HOST:GUEST` or `GUEST`, or as a mapping of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PortForwardForm", into = "String")]
pub struct PortForward {
    /// The port on 127.0.0.1 of this machine; `None` takes a free one.
    pub host: Option<u16>,
    /// The port of the node.
    pub guest: u16,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PortForwardForm {
    Text(String),
    Mapping {
        #[serde(default)]
        host: Option<u16>,
        guest: u16,
    },
}

impl TryFrom<PortForwardForm> for PortForward {
    type Error = Refusal;

    fn try_from(form: PortForwardForm) -> Result<Self, Refusal> {
        match form {
            PortForwardForm::Text(text) => text.parse(),
            PortForwardForm::Mapping { host, guest } => Ok(Self { host, guest }),
        }
    }
}

impl FromStr for PortForward {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (host, guest) = checks::parse_port_forward(text)?;
        Ok(Self { host, guest })
    }
}

impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => write!(f, "{host}:{}", self.guest),
            None => write!(f, "{}", self.guest),
        }
    }
}

impl JsonSchema for PortForward {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PortForward".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let port = |description: &str| json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535, "description": description });
        json_schema!({ "anyOf": [
            { "type": ["string", "integer"], "format": "port-forward" },
            {
                "type": "object",
                "properties": {
                    "host": port("The port on 127.0.0.1 of this machine; a free one if absent."),
                    "guest": port("The port of the node."),
                },
                "required": ["guest"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// The text forms of types that are not text inside.
macro_rules! shown_as_text {
    ($($name:ident: $format:literal, $kinds:tt;)*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refusal;

            fn try_from(text: String) -> Result<Self, Refusal> {
                text.parse()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $kinds, "format": $format })
            }
        }
    )*};
}

shown_as_text! {
    Size: "size", ["string", "integer"];
    KubernetesVersion: "kubernetes-version", ["string", "number"];
}

impl From<PortForward> for String {
    fn from(value: PortForward) -> Self {
        value.to_string()
    }
}

/// What the node is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Base {
    /// Debian 13 (trixie).
    #[default]
    #[serde(rename = "debian-13")]
    Debian13,
}

impl Base {
    /// The name of the Debian suite.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Debian13 => "trixie",
        }
    }
}

/// The container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Runtime {
    /// containerd 2.
    #[serde(rename = "containerd")]
    Containerd,
    /// CRI-O; comes from package repositories only.
    #[serde(rename = "cri-o")]
    CriO,
}

impl Runtime {
    /// The name as in the definition and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
        }
    }

    /// The runtime's socket as the kubelet wants it.
    pub fn socket(self) -> &'static str {
        match self {
            Self::Containerd => "unix:///run/containerd/containerd.sock",
            Self::CriO => "unix:///run/crio/crio.sock",
        }
    }

    /// The runtime's systemd unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Containerd => "containerd.service",
            Self::CriO => "crio.service",
        }
    }
}

/// The pod network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cni {
    /// flannel with VXLAN.
    #[default]
    Flannel,
    /// A bridge on the one node; no pod of its own.
    Bridge,
    /// None: the node gets Ready when you have installed one.
    None,
}

impl Cni {
    /// The name as in the definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flannel => "flannel",
            Self::Bridge => "bridge",
            Self::None => "none",
        }
    }
}

/// The flavour of Debian's kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Drivers of virtual machines only; the smallest.
    #[default]
    Cloud,
    /// Drivers of physical machines too.
    Generic,
}

/// How a virtual machine starts its image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// Through UEFI firmware and the boot loader on the disk, as a physical machine.
    #[default]
    Firmware,
    /// QEMU loads kernel and initrd itself; faster.
    Kernel,
}

/// How the content of a file is written in the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// As it is.
    #[default]
    #[serde(rename = "")]
    Plain,
    /// base64 (RFC 4648).
    #[serde(rename = "base64", alias = "b64")]
    Base64,
    /// base64 of gzip.
    #[serde(
        rename = "gzip+base64",
        alias = "gz+base64",
        alias = "gzip+b64",
        alias = "gz+b64"
    )]
    GzipBase64,
    /// gzip, of a file from the network: text in a configuration cannot be that.
    #[serde(rename = "gzip", alias = "gz")]
    Gzip,
}

impl JsonSchema for Encoding {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Encoding".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // By hand, as the derived one has no aliases; k3OS has them all.
        json_schema!({ "type": "string", "enum": [
            "", "base64", "b64", "gzip+base64", "gz+base64", "gzip+b64", "gz+b64",
            "gzip", "gz",
        ] })
    }
}
