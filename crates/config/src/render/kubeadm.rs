//! kubeadm's configuration, v1beta4.

use serde_json::{Value as Json, json};

use super::{
    Facts, KUBEADM_PATCHES, POD_SUBNET, RenderedFile, SERVICE_SUBNET, VOLUME_PLUGINS, merge::merge,
    merge::merge_fields, text,
};
use crate::{
    NodeConfig,
    definition::kubeadm::{AuthorityHash, Fields, PatchKind},
    k3s::{self, Action, Addon, Argument, Join, Plan, token::Token},
};

/// The API of kubeadm's own documents.
const KUBEADM: &str = "kubeadm.k8s.io/v1beta4";

/// The file for `kubeadm init --config` or `kubeadm join --config`, as the configuration says;
/// none if the node can do neither.
pub fn kubeadm_config(node: &NodeConfig, facts: &Facts) -> Option<String> {
    let plan = plan(node, facts);
    match &plan.action {
        Action::Init { .. } => Some(init_documents(node, facts, &plan)),
        Action::Join(how) => Some(text::yaml(&join(node, facts, &plan, how))),
        Action::Refuse(_) => None,
    }
}

/// The file for `kubeadm init --config`: Init, Cluster, Kubelet and `KubeProxyConfiguration`.
pub fn kubeadm_init(node: &NodeConfig, facts: &Facts) -> String {
    init_documents(node, facts, &plan(node, facts))
}

/// What the node does, by its configuration and its name.
pub fn plan(node: &NodeConfig, facts: &Facts) -> Plan {
    k3s::of_node(node, Some(&facts.node_name))
}

fn init_documents(node: &NodeConfig, facts: &Facts, plan: &Plan) -> String {
    let lay = |mut document: Json, fields: &Fields| {
        lay_over(&mut document, fields);
        document
    };
    let user = &node.kubeadm;
    text::yaml_documents(&[
        lay(init(facts, plan), &user.init),
        merged_cluster(node, facts, plan),
        lay(kubelet(node, facts, plan), &user.kubelet),
        lay(kube_proxy(plan), &user.proxy),
    ])
}

/// Lays the user's fields over a document. What it is stays: kubeadm reads it by that.
fn lay_over(document: &mut Json, fields: &Fields) {
    let kept = ["apiVersion", "kind"].map(|key| (key, document[key].clone()));
    if let Json::Object(document) = document {
        merge_fields(document, &fields.0);
    }
    for (key, value) in kept {
        document[key] = value;
    }
}

/// `ClusterConfiguration` with what the user lays over it.
pub(super) fn merged_cluster(node: &NodeConfig, facts: &Facts, plan: &Plan) -> Json {
    let mut document = cluster(facts, plan);
    lay_over(&mut document, &node.kubeadm.cluster);
    document
}

fn arguments(arguments: &[Argument]) -> Vec<Json> {
    arguments
        .iter()
        .map(|one| json!({ "name": one.name, "value": one.value }))
        .collect()
}

fn registration(facts: &Facts, plan: &Plan) -> Json {
    let taints: Vec<Json> = plan
        .taints
        .iter()
        .map(|taint| {
            let (key, value, effect) = taint.parts();
            json!({ "key": key, "value": value, "effect": effect })
        })
        .collect();
    let own = facts.labels.iter();
    let labels: Vec<String> = plan
        .labels
        .iter()
        .chain(own.filter(|(key, _)| !plan.labels.contains_key(*key)))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut registration = json!({
        "name": plan.node_name.as_deref().unwrap_or(&facts.node_name),
        "criSocket": facts.runtime.socket(),
        // Empty, not absent: pods may run on the single node, the control plane.
        "taints": taints,
        "imagePullPolicy": "IfNotPresent",
    });
    let mut extra = Vec::new();
    if !labels.is_empty() {
        extra.push(json!({ "name": "node-labels", "value": labels.join(",") }));
    }
    if !plan.node_ips.is_empty() {
        let addresses: Vec<String> = plan.node_ips.iter().map(ToString::to_string).collect();
        extra.push(json!({ "name": "node-ip", "value": addresses.join(",") }));
    }
    extra.extend(arguments(&plan.kubelet));
    if !extra.is_empty() {
        registration["kubeletExtraArgs"] = json!(extra);
    }
    registration
}

