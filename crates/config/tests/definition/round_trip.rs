//! The node configuration goes to the node as JSON and comes back the same.

use lifeboat_config::{
    Cni, Definition, NodeConfig, Runtime, parse, parse_node,
    render::{self, Facts},
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn line() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{0,20}"
}

fn any_node() -> impl Strategy<Value = Json> {
    let text = any::<String>().prop_map(|text| text.replace('\0', ""));
    let file = (text.clone(), "(/[a-zA-Z0-9._ é-]{1,8}x){1,3}", 0u32..0o7777);
    (
        (
            proptest::option::of("[a-z0-9]{1,10}"),
            proptest::collection::btree_map("[a-z]{1,5}", "([A-Za-z0-9]{0,5})", 0..3),
            proptest::collection::btree_map("[a-z]{1,4}[.][a-z]{1,4}", line(), 0..3),
            proptest::collection::btree_map("[A-Z_][A-Z0-9_]{0,5}", line(), 0..4),
        ),
        proptest::collection::vec(file, 0..3),
        proptest::collection::vec(text.prop_map(|text| format!("x{text}")), 0..3),
        proptest::collection::vec("[a-z_]{1,6}( [a-z]+=[0-9]+)?", 0..2),
    )
        .prop_map(
            |((hostname, labels, sysctls, environment), files, run, modules)| {
                let files: Vec<Json> = files
                .into_iter()
                .map(|(content, path, mode)| {
                    json!({"path": path, "content": content, "permissions": format!("{mode:04o}")})
                })
                .collect();
                json!({
                    "hostname": hostname,
                    "labels": labels,
                    "sysctls": sysctls,
                    "environment": environment,
                    "write_files": files,
                    "run_cmd": run,
                    "modules": modules,
                })
            },
        )
}

proptest! {
    #[test]
    fn node_configurations_come_back(node in any_node()) {
        let node: NodeConfig = serde_json::from_value(node).unwrap();
        let text = node.to_json();
        prop_assert_eq!(parse_node("config.json", text.as_bytes()), Ok(node.clone()), "{}", text);
        prop_assert_eq!(serde_json::from_str::<NodeConfig>(&text).unwrap(), node);
    }

    #[test]
    fn rendered_files_hold_each_value_in_its_place(node in any_node()) {
        let node: NodeConfig = serde_json::from_value(node).unwrap();
        let facts = Facts::new("1.36.3", Runtime::Containerd, Cni::Bridge, "n1");
        let plain = render::node_files(&NodeConfig::default(), &facts);
        for file in render::node_files(&node, &facts) {
            // A value that breaks out would add a line of its own.
            let extra = match file.path.as_str() {
                "/etc/environment"
                | "/etc/profile.d/90-lifeboat.sh"
                | "/etc/environment.d/90-lifeboat.conf" => Some(node.environment.len()),
                "/etc/systemd/system.conf.d/90-lifeboat.conf" => Some(node.environment.len() + 1),
                "/etc/sysctl.d/90-lifeboat.conf" => Some(5 + node.sysctls.len()),
                "/etc/modules-load.d/90-lifeboat.conf" => Some(2 + node.modules.len()),
                "/etc/modprobe.d/90-lifeboat.conf" | "/etc/kubernetes/kubeadm.yaml" => None,
                path => plain
                    .iter()
                    .find(|one| one.path == path)
                    .map(|one| one.content.lines().count()),
            };
            if let Some(lines) = extra {
                prop_assert_eq!(file.content.lines().count(), lines, "{}", file.content);
            }
        }
    }
}

fn any_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1000i32..1000).prop_map(|number| Json::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(|text| Json::from(text.replace('\0', ""))),
        "(yes|no|on|~|null|0x1f|1e3|2020-01-01|1_000|=|<<)".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map("[a-zA-Z./<-]{0,6}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn fields_of_kubeadm_come_back(values in proptest::collection::btree_map("[a-z]{1,6}", any_value(), 0..4)) {
        let fields: Json = Json::Object(values.into_iter().collect());
        let node = json!({"kubeadm": {"cluster": fields, "patches": [
            {"target": "etcd", "type": "merge", "content": fields}]}});
        let node: NodeConfig = serde_json::from_value(node).unwrap();
        let text = node.to_json();
        prop_assert_eq!(parse_node("config.json", text.as_bytes()), Ok(node), "{}", text);
    }
}

#[test]
fn definitions_come_back() {
    let text = "
image: {kubernetes: 1.36.3, bundles: [cockpit], files: [{path: /etc/x, content: y}]}
node: {hostname: a, labels: {b: 1}}
machine: {memory: 4096, ports: [80, '1:2', {host: 3, guest: 4}]}
";
    let definition = parse("f", text.as_bytes()).unwrap();
    let json = serde_json::to_string_pretty(&definition).unwrap();
    assert_eq!(parse("f", json.as_bytes()), Ok(definition));
    let default = serde_json::to_string(&Definition::default()).unwrap();
    assert_eq!(parse("f", default.as_bytes()), Ok(Definition::default()));
}
