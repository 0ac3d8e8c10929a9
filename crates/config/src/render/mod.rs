//! The files that a node renders from its configuration. Pure functions; no I/O.
//!
//! All text goes through an emitter of its format ([`text`]), so that no value of a user can
//! break out of its place.

mod accounts;
mod certificates;
mod cni;
mod environment;
mod kernel;
mod kubeadm;
mod merge;
mod network;
mod pods;
#[cfg(test)]
mod properties;
mod registries;
mod runtime;
mod storage;
mod system;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod units;
mod wifi;

use std::{collections::BTreeMap, net::IpAddr};

pub use accounts::{
    AccountPlan, Accounts, Home, Numbers, SUDOERS, authorized_keys_path, plan_accounts, sudo_file,
};
pub use certificates::{CA_BUNDLE, ca_bundle, ca_files};
pub use cni::{
    bridge_conflist, flannel_conflist, flannel_image_command, flannel_manifest,
    flannel_manifest_at, flannel_subnet_env,
};
pub use environment::{environment, proxy_files};
pub use kernel::{
    Addon, KERNEL_ADDON, KernelPlan, ReadAddonError, kernel_addon, plan_kernel_args, read_addon,
};
pub use kubeadm::{
    bootstrap_token, expected_pods, kubeadm_config, kubeadm_init, kubeadm_patches, plan,
};
pub use network::{network_files, static_address, static_networks};
pub use pods::PodNetwork;
pub use registries::{
    CONTAINERD_HOSTS, CRIO_AUTH, named_registries, registry_files, registry_links,
};
pub use runtime::{
    POLICY_REGISTRIES, containerd_config, crictl_config, crio_config, image_policy, storage_config,
};
pub use storage::{mount_files, mount_links, swap_files, swap_links};
pub use system::{hosts, locale_files, module_files, sysctls, timezone_link};
pub use text::yaml;
pub(crate) use text::yaml_safe;
pub use units::{Installed, image_units, install_links, unit_files, unit_links};
pub use wifi::{WPA_SUPPLICANT, wifi_files};

use crate::{
    Cni, NodeConfig, Runtime,
    definition::types::{system::Locale, units::FileSystem},
};

/// The addresses of pods, if nothing else is configured; see [`PodNetwork`].
pub const POD_SUBNET: &str = "10.244.0.0/16";
/// The addresses of services: kubeadm's default.
pub const SERVICE_SUBNET: &str = "10.96.0.0/12";
/// Where flexvolume plugins are sought; /usr is read-only. Both the kubelet and the controller
/// manager must name it.
pub const VOLUME_PLUGINS: &str = "/var/lib/kubelet/volumeplugins";
/// Where the pod network's configuration is.
pub const CNI_CONFIG: &str = "/etc/cni/net.d";
/// Where CNI plugins are: the payload's, then those that a pod network brings itself.
pub const CNI_PLUGINS: [&str; 2] = ["/opt/kubernetes/current/cni", "/opt/cni/bin"];
/// Where [`kubeadm_config`] tells kubeadm to look for [`kubeadm_patches`].
pub const KUBEADM_PATCHES: &str = "/etc/kubernetes/patches";

/// What rendering needs besides the node configuration: facts of the payload and the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The payload's Kubernetes version without `v`: `1.36.3`.
    pub kubernetes_version: String,
    /// The payload's runtime.
    pub runtime: Runtime,
    /// The pod network.
    pub cni: Cni,
    /// The node's name: the configured host name or the machine's.
    pub node_name: String,
    /// The address that the API server advertises; kubeadm takes the default route's if none.
    pub advertise_address: Option<IpAddr>,
    /// `NAME:6443` of a control plane of several nodes; none for a single node.
    pub control_plane_endpoint: Option<String>,
    /// Further names and addresses in the API server's certificate. 127.0.0.1 and localhost are
    /// always there: forwarded ports reach the server by them.
    pub certificate_names: Vec<String>,
    /// The pause image as in the payload's store.
    pub pause_image: String,
    /// The OCI runtime's program, below /usr/bin or in the payload.
    pub oci_runtime: String,
    /// CRI-O's monitor of containers, below /usr/bin or in the payload.
    pub monitor: String,
    /// Images that CRI-O must not collect: those of its read-only stores.
    pub pinned_images: Vec<String>,
    /// Read-only image stores of CRI-O (containers-storage layout).
    pub image_stores: Vec<String>,
    /// Phases of `kubeadm init` that are left out.
    pub skip_phases: Vec<String>,
    /// Labels that the node has by itself; those of the configuration count more.
    pub labels: BTreeMap<String, String>,
}