fn init(facts: &Facts, plan: &Plan) -> Json {
    let mut endpoint = json!({ "bindPort": 6443 });
    let address = plan
        .cluster
        .advertise_address
        .or(plan.node_ips.first().copied())
        .or(facts.advertise_address);
    if let Some(address) = address {
        endpoint["advertiseAddress"] = json!(address.to_string());
    }
    let mut init = json!({
        "apiVersion": KUBEADM,
        "kind": "InitConfiguration",
        "nodeRegistration": registration(facts, plan),
        "localAPIEndpoint": endpoint,
        "patches": { "directory": KUBEADM_PATCHES },
        // The defaults (4 min) are too short for two busy cores under emulation.
        "timeouts": {
            "controlPlaneComponentHealthCheck": "10m0s",
            "kubeletHealthCheck": "10m0s",
            "kubernetesAPICall": "5m0s",
        },
    });
    let mut tokens = Vec::new();
    for secret in &plan.cluster.secrets {
        let token = secret.token();
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    if !tokens.is_empty() {
        init["bootstrapTokens"] = tokens
            .iter()
            .map(|token| {
                json!({
                    "token": token.as_str(),
                    "description": "node.token",
                    // As k3s' secret: nodes join with it at any time.
                    "ttl": "0s",
                    "usages": ["signing", "authentication"],
                    "groups": ["system:bootstrappers:kubeadm:default-node-token"],
                })
            })
            .collect();
    }
    if !facts.skip_phases.is_empty() {
        init["skipPhases"] = json!(facts.skip_phases);
    }
    init
}

fn join(node: &NodeConfig, facts: &Facts, plan: &Plan, how: &Join) -> Json {
    let hashes: Vec<&str> = node
        .kubeadm
        .discovery_ca_hashes
        .iter()
        .map(AuthorityHash::as_str)
        .collect();
    let mut token = json!({
        "token": how.secret.token().as_str(),
        "apiServerEndpoint": how.endpoint,
    });
    if hashes.is_empty() {
        // The cluster's description must still be signed with the token.
        token["unsafeSkipCAVerification"] = json!(true);
    } else {
        token["caCertHashes"] = json!(hashes);
    }
    let mut join = json!({
        "apiVersion": KUBEADM,
        "kind": "JoinConfiguration",
        "nodeRegistration": registration(facts, plan),
        "discovery": { "bootstrapToken": token },
        "patches": { "directory": KUBEADM_PATCHES },
        "timeouts": {
            "kubeletHealthCheck": "10m0s",
            "kubernetesAPICall": "5m0s",
            "tlsBootstrap": "10m0s",
            // A token that nobody knows is told soon; the node tries again anyway.
            "discovery": "1m0s",
        },
    });
    lay_over(&mut join, &node.kubeadm.join);
    join
}

fn cluster(facts: &Facts, plan: &Plan) -> Json {
    let wanted = &plan.cluster;
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    for name in facts
        .certificate_names
        .iter()
        .chain(&wanted.certificate_names)
    {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let or =
        |wanted: &Option<String>, default: &str| wanted.as_deref().unwrap_or(default).to_owned();
    let mut cluster = json!({
        "apiVersion": KUBEADM,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": format!("v{}", facts.kubernetes_version),
        // Making RSA keys takes seconds under emulation.
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": or(&wanted.pod_subnet, POD_SUBNET),
            "serviceSubnet": or(&wanted.service_subnet, SERVICE_SUBNET),
            "dnsDomain": or(&wanted.dns_domain, "cluster.local"),
        },
        "apiServer": { "certSANs": names, "extraEnvs": lean() },
        "controllerManager": {
            "extraEnvs": lean(),
            "extraArgs": [{ "name": "flex-volume-plugin-dir", "value": VOLUME_PLUGINS }],
        },
    });
    if !wanted.api_server.is_empty() {
        cluster["apiServer"]["extraArgs"] = arguments(&wanted.api_server).into();
    }
    if let Json::Array(extra) = &mut cluster["controllerManager"]["extraArgs"] {
        extra.extend(arguments(&wanted.controller_manager));
    }
    if !wanted.scheduler.is_empty() {
        cluster["scheduler"] = json!({ "extraArgs": arguments(&wanted.scheduler) });
    }
    match &wanted.external_etcd {
        Some(etcd) if !etcd.endpoints.is_empty() => {
            let mut external = json!({ "endpoints": etcd.endpoints });
            let files = [
                ("caFile", &etcd.ca_file),
                ("certFile", &etcd.cert_file),
                ("keyFile", &etcd.key_file),
            ];
            for (key, file) in files {
                if let Some(file) = file {
                    external[key] = json!(file);
                }
            }
            cluster["etcd"] = json!({ "external": external });
        }
        _ if !wanted.etcd.is_empty() => {
            cluster["etcd"] = json!({ "local": { "extraArgs": arguments(&wanted.etcd) } });
        }
        _ => {}
    }
    for (key, addon) in [("dns", wanted.dns), ("proxy", wanted.proxy)] {
        if addon == Addon::Disabled {
            cluster[key] = json!({ "disabled": true });
        }
    }
    let own = match &plan.action {
        Action::Init { endpoint } => endpoint.as_ref(),
        _ => None,
    };
    if let Some(endpoint) = own.or(facts.control_plane_endpoint.as_ref()) {
        cluster["controlPlaneEndpoint"] = json!(endpoint);
    }
    cluster
}

/// Less garbage beside what is in use, for the two with the largest heaps: 30 MB of a small
/// node's memory for a few hundredths of their time.
fn lean() -> Json {
    json!([{ "name": "GOGC", "value": "70" }])
}

/// The kubelet's configuration, as far as it is not kubeadm's default. Swap is refused by the
/// kubelet unless it is told otherwise.
fn kubelet(node: &NodeConfig, facts: &Facts, plan: &Plan) -> Json {
    let mut kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": facts.runtime.socket(),
        "volumePluginDir": VOLUME_PLUGINS,
        // The stub of systemd-resolved in /etc/resolv.conf is out of a pod's reach.
        "resolvConf": "/run/systemd/resolve/resolv.conf",
    });
    if !node.swap.is_empty() {
        kubelet["failSwapOn"] = json!(false);
        kubelet["memorySwap"] = json!({ "swapBehavior": "LimitedSwap" });
    }
    merge(&mut kubelet, &Json::Object(plan.kubelet_settings.clone()));
    kubelet
}

