//! `image`: what the image holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{
    Base, BundleName, Cni, HostPath, Kernel, KubernetesVersion, Mode, NodePath, Owner, PackageName,
    Runtime, Size, Url,
};

/// What the image holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// The distribution that the packages come from.
    pub base: Base,
    /// The Kubernetes version: a minor such as 1.36, which means its newest known patch (with
    /// packages, the newest that the repositories have), or a full version such as 1.36.3.
    pub kubernetes: KubernetesVersion,
    /// Where Kubernetes comes from: `modules` builds it from its pinned Go modules; `packages`
    /// takes it from signed apt repositories.
    pub kubernetes_source: KubernetesSource,
    /// The container runtime. The default is containerd with `kubernetes_source: modules`,
    /// else cri-o.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The pod network.
    pub cni: Cni,
    /// Bundles of packages, units and settings, by name; they are listed below.
    pub bundles: Vec<BundleName>,
    /// Further Debian packages.
    pub packages: Vec<PackageName>,
    /// Further files in the image.
    pub files: Vec<ImageFile>,
    /// OCI image layouts or archives that the node has from its first boot: files or folders
    /// beside the definition.
    pub container_images: Vec<HostPath>,
    /// The flavour of the kernel.
    pub kernel: Kernel,
    /// The sizes of the disk's partitions.
    pub size: DiskLayout,
}

impl ImageConfig {
    /// The runtime: the named one, else the default of the source.
    pub fn runtime(&self) -> Runtime {
        self.runtime.unwrap_or(match self.kubernetes_source {
            KubernetesSource::Modules => Runtime::Containerd,
            KubernetesSource::Packages(_) => Runtime::CriO,
        })
    }

    /// The apt repositories that Kubernetes comes from; none for modules.
    pub fn repositories(&self) -> &[RepositoryConfig] {
        match &self.kubernetes_source {
            KubernetesSource::Modules => &[],
            KubernetesSource::Packages(repositories) => repositories,
        }
    }
}

/// Where Kubernetes comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesSource {
    /// Built from the pinned Go modules.
    #[default]
    Modules,
    /// From these signed apt repositories, which together hold kubelet, kubeadm, kubectl,
    /// cri-tools and, unless the runtime is containerd, cri-o. The control plane's container
    /// images are not in them: name archives of those in `container_images`.
    Packages(#[schemars(length(min = 1))] Vec<RepositoryConfig>),
}

/// A signed apt repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryConfig {
    /// The repository's address: what stands after `deb` in a sources.list.
    pub url: Url,
    /// The armoured `OpenPGP` key that signs it: a path beside the definition, or the text itself
    /// from `-----BEGIN PGP PUBLIC KEY BLOCK-----` on.
    pub key: HostPath,
    /// The suite; `./` for a flat repository, which those of Kubernetes and CRI-O are.
    #[serde(default = "flat")]
    pub suite: String,
    /// The components; none for a flat repository.
    #[serde(default)]
    pub components: Vec<String>,
}

fn flat() -> String {
    "./".to_owned()
}

impl RepositoryConfig {
    /// The armoured key, if it is written in the definition and not in a file of its own.
    pub fn inline_key(&self) -> Option<&str> {
        let text = self.key.as_str();
        text.trim_start().starts_with("-----BEGIN ").then_some(text)
    }
}

/// A file in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFile {
    /// Where it is in the image.
    pub path: NodePath,
    /// Its content. Either this or `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The file beside the definition that holds its content. Either this or `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<HostPath>,
    /// Its octal mode.
    #[serde(default = "file_mode")]
    pub mode: Mode,
    /// Its owner, by the names of the image's /etc/passwd and /etc/group or in numbers.
    #[serde(default = "root")]
    pub owner: Owner,
}

pub(crate) fn file_mode() -> Mode {
    super::access::known("0644")
}

pub(crate) fn root() -> Owner {
    super::access::known("root:root")
}

/// The sizes of the disk's partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiskLayout {
    /// The EFI system partition, which holds the kernels of both slots.
    pub esp: Size,
    /// Each of the two slots that hold a root image.
    pub slot: Size,
    /// The state partition as it is built; it grows to the end of the disk at first boot.
    pub state: Size,
}

impl Default for DiskLayout {
    fn default() -> Self {
        Self {
            esp: Size::mib(256),
            slot: Size::mib(512),
            state: Size::mib(512),
        }
    }
}
