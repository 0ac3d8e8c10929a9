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
            Kind::Text => json!(scalar.text),
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