fn kube_proxy(plan: &Plan) -> Json {
    let mut proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
    });
    let settings = &plan.cluster.proxy_settings;
    merge(&mut proxy, &Json::Object(settings.clone()));
    proxy
}

/// A bootstrap token as the object that Kubernetes keeps it in, without expiry.
pub fn bootstrap_token(token: &Token) -> String {
    let (id, secret) = token.parts();
    text::yaml(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": id,
            "token-secret": secret,
            "description": "node.token",
            "usage-bootstrap-signing": "true",
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        },
    }))
}

/// How the names of the pods begin that the cluster of the node runs in kube-system.
pub fn expected_pods(node: &NodeConfig, facts: &Facts) -> Vec<&'static str> {
    let cluster = merged_cluster(node, facts, &plan(node, facts));
    let disabled = |key: &str| cluster.pointer(&format!("/{key}/disabled")) == Some(&json!(true));
    let pods = [
        ("etcd-", cluster.pointer("/etcd/external").is_none()),
        ("kube-apiserver-", true),
        ("kube-controller-manager-", true),
        ("kube-scheduler-", true),
        ("kube-proxy-", !disabled("proxy")),
        ("coredns-", !disabled("dns")),
    ];
    pods.into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

/// The patches of a node: ours, then the user's.
///
/// The kubelet's configuration of a node that joins comes from the cluster: what is this node's
/// own is laid over it.
pub fn kubeadm_patches(node: &NodeConfig, facts: &Facts) -> Vec<RenderedFile> {
    let plan = plan(node, facts);
    let mut files = match plan.action {
        Action::Init { .. } => control_plane_patches(),
        Action::Refuse(_) => Vec::new(),
        Action::Join(_) => {
            let own = kubelet(node, facts, &plan);
            let user = Json::Object(node.kubeadm.kubelet.0.clone());
            [own, user]
                .iter()
                .enumerate()
                .filter(|(_, patch)| patch.as_object().is_some_and(|fields| !fields.is_empty()))
                .map(|(index, patch)| {
                    patch_file(
                        "kubeletconfiguration",
                        &index.to_string(),
                        PatchKind::Merge,
                        text::yaml(patch),
                    )
                })
                .collect()
        }
    };
    for (index, patch) in node.kubeadm.patches.iter().enumerate() {
        let content = match &patch.content.0 {
            Json::String(text) => text.clone(),
            value => text::yaml(value),
        };
        // In the order of their names, after ours.
        let place = (100 + index).to_string();
        files.push(patch_file(patch.target.name(), &place, patch.kind, content));
    }
    files
}

fn patch_file(target: &str, place: &str, kind: PatchKind, content: String) -> RenderedFile {
    let mut file = RenderedFile::new(
        format!("{KUBEADM_PATCHES}/{target}{place}+{}.yaml", kind.name()),
        content,
    );
    // It may hold what is nobody's business.
    file.mode = 0o600;
    file
}

/// Patches that kubeadm lays over the control plane that it makes; for [`KUBEADM_PATCHES`].
///
/// Startup probes are sent every 10 s by default, so that each miss costs 10 s on the way to a
/// running node; readiness probes every second, each with a TLS handshake of its own, which is
/// much of what an idle node does; a second `CoreDNS` on the same node adds memory and no
/// safety.
fn control_plane_patches() -> Vec<RenderedFile> {
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
