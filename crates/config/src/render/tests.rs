use serde_json::{Value as Json, json};

use super::*;
use crate::{
    finding::Collector,
    yaml::{self, Data, Kind},
};

fn plain(value: &yaml::Value) -> Json {
    match &value.data {
        Data::List(items) => items.iter().map(plain).collect(),
        Data::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), plain(&entry.value)))
                .collect(),
        ),
        Data::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => json!(value),
            Kind::Integer(value) => json!(i64::try_from(value).unwrap()),
            Kind::Float(value) => json!(value),
            Kind::Text | Kind::Binary => json!(scalar.text),
        },
    }
}

fn read_back(text: &str) -> Json {
    let mut findings = Collector::new("rendered");
    let value = yaml::read(text.as_bytes(), &mut findings);
    let value = value.unwrap_or_else(|| panic!("{findings:?}\n{text}"));
    plain(&value)
}

#[test]
fn yaml_reads_back() {
    for value in [
        json!({"a": [1, [2, [], {}], {"b": [true, null], "c": {"d": "x\ny\n"}}], "e": "yes"}),
        json!([["a", "b"], [{"c": "d"}]]),
        json!("x"),
        json!("a\nb\n"),
        json!([]),
        json!({"k": ["a\n\n b\n", "\n", " a\n", "# no\n", "- x\n", "\u{85}", "\u{feff}x\n"]}),
    ] {
        let text = text::yaml(&value);
        assert_eq!(read_back(&text), value, "{text}");
    }
}

#[test]
fn all_files_of_a_plain_node() {
    for (name, facts) in [
        (
            "containerd",
            Facts::new("1.36.3", Runtime::Containerd, Cni::Flannel, "node1"),
        ),
        (
            "crio",
            Facts::new("1.36.3", Runtime::CriO, Cni::Bridge, "node1.example"),
        ),
    ] {
        let files = node_files(&NodeConfig::default(), &facts);
        let texts: Vec<String> = files
            .iter()
            .map(|file| format!("==> {} {:o}\n{}", file.path, file.mode, file.content))
            .collect();
        insta::assert_snapshot!(name, texts.concat());
    }
}

#[test]
fn flannel() {
    insta::assert_snapshot!(flannel_manifest(
        "docker.io/flannel/flannel:v0.28.10",
        "/opt/bin/flanneld",
        &PodNetwork::default()
    ));
}

#[test]
fn settings_of_a_node() {
    let node = crate::parse_node(
        "node.yaml",
        br#"
labels: {example.org/b: c, a: 1}
taints: ["a=b:NoSchedule", "c:NoExecute"]
modules: [zfs, "bonding mode=4 miimon=100"]
sysctls: {net/ipv4/conf/eth0.100/forwarding: 1, net.ipv4.ip_forward: 0}
dns_nameservers: [1.1.1.1, "2606:4700::1111"]
ntp_servers: [a.example.org, 192.0.2.1]
environment: {HTTP_PROXY: "http://m:3128/?a=$b%41", QUOTES: "it's \"so\" \\", EMPTY: ""}
"#,
    )
    .unwrap();
    let facts = Facts::new("1.36.3", Runtime::Containerd, Cni::None, "node1");
    let plain = node_files(&NodeConfig::default(), &facts);
    let texts: Vec<String> = node_files(&node, &facts)
        .iter()
        .filter(|file| !plain.contains(file))
        .map(|file| format!("==> {} {:o}\n{}", file.path, file.mode, file.content))
        .collect();
    insta::assert_snapshot!(texts.concat());
}

fn kubeadm_of(node: &str, facts: &Facts) -> String {
    let node = crate::parse_node("node.yaml", node.as_bytes()).unwrap();
    let mut text = kubeadm_config(&node, facts).unwrap_or_else(|| "none".to_owned());
    for patch in kubeadm_patches(&node, facts) {
        if patch.path.contains("kubelet") || patch.path.contains("10") {
            let (path, mode, content) = (patch.path, patch.mode, patch.content);
            text.extend([format!("==> {path} {mode:o}\n"), content]);
        }
    }
    text
}