impl Facts {
    /// Facts with the defaults of a single node.
    pub fn new(kubernetes_version: &str, runtime: Runtime, cni: Cni, node_name: &str) -> Self {
        Self {
            kubernetes_version: kubernetes_version.to_owned(),
            runtime,
            cni,
            node_name: node_name.to_owned(),
            advertise_address: None,
            control_plane_endpoint: None,
            certificate_names: Vec::new(),
            pause_image: "registry.k8s.io/pause:3.10.2".to_owned(),
            oci_runtime: "/usr/bin/crun".to_owned(),
            monitor: "/usr/bin/conmon".to_owned(),
            pinned_images: Vec::new(),
            image_stores: vec!["/opt/kubernetes/current/images".to_owned()],
            skip_phases: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// A file to write on the node.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Absolute path on the node.
    pub path: String,
    /// Mode bits.
    pub mode: u32,
    /// Content.
    pub content: String,
}

impl RenderedFile {
    fn new(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: 0o644,
            content: content.into(),
        }
    }

    /// A file that only root may read.
    fn secret(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            mode: 0o600,
            ..Self::new(path, content)
        }
    }
}

impl std::fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("RenderedFile");
        shown
            .field("path", &self.path)
            .field("mode", &format_args!("{:o}", self.mode));
        // What not everybody may read may be a secret.
        if self.mode & 0o004 == 0 {
            shown.finish_non_exhaustive()
        } else {
            shown.field("content", &self.content).finish()
        }
    }
}

/// A symbolic link to make on the node; what is at its path gives way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedLink {
    /// Absolute path on the node.
    pub path: String,
    /// Where it leads.
    pub target: String,
}

impl RenderedLink {
    fn new(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            target: target.into(),
        }
    }
}

/// A program that a configuration needs and that not every image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedProgram {
    /// Its path.
    pub path: &'static str,
    /// Debian's package that has it: for `image.packages`.
    pub package: &'static str,
    /// The key that needs it.
    pub key: &'static str,
}

/// The programs and data that the configuration needs besides what every image has. Where one
/// is missing, the step of its key says so: `KEY needs PATH: add PACKAGE to image.packages`.
pub fn wanted_programs(node: &NodeConfig) -> Vec<WantedProgram> {
    let mut wanted = Vec::new();
    let mut add = |needed: bool, path, package, key| {
        if needed {
            wanted.push(WantedProgram { path, package, key });
        }
    };
    let kind = |wanted: &[&str]| {
        let mut mounts = node.mounts.iter();
        mounts.any(|mount| {
            let kind = mount.kind.as_ref().map(FileSystem::as_str);
            kind.is_some_and(|kind| wanted.contains(&kind))
        })
    };
    let rules = node.users.iter().filter_map(|user| user.sudo.as_ref());
    let mut rules = rules.filter_map(|sudo| sudo.rule());
    let plain = |locale: &str| locale.starts_with("C.") || matches!(locale, "C" | "POSIX");
    let locale = node.locale.as_ref().map(Locale::as_str);
    add(
        !node.wifi.is_empty(),
        WPA_SUPPLICANT,
        "wpasupplicant",
        "wifi",
    );
    add(rules.next().is_some(), "/usr/bin/sudo", "sudo", "users");
    add(
        kind(&["nfs", "nfs4"]),
        "/usr/sbin/mount.nfs",
        "nfs-common",
        "mounts",
    );
    add(
        kind(&["cifs", "smb3"]),
        "/usr/sbin/mount.cifs",
        "cifs-utils",
        "mounts",
    );
    add(
        kind(&["ceph"]),
        "/usr/sbin/mount.ceph",
        "ceph-common",
        "mounts",
    );
    add(
        kind(&["glusterfs"]),
        "/usr/sbin/mount.glusterfs",
        "glusterfs-client",
        "mounts",
    );
    add(
        node.timezone.is_some(),
        "/usr/share/zoneinfo",
        "tzdata",
        "timezone",
    );
    add(
        locale.is_some_and(|locale| !plain(locale)),
        "/usr/lib/locale/locale-archive",
        "locales-all",
        "locale",
    );
    wanted
}

