//! kubeadm's configuration, v1beta4.

use serde_json::{Value as Json, json};

use super::{
    Facts, KUBEADM_PATCHES, POD_SUBNET, RenderedFile, SERVICE_SUBNET, VOLUME_PLUGINS, text,
};
use crate::NodeConfig;

/// The file for `kubeadm init --config`: Init, Cluster, Kubelet and `KubeProxyConfiguration`.
pub fn kubeadm_init(node: &NodeConfig, facts: &Facts) -> String {
    text::yaml_documents(&[
        init(node, facts),
        cluster(facts),
        kubelet(facts),
        kube_proxy(),
    ])
}

fn init(node: &NodeConfig, facts: &Facts) -> Json {
    let taints: Vec<Json> = node
        .taints
        .iter()
        .map(|taint| {
            let (key, value, effect) = taint.parts();
            json!({ "key": key, "value": value, "effect": effect })
        })
        .collect();
    let labels: Vec<String> = node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut registration = json!({
        "name": facts.node_name,
        "criSocket": facts.runtime.socket(),
        // Empty, not absent: pods may run on the single node, the control plane.
        "taints": taints,
        "imagePullPolicy": "IfNotPresent",
    });
    if !labels.is_empty() {
        registration["kubeletExtraArgs"] =
            json!([{ "name": "node-labels", "value": labels.join(",") }]);
    }
    let mut endpoint = json!({ "bindPort": 6443 });
    if let Some(address) = facts.advertise_address {
        endpoint["advertiseAddress"] = json!(address.to_string());
    }
    let mut init = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "nodeRegistration": registration,
        "localAPIEndpoint": endpoint,
        "patches": { "directory": KUBEADM_PATCHES },
        // The defaults (4 min) are too short for two busy cores under emulation.
        "timeouts": {
            "controlPlaneComponentHealthCheck": "10m0s",
            "kubeletHealthCheck": "10m0s",
            "kubernetesAPICall": "5m0s",
        },
    });
    if !facts.skip_phases.is_empty() {
        init["skipPhases"] = json!(facts.skip_phases);
    }
    init
}

fn cluster(facts: &Facts) -> Json {
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    for name in &facts.certificate_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let mut cluster = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": format!("v{}", facts.kubernetes_version),
        // Making RSA keys takes seconds under emulation.
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": POD_SUBNET,
            "serviceSubnet": SERVICE_SUBNET,
            "dnsDomain": "cluster.local",
        },
        "apiServer": { "certSANs": names, "extraEnvs": lean() },
        "controllerManager": {
            "extraEnvs": lean(),
            "extraArgs": [{ "name": "flex-volume-plugin-dir", "value": VOLUME_PLUGINS }],
        },
    });
    if let Some(endpoint) = &facts.control_plane_endpoint {
        cluster["controlPlaneEndpoint"] = json!(endpoint);
    }
    cluster
}

/// Less garbage beside what is in use, for the two with the largest heaps: 30 MB of a small
/// node's memory for a few hundredths of their time.
fn lean() -> Json {
    json!([{ "name": "GOGC", "value": "70" }])
}

fn kubelet(facts: &Facts) -> Json {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": facts.runtime.socket(),
        "volumePluginDir": VOLUME_PLUGINS,
        // The stub of systemd-resolved in /etc/resolv.conf is out of a pod's reach.
        "resolvConf": "/run/systemd/resolve/resolv.conf",
    })
}

fn kube_proxy() -> Json {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
    })
}

/// Patches that kubeadm lays over what it makes; for [`KUBEADM_PATCHES`].
///
/// Startup probes are sent every 10 s by default, so that each miss costs 10 s on the way to a
/// running node; readiness probes every second, each with a TLS handshake of its own, which is
/// much of what an idle node does; a second `CoreDNS` on the same node adds memory and no
/// safety.
pub fn kubeadm_patches() -> Vec<RenderedFile> {
    // kubeadm gives the controller manager no readiness probe, and a period alone is none.
    let probes = |container: &str| {
        let mut patch = json!({
            "name": container,
            // As long in all as kubeadm's own 24 times 10 s, and more.
            "startupProbe": { "initialDelaySeconds": 2, "periodSeconds": 2, "failureThreshold": 300 },
        });
        if container != "kube-controller-manager" {
            patch["readinessProbe"] = json!({ "periodSeconds": 5 });
        }
        json!({ "spec": { "containers": [patch] } })
    };
    let dns = json!({ "spec": {
        "replicas": 1,
        "template": { "spec": { "containers": [{
            "name": "coredns",
            "readinessProbe": { "periodSeconds": 2 },
        }] } },
    } });
    let mut patches: Vec<(String, Json)> = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "etcd",
    ]
    .map(|component| (component.to_owned(), probes(component)))
    .to_vec();
    patches.push(("corednsdeployment".to_owned(), dns));
    patches
        .into_iter()
        .map(|(target, patch)| {
            RenderedFile::new(
                format!("{KUBEADM_PATCHES}/{target}+strategic.yaml"),
                text::yaml(&patch),
            )
        })
        .collect()
}