#[test]
fn kubeadm_of_the_example_of_k3os() {
    let mut facts = Facts::new("1.36.3", Runtime::Containerd, Cni::Flannel, "myhost");
    facts.advertise_address = Some("192.0.2.7".parse().unwrap());
    insta::assert_snapshot!(kubeadm_of(
        r#"
hostname: myhost
server_url: https://myhost:6443
token: TOKEN_VALUE_OF_THE_README
labels: {region: us-west-1, somekey: somevalue}
k3s_args: [server, "--cluster-init"]
taints: ["key1=value1:NoSchedule", "key1=value1:NoExecute"]
"#,
        &facts
    ));
}

#[test]
fn kubeadm_of_a_server_with_many_settings() {
    let facts = Facts::new("1.36.3", Runtime::CriO, Cni::Flannel, "n1");
    insta::assert_snapshot!(kubeadm_of(
        r#"
k3s_args:
- server
- --cluster-cidr=10.42.0.0/16
- --service-cidr=10.43.0.0/16
- --cluster-domain=home.arpa
- --tls-san=k8s.example.org
- --node-ip=10.0.0.5
- --kubelet-arg=max-pods=200
- --kube-apiserver-arg=audit-log-path=-
- --kube-controller-manager-arg=bind-address=0.0.0.0
- --kube-scheduler-arg=v=2
- --kube-proxy-arg=proxy-mode=iptables
- --etcd-arg=quota-backend-bytes=4294967296
- --disable=traefik,coredns
- --disable-kube-proxy
- --protect-kernel-defaults
- --agent-token=abcdef.0123456789abcdef
- --node-name=Other
kubeadm:
  cluster: {clusterName: home, networking: {dnsDomain: null}, apiServer: {extraEnvs: null}, kind: Nonsense}
  init: {timeouts: {discovery: 1m0s}}
  kubelet: {maxPods: 250, evictionHard: {memory.available: 5%}}
  proxy: {conntrack: {maxPerCore: 0}}
  patches:
  - {target: kube-apiserver, content: {spec: {priority: 1}}}
  - {target: etcd, type: json, content: [{op: add, path: /metadata/labels/a, value: "1"}]}
"#,
        &facts
    ));
}

#[test]
fn kubeadm_of_a_node_that_joins() {
    let facts = Facts::new("1.36.3", Runtime::Containerd, Cni::Flannel, "n2");
    let hash = "ab".repeat(32);
    insta::assert_snapshot!(kubeadm_of(
        &format!(
            r#"
server_url: https://myhost:6443
token: abcdef.0123456789abcdef
labels: {{a: b}}
taints: ["k=v:NoSchedule"]
k3s_args: [agent, "--node-ip=10.0.0.6"]
kubeadm: {{discovery_ca_hashes: ["sha256:{hash}"], kubelet: {{maxPods: 50, resolvConf: null}}, join: {{timeouts: {{discovery: 1m0s}}}}}}
"#
        ),
        &facts
    ));
    let text = kubeadm_of(
        "{server_url: 'https://a:1', token: a-secret-of-some-length}",
        &facts,
    );
    assert!(text.contains("unsafeSkipCAVerification: true"), "{text}");
    assert!(!text.contains("a-secret"));
    let text = kubeadm_of(
        "{server_url: 'https://other:6443', token: a-secret-of-some-length, k3s_args: [server]}",
        &facts,
    );
    assert_eq!(text, "none");
}

#[test]
fn all_nodes_with_one_secret_have_one_token() {
    let facts = Facts::new("1.36.3", Runtime::Containerd, Cni::Flannel, "n");
    let token = |node: &str| {
        let text = kubeadm_of(node, &facts);
        let line = text
            .lines()
            .find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("token:"));
        line.unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    };
    let hash = "ab".repeat(32);
    let secret = "a-secret-of-some-length";
    let server = token(&format!("{{token: {secret}}}"));
    let agent = token(&format!("{{server_url: 'https://a:1', token: {secret}}}"));
    let full = token(&format!(
        "{{server_url: 'https://a:1', token: 'K10{hash}::node:{secret}'}}"
    ));
    assert_eq!(agent, full);
    assert_eq!(agent, server);
}
