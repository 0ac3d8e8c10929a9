//! The pod networks.

use serde_json::{Value as Json, json};

use super::{PodNetwork, text};

fn portmap() -> Json {
    json!({ "type": "portmap", "capabilities": { "portMappings": true }, "backend": "nftables" })
}

/// `10-bridge.conflist`: pods of one node on a bridge, their addresses from `subnet`.
pub fn bridge_conflist(subnet: &str) -> String {
    text::json(&json!({
        "cniVersion": "1.0.0",
        "name": "bridge",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": true,
                "ipMasqBackend": "nftables",
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": subnet }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            portmap(),
        ],
    }))
}

/// `10-flannel.conflist`. Its plugin reads [`flannel_subnet_env`], which flanneld writes.
pub fn flannel_conflist() -> String {
    text::json(&json!({
        "cniVersion": "1.0.0",
        "name": "cbr0",
        "plugins": [
            {
                "type": "flannel",
                "delegate": { "hairpinMode": true, "isDefaultGateway": true },
            },
            portmap(),
        ],
    }))
}

/// `/run/flannel/subnet.env` as flanneld writes it for the node of `first_address` (the first
/// of its own, such as `10.244.0.1/24`): written before, the first pods need not wait for
/// flanneld. The MTU is that of an Ethernet less what the backend adds.
pub fn flannel_subnet_env(pods: &PodNetwork, first_address: &str) -> String {
    format!(
        "FLANNEL_NETWORK={}\nFLANNEL_SUBNET={first_address}\nFLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n",
        pods.subnet,
        pods.mtu()
    )
}

/// Where the upstream image has flanneld.
pub fn flannel_image_command() -> &'static str {
    "/opt/bin/flanneld"
}

/// The flannel add-on for `kubectl apply`: namespace `kube-flannel`, rights, configuration and
/// `DaemonSet`. As upstream's, without the init containers: plugin and configuration are on the
/// node already. `command` is flanneld's path in `image`.
pub fn flannel_manifest(image: &str, command: &str, pods: &PodNetwork) -> String {
    manifest(image, command, pods, &[])
}

/// [`flannel_manifest`] that asks the API server at an address of its own, which every node
/// must reach: flanneld does not wait for kube-proxy to make the service's address work.
pub fn flannel_manifest_at(
    (host, port): (&str, u16),
    image: &str,
    command: &str,
    pods: &PodNetwork,
) -> String {
    let direct = [
        json!({ "name": "KUBERNETES_SERVICE_HOST", "value": host }),
        json!({ "name": "KUBERNETES_SERVICE_PORT", "value": port.to_string() }),
    ];
    manifest(image, command, pods, &direct)
}

/// flannel's name of a backend; k3s calls one of them otherwise.
fn flannel_type(backend: &str) -> &str {
    match backend {
        "wireguard-native" => "wireguard",
        other => other,
    }
}

fn manifest(image: &str, command: &str, pods: &PodNetwork, variables: &[Json]) -> String {
    let namespace = "kube-flannel";
    let labels = json!({ "k8s-app": "flannel" });
    let network = json!({
        "Network": pods.subnet,
        "EnableNFTables": true,
        "Backend": { "Type": flannel_type(&pods.backend) },
    });
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let host = |name: &str, path: &str, kind: &str| json!({ "name": name, "hostPath": { "path": path, "type": kind } });
    let rule = |resource: &str, verbs: &[&str]| json!({ "apiGroups": [""], "resources": [resource], "verbs": verbs });
    let metadata = json!({ "name": "flannel", "namespace": namespace, "labels": labels });
    let global = json!({ "name": "flannel", "labels": labels });
    let mut environment = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        json!({ "name": "EVENT_QUEUE_DEPTH", "value": "5000" }),
        json!({ "name": "CONT_WHEN_CACHE_NOT_READY", "value": "false" }),
    ];
    environment.extend_from_slice(variables);
    let pod = json!({
        "hostNetwork": true,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "flannel",
        "tolerations": [
            { "operator": "Exists", "effect": "NoSchedule" },
            { "operator": "Exists", "effect": "NoExecute" },
        ],
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "containers": [{
            "name": "kube-flannel",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": [command],
            "args": ["--ip-masq", "--kube-subnet-mgr"],
            "resources": { "requests": { "cpu": "100m", "memory": "50Mi" } },
            "securityContext": {
                "privileged": false,
                "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] },
            },
            "env": environment,
            "volumeMounts": [
                { "name": "run", "mountPath": "/run/flannel" },
                { "name": "configuration", "mountPath": "/etc/kube-flannel/" },
                { "name": "xtables-lock", "mountPath": "/run/xtables.lock" },
            ],
        }],
        "volumes": [
            host("run", "/run/flannel", "DirectoryOrCreate"),
            host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
            { "name": "configuration", "configMap": { "name": "kube-flannel-cfg" } },
        ],
    });
    text::yaml_documents(&[
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace, "labels": {
                "k8s-app": "flannel",
                "pod-security.kubernetes.io/enforce": "privileged",
            } },
        }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": global,
            "rules": [
                rule("pods", &["get"]),
                rule("nodes", &["get", "list", "watch"]),
                rule("nodes/status", &["patch"]),
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": global,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "flannel" },
            "subjects": [{ "kind": "ServiceAccount", "name": "flannel", "namespace": namespace }],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": "kube-flannel-cfg", "namespace": namespace, "labels": labels },
            "data": { "cni-conf.json": flannel_conflist(), "net-conf.json": text::json(&network) },
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": { "name": "kube-flannel-ds", "namespace": namespace, "labels": labels },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        }),
    ])
}
