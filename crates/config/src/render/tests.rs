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
        "/opt/bin/flanneld"
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
