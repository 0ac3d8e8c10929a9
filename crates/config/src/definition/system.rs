//! Keys of `node` for the operating system around Kubernetes: users, certificates, mounts,
//! registries, units, proxies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{
    Password, Size, SshKey,
    system::{
        AccountPath, CertificateSource, Endpoint, Gecos, NoProxy, PrivateKeySource, ProxyUrl,
        RegistryHost, RegistrySecret, RegistryUser, SudoRule, UserName,
    },
    units::{
        DropinName, FileSystem, MountOption, MountPoint, MountSource, UnitName, UnitPath, UnitText,
    },
};

/// A user of the node. One that the image has already is changed where keys are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// The name to log in with.
    pub name: UserName,
    /// The user's number. The default is a free one, which stays the same at each boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_293_u32))]
    pub uid: Option<u32>,
    /// The user's first group. The default is a group of the user's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_group: Option<UserName>,
    /// Further groups.
    #[serde(default)]
    pub groups: Vec<UserName>,
    /// The password for the console: its hash, as `openssl passwd -6` prints it, or plain text
    /// that does not begin with `$`. Without one no password logs in. SSH takes keys only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Public SSH keys that may log in, or where to fetch them: `github:USER`, `gitlab:USER`, or
    /// a http(s) URL.
    #[serde(default)]
    pub ssh_authorized_keys: Vec<SshKey>,
    /// The shell. The default is /bin/bash; /usr/sbin/nologin for system users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<AccountPath>,
    /// The home folder. The default is /home/NAME; none for system users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<AccountPath>,
    /// The full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gecos: Option<Gecos>,
    /// What the user may do as others by sudo: `true` for everything without a password, or a
    /// rule of sudoers(5) after the user's name, such as `ALL=(ALL) ALL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoRule>,
    /// Whether it is a user of a service: a number below 1000 and no home folder.
    #[serde(default)]
    pub system: bool,
}

/// A group of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// Its name.
    pub name: UserName,
    /// Its number. The default is a free one, which stays the same at each boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_293_u32))]
    pub gid: Option<u32>,
    /// Whether it is a group of a service: a number below 1000.
    #[serde(default)]
    pub system: bool,
}

/// A file system that is mounted. The node starts without it if it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// What is mounted: `LABEL=…`, `UUID=…`, a device, `SERVER:/FOLDER`, or `tmpfs`.
    pub what: MountSource,
    /// Where.
    #[serde(rename = "where")]
    pub place: MountPoint,
    /// The type of the file system. The default is what the device holds.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FileSystem>,
    /// Its options, as in /etc/fstab.
    #[serde(default)]
    pub options: Vec<MountOption>,
}

/// Swap space: a file that is made, or a device that is swap already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwapConfig {
    /// A file; it is made if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<UnitPath>,
    /// A device: `LABEL=…`, `UUID=…` or a path below /dev.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<MountSource>,
    /// The size of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Of several the highest is used first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 32767))]
    pub priority: Option<u32>,
}

/// Registries of container images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistriesConfig {
    /// Where images of a registry are pulled from, by the registry's host; `*` is any other.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "registry-host"}))]
    pub mirrors: BTreeMap<RegistryHost, Mirror>,
    /// How a registry or mirror is spoken to, by its host and port.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "registry-host"}))]
    pub configs: BTreeMap<RegistryHost, RegistryAccess>,
}

/// Mirrors of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mirror {
    /// The mirrors' URLs, tried in this order before the registry itself.
    pub endpoints: Vec<Endpoint>,
}

/// How a registry is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryAccess {
    /// Credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<RegistryAuth>,
    /// Certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RegistryTls>,
}

/// Credentials of a registry: user name and password, or a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryAuth {
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<RegistryUser>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<RegistrySecret>,
    /// An identity token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<RegistrySecret>,
}

/// Certificates of a registry: PEM, or the path of a file on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryTls {
    /// The authority that signed the registry's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateSource>,
    /// The node's own certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<CertificateSource>,
    /// The key of the node's own certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PrivateKeySource>,
    /// Whether the registry's certificate is not checked.
    pub insecure_skip_verify: bool,
}

/// Units of systemd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SystemdConfig {
    /// Units that are added or changed.
    pub units: Vec<UnitConfig>,
}

/// A unit of systemd: a new one, or one of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitConfig {
    /// Its name, such as `example.service`.
    pub name: UnitName,
    /// Whether it is started at boot, as its `[Install]` section says. The default is what the
    /// image does; no for a new unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether nothing may start it.
    #[serde(default)]
    pub mask: bool,
    /// The unit file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<UnitText>,
    /// Additions to the unit file.
    #[serde(default)]
    pub dropins: Vec<Dropin>,
}

/// An addition to a unit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropin {
    /// Its name, such as `10-memory.conf`; they are read in the order of their names.
    pub name: DropinName,
    /// What is added.
    pub contents: UnitText,
}

/// Web proxies, for image pulls, Kubernetes and log-in shells. Addresses of pods, services and
/// the node are always reached directly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// The proxy for http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<ProxyUrl>,
    /// The proxy for https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<ProxyUrl>,
    /// Hosts, domains, addresses and networks that are reached directly.
    pub no_proxy: Vec<NoProxy>,
}

impl ProxyConfig {
    /// Whether a proxy is named.
    pub fn is_set(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }
}
