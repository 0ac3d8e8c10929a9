//! The files that a node renders from its configuration. Pure functions; no I/O.
//!
//! All text goes through an emitter of its format ([`text`]), so that no value of a user can
//! break out of its place.

mod cni;
mod kubeadm;
mod merge;
mod pods;
mod runtime;
mod system;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::{collections::BTreeMap, net::IpAddr};

pub use cni::{
    bridge_conflist, flannel_conflist, flannel_image_command, flannel_manifest,
    flannel_manifest_at, flannel_subnet_env,
};
pub use kubeadm::{
    bootstrap_token, expected_pods, kubeadm_config, kubeadm_init, kubeadm_patches, plan,
};
pub use pods::PodNetwork;
pub use runtime::{
    POLICY_REGISTRIES, containerd_config, crictl_config, crio_config, image_policy, storage_config,
};
pub use system::{environment, hosts, module_files, network_files, sysctls};
pub use text::yaml;
pub(crate) use text::yaml_safe;

use crate::{Cni, NodeConfig, Runtime};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// The file that `kubeadm init --config` or `kubeadm join --config` reads: [`kubeadm_config`] is
/// written here.
pub const KUBEADM_CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";

/// Every file that a node writes before systemd starts, in the order of their paths: network,
/// name resolution, kernel settings and modules, environment, container runtime, pod network
/// and kubeadm's configuration. Not here: host name, users, SSH keys and `write_files`.
pub fn node_files(node: &NodeConfig, facts: &Facts) -> Vec<RenderedFile> {
    let mut files = vec![
        RenderedFile::new("/etc/hostname", format!("{}\n", facts.node_name)),
        RenderedFile::new("/etc/hosts", hosts(&facts.node_name)),
        RenderedFile::new("/etc/sysctl.d/90-lifeboat.conf", sysctls(node)),
        RenderedFile::new("/etc/crictl.yaml", crictl_config(facts.runtime)),
    ];
    files.extend(kubeadm_config(node, facts).map(|content| RenderedFile {
        // It may hold a token.
        mode: 0o600,
        ..RenderedFile::new(KUBEADM_CONFIG, content)
    }));
    files.extend(kubeadm_patches(node, facts));
    files.extend(module_files(node, facts.cni));
    files.extend(network_files(node));
    files.extend(environment(node));
    match facts.runtime {
        Runtime::Containerd => files.push(RenderedFile::new(
            "/etc/containerd/config.toml",
            containerd_config(facts),
        )),
        Runtime::CriO => {
            let crio = [
                ("/etc/crio/crio.conf.d/20-lifeboat.conf", crio_config(facts)),
                ("/etc/containers/storage.conf", storage_config(facts)),
                (
                    "/etc/containers/policy.json",
                    image_policy(&POLICY_REGISTRIES),
                ),
            ];
            files.extend(crio.map(|(path, content)| RenderedFile::new(path, content)));
        }
    }
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