/// The file that `kubeadm init --config` or `kubeadm join --config` reads: [`kubeadm_config`] is
/// written here.
pub const KUBEADM_CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";

/// Every file that a node writes before systemd starts, in the order of their paths: network,
/// name resolution, kernel settings and modules, environment, storage, units, container runtime
/// with its registries, pod network and kubeadm's configuration. Not here: links
/// ([`node_links`]), users ([`plan_accounts`], [`sudo_file`]), SSH keys, the bundle of
/// authorities ([`ca_bundle`]) and `write_files`.
pub fn node_files(node: &NodeConfig, facts: &Facts) -> Vec<RenderedFile> {
    let mut files = vec![RenderedFile::new(
        "/etc/crictl.yaml",
        crictl_config(facts.runtime),
    )];
    files.extend(system_files(node, &facts.node_name, Some(facts)));
    files.extend(kubeadm_config(node, facts).map(|content| {
        // It may hold a token.
        RenderedFile::secret(KUBEADM_CONFIG, content)
    }));
    files.extend(kubeadm_patches(node, facts));
    files.extend(module_files(node, facts.cni));
    files.extend(registry_files(node, facts.runtime));
    files.extend(runtime::runtime_files(node, facts));
    let conflist = match facts.cni {
        Cni::Flannel => Some(("10-flannel.conflist", flannel_conflist())),
        Cni::Bridge => {
            let subnet = PodNetwork::of(node, facts).first_node();
            Some(("10-bridge.conflist", bridge_conflist(&subnet)))
        }
        Cni::None => None,
    };
    files.extend(
        conflist.map(|(name, content)| RenderedFile::new(format!("{CNI_CONFIG}/{name}"), content)),
    );
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The part of [`node_files`] that is wanted without Kubernetes too: of a node that has no
/// payload. Modules are not here; see [`module_files`].
pub fn operating_system_files(node: &NodeConfig, node_name: &str) -> Vec<RenderedFile> {
    let mut files = system_files(node, node_name, None);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn system_files(node: &NodeConfig, node_name: &str, facts: Option<&Facts>) -> Vec<RenderedFile> {
    let mut files = vec![
        RenderedFile::new("/etc/hostname", format!("{node_name}\n")),
        RenderedFile::new("/etc/hosts", hosts(node_name)),
        RenderedFile::new("/etc/sysctl.d/90-lifeboat.conf", sysctls(node)),
    ];
    files.extend(network_files(node));
    files.extend(wifi_files(node));
    files.extend(environment::environment_with(node, facts));
    files.extend(proxy_files(node, facts));
    files.extend(locale_files(node));
    files.extend(ca_files(node));
    files.extend(mount_files(node));
    files.extend(swap_files(node));
    files.extend(unit_files(node));
    files
}

/// Every link that follows from the configuration alone: time zone, what systemd starts at
/// boot, what it never starts. Where one path is a link and a file of [`node_files`], the link
/// is right.
pub fn node_links(node: &NodeConfig) -> Vec<RenderedLink> {
    let mut links: Vec<RenderedLink> = timezone_link(node).into_iter().collect();
    links.extend(mount_links(node));
    links.extend(swap_links(node));
    links.extend(unit_links(node));
    links.extend(registry_links(node));
    links.sort_by(|one, other| one.path.cmp(&other.path));
    links
}
