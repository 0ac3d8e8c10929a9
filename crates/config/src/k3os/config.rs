//! The configuration as k3OS has it: texts as they were given, nothing decoded or checked.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value as Json};

/// The merged configuration. A key that no source sets is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Lines of `authorized_keys`, `github:USER`, `gitlab:USER` or URLs.
    pub ssh_authorized_keys: Vec<String>,
    /// Files to write.
    pub write_files: Vec<WriteFile>,
    /// The host name.
    pub hostname: String,
    /// Commands of the initrd.
    pub init_cmd: Vec<String>,
    /// Commands before services start.
    pub boot_cmd: Vec<String>,
    /// Commands once the network is up.
    pub run_cmd: Vec<String>,
    /// The section `k3os`.
    pub k3os: K3os,
}

/// The section `k3os`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct K3os {
    /// Clouds to ask, in order.
    pub data_sources: Vec<String>,
    /// Kernel modules, each with its parameters.
    pub modules: Vec<String>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Name servers.
    pub dns_nameservers: Vec<String>,
    /// Time servers.
    pub ntp_servers: Vec<String>,
    /// Wireless networks.
    pub wifi: Vec<WifiNetwork>,
    /// A hash, or a password in plain text.
    pub password: String,
    /// The server to join.
    pub server_url: String,
    /// The secret to join with.
    pub token: String,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Taints of the node.
    pub taints: Vec<String>,
    /// Arguments of k3s.
    pub k3s_args: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The section `install`.
    pub install: Install,
}

/// The section `k3os.install`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as k3OS has them")]
pub struct Install {
    /// The disk.
    pub device: String,
    /// Where the configuration of the installed system is.
    pub config_url: String,
    /// Where the ISO is.
    pub iso_url: String,
    /// Whether to ask nothing.
    pub silent: bool,
    /// Whether to keep the partitions.
    pub no_format: bool,
    /// Whether to install for UEFI.
    pub force_efi: bool,
    /// Whether to tell every step.
    pub debug: bool,
    /// The console of the installed system.
    pub tty: String,
    /// Whether to power off afterwards.
    pub power_off: bool,
}

/// An entry of `write_files`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WriteFile {
    /// Where it is written.
    pub path: String,
    /// The content in its encoding.
    pub content: String,
    /// The encoding, such as `b64` or `gz+b64`.
    pub encoding: String,
    /// `USER` or `USER:GROUP`.
    pub owner: String,
    /// The mode in octal digits.
    pub permissions: String,
}

/// An entry of `wifi`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WifiNetwork {
    /// The network's name.
    pub name: String,
    /// Its passphrase.
    pub passphrase: String,
}

/// What stands in place of a secret.
const MASK: &str = "********";

impl Config {
    /// The configuration as the JSON that `lifeboat config show --as k3os` prints, without keys
    /// whose value is empty. Without `show_secrets`, passwords, tokens and passphrases are
    /// masked.
    pub fn to_json(&self, show_secrets: bool) -> Json {
        let secret = |text: &str| match text {
            "" => String::new(),
            _ if show_secrets => text.to_owned(),
            _ => MASK.to_owned(),
        };
        let wifi = self.k3os.wifi.iter().map(|network| {
            object([
                ("name", text(&network.name)),
                ("passphrase", text(&secret(&network.passphrase))),
            ])
        });
        let files = self.write_files.iter().map(|file| {
            object([
                ("path", text(&file.path)),
                ("content", text(&file.content)),
                ("encoding", text(&file.encoding)),
                ("owner", text(&file.owner)),
                ("permissions", text(&file.permissions)),
            ])
        });
        let install = &self.k3os.install;
        let install = object([
            ("device", text(&install.device)),
            ("config_url", text(&install.config_url)),
            ("iso_url", text(&install.iso_url)),
            ("silent", Json::from(install.silent)),
            ("no_format", Json::from(install.no_format)),
            ("force_efi", Json::from(install.force_efi)),
            ("debug", Json::from(install.debug)),
            ("tty", text(&install.tty)),
            ("power_off", Json::from(install.power_off)),
        ]);
        let k3os = &self.k3os;
        let k3os = object([
            ("data_sources", list(&k3os.data_sources)),
            ("modules", list(&k3os.modules)),
            ("sysctls", map(&k3os.sysctls)),
            ("dns_nameservers", list(&k3os.dns_nameservers)),
            ("ntp_servers", list(&k3os.ntp_servers)),
            ("wifi", Json::Array(wifi.collect())),
            ("password", text(&secret(&k3os.password))),
            ("server_url", text(&k3os.server_url)),
            ("token", text(&secret(&k3os.token))),
            ("labels", map(&k3os.labels)),
            ("taints", list(&k3os.taints)),
            ("k3s_args", list(&k3os.k3s_args)),
            ("environment", map(&k3os.environment)),
            ("install", install),
        ]);
        object([
            ("hostname", text(&self.hostname)),
            ("ssh_authorized_keys", list(&self.ssh_authorized_keys)),
            ("write_files", Json::Array(files.collect())),
            ("init_cmd", list(&self.init_cmd)),
            ("boot_cmd", list(&self.boot_cmd)),
            ("run_cmd", list(&self.run_cmd)),
            ("k3os", k3os),
        ])
    }
}

/// An object of what is not empty.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let set = |value: &Json| match value {
        Json::Null | Json::Bool(false) => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(map) => !map.is_empty(),
        Json::Bool(true) | Json::Number(_) => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| set(value));
    Json::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(text: &str) -> Json {
    Json::from(text)
}

fn list(items: &[String]) -> Json {
    Json::from(items)
}

fn map(entries: &BTreeMap<String, String>) -> Json {
    let entries = entries.iter();
    Json::Object(
        entries
            .map(|(key, value)| (key.clone(), text(value)))
            .collect::<Map<_, _>>(),
    )
}

// Any text of a user may hold a secret: a file's content, an argument, a variable.

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hostname", &self.hostname)
            .field("k3os", &self.k3os)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for K3os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("K3os")
            .field("server_url", &self.server_url)
            .field("labels", &self.labels)
            .field("taints", &self.taints)
            .field("install", &self.install)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFile")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WifiNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WifiNetwork")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
