//! What holds for any document.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{
    super::{Entry, Format, Status, convert},
    tests::ignition,
};

/// Every value has an entry at or above it; a translated one not above a list of objects.
fn uncovered(json: &Json, report: &[Entry]) -> Vec<String> {
    fn walk(json: &Json, path: &[String], depth: usize, out: &mut Vec<(Vec<String>, usize)>) {
        let below = |key: String| [path, &[key]].concat();
        match json {
            Json::Object(map) => {
                for (key, value) in map {
                    walk(value, &below(key.clone()), depth, out);
                }
            }
            Json::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    let path = below(number.to_string());
                    let depth = if depth == 1 && item.is_object() {
                        path.len()
                    } else {
                        depth
                    };
                    walk(item, &path, depth, out);
                }
            }
            Json::Null => {}
            _ => out.push((path.to_vec(), depth)),
        }
    }
    let mut leaves = Vec::new();
    walk(json, &[], 1, &mut leaves);
    leaves
        .into_iter()
        .filter(|(path, depth)| {
            !report.iter().any(|entry| {
                let length = entry.path.split('.').count();
                path.len() >= length
                    && path[..length].join(".") == entry.path
                    && (entry.status != Status::Translated || length >= *depth)
            })
        })
        .map(|(path, _)| path.join("."))
        .collect()
}

/// Values that look like a document: known keys more often than others.
fn any_document() -> impl Strategy<Value = Json> {
    let key = prop_oneof![
        5 => prop::sample::select(vec![
            "ignition", "version", "storage", "files", "path", "contents", "source", "mode", "user",
            "name", "id", "systemd", "units", "enabled", "dropins", "passwd", "users", "groups",
            "sshAuthorizedKeys", "disks", "partitions", "label", "number", "filesystems", "device",
            "format", "links", "target", "luks", "clevis", "tang", "url", "kernelArguments",
            "shouldExist", "config", "merge", "networkd", "mask", "directories", "append",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z]{1,6}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..5000i64).prop_map(Json::from),
        prop::sample::select(vec![
            "/a",
            "/etc/hostname",
            "data:,x",
            "data:;base64,aGk=",
            "core",
            "a.service",
            "x",
            "[A]\nB=c\n",
            "https://x/y",
            "gzip",
            "xfs",
            "3.4.0",
            "é\u{0}\u{1}",
        ])
        .prop_map(Json::from),
    ];
    let tree = leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    (0..=6u8, tree).prop_map(|(minor, tree)| {
        let mut tree = if tree.is_object() {
            tree
        } else {
            json!({"storage": {"files": tree}})
        };
        tree["ignition"] = json!({"version": format!("3.{minor}.0")});
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_key_vanishes_and_the_result_is_read_back(document in any_document()) {
        let converted = ignition(&document);
        prop_assert_eq!(uncovered(&document, &converted.report), Vec::<String>::new());
        if let Err(findings) = crate::parse_node("x", converted.yaml().as_bytes()) {
            for finding in findings.0 {
                prop_assert!(finding.path.starts_with("ssh_authorized_keys"), "{finding}\n{}", converted.yaml());
            }
        }
    }

    #[test]
    fn any_bytes_end_well(bytes: Vec<u8>) {
        convert(Format::Ignition, "x", &bytes);
        convert(Format::Butane, "x", &bytes);
    }
}
