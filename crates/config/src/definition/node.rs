//! `node`: the settings of one node, with the names and meanings of k3OS' config.yaml.
//!
//! For the node: the steps are applied in k3OS' order. First modules, sysctls,
//! hostname, `write_files`, environment and `init_cmd`; then data sources, resolver and time
//! servers, password, SSH keys, `write_files` again, and `boot_cmd`, all before systemd starts;
//! labels and taints go into kubeadm's configuration; `run_cmd` runs once the
//! network is up and before Kubernetes is started. Each step runs although one before failed.

use std::{collections::BTreeMap, io::Read};

use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    k3os::{Argument, DataSource, FileSource, InstallConfig, ServerUrl, Token, Wifi},
    kubeadm::KubeadmConfig,
    network::NetworkConfig,
    system::{
        GroupConfig, MountConfig, ProxyConfig, RegistriesConfig, SwapConfig, SystemdConfig,
        UserConfig,
    },
    types::{
        Address, CommandLine, Encoding, Hostname, LabelKey, LabelValue, Mode, ModuleLine, NodePath,
        Owner, Password, Server, SshKey, SysctlName, SysctlValue, Taint, VariableName,
        VariableValue,
        system::{Certificate, KernelArgument, Locale, Timezone},
    },
};

/// The settings of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = super::k3os::section_schema)]
pub struct NodeConfig {
    /// The host name, also the node's name in Kubernetes. The default is the machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// Public SSH keys that may log in as root, each as the line of its .pub file, or where to
    /// fetch them: `github:USER`, `gitlab:USER`, or a http(s) URL.
    pub ssh_authorized_keys: Vec<SshKey>,
    /// Root's password for the console: its hash, as `openssl passwd -6` prints it, or plain text
    /// that does not begin with `$`. Without one no password logs in. SSH takes keys only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Labels of the node in Kubernetes.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "label-key"}))]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Taints of the node in Kubernetes: `KEY=VALUE:EFFECT` or `KEY:EFFECT`.
    pub taints: Vec<Taint>,
    /// Files that are written at each boot; a file that is there is replaced.
    pub write_files: Vec<WriteFile>,
    /// Commands that run at each boot, after the files are written and before any service;
    /// each in a shell of its own.
    pub boot_cmd: Vec<CommandLine>,
    /// Commands that run at each boot when the network is up, before Kubernetes is started;
    /// each in a shell of its own.
    pub run_cmd: Vec<CommandLine>,
    /// Kernel modules to load, each with its parameters after its name.
    pub modules: Vec<ModuleLine>,
    /// Kernel settings.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "sysctl"}))]
    pub sysctls: BTreeMap<SysctlName, SysctlValue>,
    /// Name servers for where the network offers none; `network` sets those of an interface.
    pub dns_nameservers: Vec<Address>,
    /// Time servers for where the network offers none; the default is Debian's pool.
    pub ntp_servers: Vec<Server>,
    /// Environment variables of all users and services (/etc/environment).
    #[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
    pub environment: BTreeMap<VariableName, VariableValue>,

    /// Remove keys of earlier configurations, and of anybody else, from root's authorized keys.
    pub ssh_keys_exclusive: bool,
    /// Commands that run at each boot in its first phase, when modules, kernel settings, host
    /// name, files and environment are there and before all else; each in a shell of its own.
    pub init_cmd: Vec<CommandLine>,
    /// Where a cloud hands in more configuration, in the order in which they are asked; the first
    /// that answers is taken. `file=PATH` reads a file, `nocloud=URL` a seed in the network.
    pub data_sources: Vec<DataSource>,
    /// Wireless networks to join.
    pub wifi: Vec<Wifi>,
    /// The cluster to join: `https://HOST:PORT` of its API server, port 6443 if none is named.
    /// Without it this node is a cluster of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<ServerUrl>,
    /// What lets this node join, or others join it: a bootstrap token of kubeadm,
    /// `abcdef.0123456789abcdef`, or any other secret, from which each node derives the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Arguments of k3s: `server` or `agent`, then flags. What kubeadm has too is carried over;
    /// `lifeboat config check` names the rest.
    pub k3s_args: Vec<Argument>,
    /// Installation to a disk.
    pub install: InstallConfig,

