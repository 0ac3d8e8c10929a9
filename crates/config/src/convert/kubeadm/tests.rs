use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::convert::{Entry, Format, Status};

fn convert(text: &str) -> Converted {
    crate::convert::convert(Format::Kubeadm, "kubeadm.yaml", text.as_bytes())
}

fn entry<'a>(converted: &'a Converted, path: &str, status: Status) -> &'a Entry {
    converted
        .report
        .iter()
        .find(|entry| entry.path == path && entry.status == status)
        .unwrap_or_else(|| panic!("no {status} {path} in {:#?}", converted.report))
}

const INIT: &str = "apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
bootstrapTokens:
- token: abcdef.0123456789abcdef
nodeRegistration:
  name: node1
  criSocket: /run/containerd/containerd.sock
  taints:
  - {key: a, value: b, effect: NoSchedule}
  kubeletExtraArgs:
    node-labels: region=west,zone=a
localAPIEndpoint: {advertiseAddress: 10.0.0.1, bindPort: 6443}
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: v1.30.0
networking: {podSubnet: 10.1.0.0/16}
apiServer:
  timeoutForControlPlane: 8m0s
  certSANs: [api.example.com]
  extraArgs: {audit-log-path: /var/log/audit}
  extraVolumes:
  - {name: audit, hostPath: /var/log, mountPath: /var/log}
etcd:
  local: {imageTag: 3.5.0, dataDir: /var/lib/etcd}
controllerManager: {extraArgs: {v: '4'}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
maxPods: 50
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
";

#[test]
fn the_schema_is_of_its_notation() {
    Shapes::parse(include_str!("schema.txt")).unwrap();
}

#[test]
fn the_first_node_of_a_cluster() {
    let converted = convert(INIT);
    assert!(!converted.is_invalid(), "{:#?}", converted.report);
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "token": "abcdef.0123456789abcdef",
            "hostname": "node1",
            "taints": ["a=b:NoSchedule"],
            "labels": {"region": "west", "zone": "a"},
            "kubeadm": {
                "init": {
                    "localAPIEndpoint": {"advertiseAddress": "10.0.0.1", "bindPort": 6443},
                    "timeouts": {"controlPlaneComponentHealthCheck": "8m0s"},
                },
                "cluster": {
                    "networking": {"podSubnet": "10.1.0.0/16"},
                    "apiServer": {
                        "certSANs": ["api.example.com", "127.0.0.1", "localhost"],
                        "extraArgs": [{"name": "audit-log-path", "value": "/var/log/audit"}],
                        "extraVolumes": [{"name": "audit", "hostPath": "/var/log", "mountPath": "/var/log"}],
                    },
                    "etcd": {"local": {"dataDir": "/var/lib/etcd"}},
                    "controllerManager": {"extraArgs": [
                        {"name": "v", "value": "4"},
                        {"name": "flex-volume-plugin-dir", "value": "/var/lib/kubelet/volumeplugins"},
                    ]},
                },
                "kubelet": {"maxPods": 50},
                "proxy": {"mode": "ipvs"},
            },
        })
    );
    let old = entry(&converted, "InitConfiguration.apiVersion", Status::Obsolete);
    assert!(old.message.contains("1.31") && old.message.contains("v1beta4"));
    entry(&converted, "KubeProxyConfiguration.mode", Status::Obsolete);
    entry(
        &converted,
        "ClusterConfiguration.apiServer.extraVolumes.0",
        Status::Translated,
    );
    let version = entry(
        &converted,
        "ClusterConfiguration.kubernetesVersion",
        Status::Unsupported,
    );
    assert_eq!((version.line, version.column), (Some(16), Some(1)));
    assert!(!format!("{:?}", converted.report).contains("0123456789abcdef"));
}

#[test]
fn a_node_that_joins() {
    let hash = format!("sha256:{}", "ab".repeat(32));
    let converted = convert(&format!(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    token: abcdef.0123456789abcdef\n    apiServerEndpoint: 10.0.0.1:6443\n    caCertHashes: ['{hash}']\ncontrolPlane: {{certificateKey: '00'}}\nnodeRegistration:\n  kubeletExtraArgs:\n  - {{name: node-labels, value: a=b}}\n  - {{name: v, value: '4'}}\n  - {{name: network-plugin, value: cni}}\npatches: {{directory: /x}}\n"
    ));
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "token": "abcdef.0123456789abcdef",
            "server_url": "https://10.0.0.1:6443",
            "k3s_args": ["server"],
            "kubeadm": {
                "discovery_ca_hashes": [hash],
                "join": {
                    "controlPlane": {"certificateKey": "00"},
                    "nodeRegistration": {"kubeletExtraArgs": [
                        {"name": "node-labels", "value": "a=b"},
                        {"name": "v", "value": "4"},
                    ]},
                },
            },
        })
    );
    entry(
        &converted,
        "JoinConfiguration.nodeRegistration.kubeletExtraArgs.2",
        Status::Obsolete,
    );
    entry(&converted, "JoinConfiguration.patches", Status::Unsupported);
}