    // The operating system around Kubernetes.
    /// The network. Without it each wired interface asks by DHCP.
    pub network: NetworkConfig,
    /// Users besides root.
    pub users: Vec<UserConfig>,
    /// Groups.
    pub groups: Vec<GroupConfig>,
    /// Certificates of authorities that are trusted besides those of the image, each as PEM.
    pub ca_certs: Vec<Certificate>,
    /// The time zone. The default is UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<Timezone>,
    /// The locale. The default is C.UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// File systems that are mounted at boot, before Kubernetes is started.
    pub mounts: Vec<MountConfig>,
    /// Swap space. With it, pods that are not guaranteed their memory may be swapped out.
    pub swap: Vec<SwapConfig>,
    /// Registries of container images: mirrors and credentials.
    pub registries: RegistriesConfig,
    /// Units of systemd.
    pub systemd: SystemdConfig,
    /// Arguments that are added to the kernel's command line from the next boot on.
    pub kernel_args: Vec<KernelArgument>,
    /// Web proxies.
    pub proxy: ProxyConfig,

    /// What is laid over kubeadm's configuration.
    pub kubeadm: KubeadmConfig,
}

/// A file that is written at each boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// How `content` is written: as it is (empty), `base64`, or `gzip+base64`. `gzip` unpacks what
    /// `source` has.
    #[serde(default)]
    pub encoding: Encoding,
    /// The content.
    #[serde(default)]
    pub content: String,
    /// Its owner, by the names of /etc/passwd and /etc/group or in numbers.
    #[serde(default = "super::image::root")]
    pub owner: Owner,
    /// Where it is written; missing folders are made, with mode 0755.
    pub path: NodePath,
    /// Its octal mode, special bits included.
    #[serde(default = "super::image::file_mode")]
    pub permissions: Mode,
    /// The file in the network that is its content. Either this or `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FileSource>,
}

/// Content that is not of its encoding.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not base64.
    #[error("the content is not base64 ({0})")]
    Base64(#[from] base64::DecodeError),
    /// Not gzip.
    #[error("the content is not gzip ({0})")]
    Gzip(std::io::Error),
    /// More than [`WriteFile::MOST_BYTES`].
    #[error("the content unpacks to more than {} MiB", WriteFile::MOST_BYTES >> 20)]
    TooLarge,
}

/// base64 as k3OS reads it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl WriteFile {
    /// The largest content, in bytes: the node holds it in memory.
    pub const MOST_BYTES: u64 = 64 << 20;

    /// The content, decoded. Without a meaning where there is a `source`: see [`Self::unpacked`].
    ///
    /// # Errors
    /// If it is not of its encoding, or too large.
    pub fn bytes(&self) -> Result<Vec<u8>, DecodeError> {
        self.decoded(self.content.as_bytes())
    }

    /// What `source` had, decoded as `encoding` says.
    ///
    /// # Errors
    /// If it is not of that encoding, or too large.
    pub fn unpacked(&self, fetched: &[u8]) -> Result<Vec<u8>, DecodeError> {
        self.decoded(fetched)
    }

    fn decoded(&self, content: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let decode = || {
            let text: Vec<u8> = content
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            BASE64.decode(text)
        };
        match self.encoding {
            Encoding::Plain => Ok(content.to_owned()),
            Encoding::Base64 => Ok(decode()?),
            Encoding::GzipBase64 => gunzip(&decode()?),
            Encoding::Gzip => gunzip(content),
        }
    }
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed)
        .take(WriteFile::MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(DecodeError::Gzip)?;
    if bytes.len() as u64 > WriteFile::MOST_BYTES {
        return Err(DecodeError::TooLarge);
    }
    Ok(bytes)
}

impl NodeConfig {
    /// This configuration as JSON that [`crate::parse_node`] reads back to the same. Indented,
    /// so that a person on the node can read it; escaped so that it is YAML as well.
    pub fn to_json(&self) -> String {
        // A key that says nothing is left out: over other sources an empty one would clear theirs.
        let silent = serde_json::to_value(Self::default()).unwrap_or_default();
        let mut keys = serde_json::to_value(self).unwrap_or_default();
        if let Some(keys) = keys.as_object_mut() {
            keys.retain(|key, value| silent.get(key) != Some(value));
        }
        let text = serde_json::to_string_pretty(&keys).unwrap_or_default();
        crate::render::yaml_safe(&text)
    }
}