#[test]
fn wrong_types_and_unknown_keys_are_named() {
    let converted = convert(
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworkin: {}\napiServer: {extraArgs: {a: b}, timeoutForControlPlane: 4m}\nscheduler: {extraArgs: [{name: v, value: 4}]}\nclusterName: 5\ncertificateValidityPeriod: 1y\nfeatureGates: {A: 'true'}\n",
    );
    let near = entry(
        &converted,
        "ClusterConfiguration.networkin",
        Status::Unsupported,
    );
    assert!(near.message.contains("networking"));
    let value = entry(
        &converted,
        "ClusterConfiguration.scheduler.extraArgs.0.value",
        Status::Invalid,
    );
    assert_eq!((value.line, value.column), (Some(5), Some(42)));
    for path in [
        "apiServer.extraArgs",
        "clusterName",
        "certificateValidityPeriod",
        "featureGates.A",
    ] {
        entry(
            &converted,
            &format!("ClusterConfiguration.{path}"),
            Status::Invalid,
        );
    }
    entry(
        &converted,
        "ClusterConfiguration.apiServer.timeoutForControlPlane",
        Status::Obsolete,
    );
}

#[test]
fn versions_and_kinds_are_judged() {
    let status = |text: &str, path: &str| {
        let converted = convert(text);
        let found = converted.report.iter().find(|entry| entry.path == path);
        found.map(|entry| entry.status)
    };
    let api = |api: &str, kind: &str| format!("apiVersion: {api}\nkind: {kind}\n");
    for (text, path, wanted) in [
        (
            api("kubeadm.k8s.io/v1beta9", "InitConfiguration"),
            "InitConfiguration.apiVersion",
            Status::Invalid,
        ),
        (
            api("kubeadm.k8s.io/v1alpha3", "InitConfiguration"),
            "InitConfiguration.apiVersion",
            Status::Obsolete,
        ),
        (
            api("kubeadm.k8s.io/v1beta2", "ClusterStatus"),
            "ClusterStatus",
            Status::Obsolete,
        ),
        (
            api("kubeadm.k8s.io/v1alpha1", "MasterConfiguration"),
            "document.0.kind",
            Status::Obsolete,
        ),
        (
            api("kubeadm.k8s.io/v1beta4", "ResetConfiguration"),
            "ResetConfiguration",
            Status::Unsupported,
        ),
        (
            api("kubeadm.k8s.io/v1beta4", "InitConfig"),
            "document.0.kind",
            Status::Invalid,
        ),
        (
            api("kubeadm.k8s.io/v1beta4", "KubeletConfiguration"),
            "KubeletConfiguration.apiVersion",
            Status::Invalid,
        ),
        (
            api("apps/v1", "Deployment"),
            "document.0",
            Status::Unsupported,
        ),
        (
            "kind: InitConfiguration\n".to_owned(),
            "InitConfiguration.apiVersion",
            Status::Invalid,
        ),
        ("a: b\n".to_owned(), "document.0.kind", Status::Invalid),
        ("- a\n".to_owned(), "document.0", Status::Invalid),
        (String::new(), ".", Status::Invalid),
        ("a: [\n".to_owned(), ".", Status::Invalid),
    ] {
        assert_eq!(status(&text, path), Some(wanted), "{text}");
    }
    let twice = format!(
        "{0}---\n{0}",
        api("kubeadm.k8s.io/v1beta4", "InitConfiguration")
    );
    assert_eq!(status(&twice, "document.1.kind"), Some(Status::Translated));
}

fn covered(converted: &Converted, prefix: &str, value: &Value) -> Result<(), String> {
    let mut report = Report::new("x");
    for entry in &converted.report {
        report.add(entry.status, &entry.path, None, entry.message.clone());
    }
    let before = report.entries().len();
    report.cover(prefix, value);
    match report.entries().get(before) {
        Some(missed) => Err(missed.path.clone()),
        None => Ok(()),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_converted_or_refused(bytes: Vec<u8>) {
        let _ = crate::convert::convert(Format::Kubeadm, "x", &bytes);
    }

    #[test]
    fn no_value_vanishes_from_the_report(
        kind in prop::sample::select(&["InitConfiguration", "ClusterConfiguration", "JoinConfiguration"][..]),
        version in 1..5,
        keys in prop::collection::hash_map(
            prop::sample::select(&["nodeRegistration", "apiServer", "etcd", "dns", "discovery", "controlPlane", "bootstrapTokens", "patches", "timeouts", "strange"][..]),
            "(\\{(name|taints|kubeletExtraArgs|extraArgs|extraVolumes|local|bootstrapToken|timeout|certSANs): (x|[0-9]|~|\\[\\{name: a, value: b\\}, c\\]|\\{a: b, v: 4, token: x, dataDir: y\\})\\}|\\[\\{token: a\\}\\]|x|\\[\\])",
            0..5,
        ),
    ) {
        let mut text = format!("apiVersion: kubeadm.k8s.io/v1beta{version}\nkind: {kind}\n");
        for (key, value) in keys {
            writeln!(text, "{key}: {value}").unwrap();
        }
        let value = crate::yaml::legacy::read(text.as_bytes(), Dialect::Core).unwrap();
        let converted = convert(&text);
        prop_assert_eq!(covered(&converted, kind, &value), Ok(()));
    }
}
