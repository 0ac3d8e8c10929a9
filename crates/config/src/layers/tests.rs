//! What a node makes of its sources.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::k3os::Kind;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMpWHCKoVNQz75hfPSZj9yX2UkTVYVCihofAoYK4BM5G";

fn native(name: &str, text: &str) -> NativeInput {
    NativeInput {
        name: name.to_owned(),
        content: Ok(text.as_bytes().to_owned()),
    }
}

fn k3os(name: &str, text: &str) -> Input {
    Input::new(name, Kind::Yaml, text.as_bytes())
}

fn said(effective: &Effective) -> Vec<String> {
    let findings = effective.findings.iter();
    findings
        .map(|one| format!("{:?} {} {one}", one.severity, one.code))
        .collect()
}

#[test]
fn later_sources_win_and_null_erases() {
    let made = effective(
        &[
            k3os(
                "system",
                "hostname: a\nk3os: {labels: {a: b}, token: abcdef.0123456789abcdef, install: {device: /dev/sda, debug: true}}\nrun_cmd: [one, two]\n",
            ),
            k3os("config.d/1", "k3os: {install: {tty: ttyS0}}\n"),
        ],
        &[
            native(
                "config.yaml",
                "hostname: b\nlabels: {c: d}\ninstall: {debug: false}\nnetwork: {interfaces: [{name: eth0}]}\n",
            ),
            native(
                "config.d/1",
                "token: \ninstall: {device: }\nrun_cmd: []\nk3os: {taints: ['a:NoExecute']}\n",
            ),
        ],
    );
    assert_eq!(said(&made), Vec::<String>::new());
    assert_eq!(
        made.to_json(true),
        json!({
            "hostname": "b",
            "labels": {"c": "d"},
            "install": {"debug": false, "tty": "ttyS0"},
            "network": {"interfaces": [{"name": "eth0"}]},
            "taints": ["a:NoExecute"],
        })
    );
    assert_eq!(made.node.hostname.as_ref().unwrap().as_str(), "b");
    assert!(made.node.token.is_none() && made.node.run_cmd.is_empty());
    assert!(
        made.sources
            .iter()
            .all(|source| source.used && source.problems.is_empty())
    );

    let text = |key: &str| -> String {
        let explained = made.explain(key, false).unwrap();
        explained.iter().map(Explained::text).collect()
    };
    insta::assert_snapshot!(
        [
            "hostname",
            "k3os.token",
            "install",
            "labels.c",
            "taints[0]",
            "run_cmd",
            "locale"
        ]
        .map(text)
        .concat()
    );
    assert!(
        made.explain("hostnam", false)
            .unwrap_err()
            .contains("hostname")
    );
}

#[test]
fn a_bad_value_costs_nothing_but_itself() {
    let made = effective(
        &[
            k3os(
                "system",
                &format!("ssh_authorized_keys: ['{KEY}']\nhostname: good\n"),
            ),
            k3os(
                "config.d/1",
                "ssh_authorized_keys: [ssh-rsa AAAA]
hostname: '!'
write_files:
- {path: rel/../x, content: a, permissions: '644'}
- {path: /b, content: '***', encoding: b64}
- {path: /c, permissions: u+x}
- {path: /../../d, permissions: 0o4755, owner: ':adm'}
- {path: /e, encoding: rot13}
- {path: /f, encoding: gz, content: x}
- {path: ..}
run_cmd: ['', ls]
k3os:
  labels: {a: b, 'c d': e, node-role.kubernetes.io/x: y, f: g h}
  taints: [a, 'b:NoExecute']
  sysctls: {net.ipv4.ip_forward: 1, '..': 2}
  dns_nameservers: ['1.1.1.1,8.8.8.8', x]
  ntp_servers: [pool.ntp.org]
  data_sources: [AWS, nowhere]
  wifi: [{name: home, passphrase: short}, {name: open}]
  password: $nothing
  server_url: n1
  modules: [kvm, ../x]
  environment: {A: b, 1B: c}
  install: {device: sda, tty: ttyS0}
",
            ),
        ],
        &[],
    );
    insta::assert_snapshot!(format!(
        "{}---\n{}",
        made.to_yaml(true),
        said(&made).join("\n")
    ));
}

#[test]
fn native_files_are_read_leniently_on_a_node() {
    let made = effective(
        &[],
        &[
            native(
                "a",
                &format!("ssh_authorized_keys: ['{KEY}', 'github:me']\nhostname: a\n"),
            ),
            native("b", "hostname: [\n"),
            native(
                "c",
                "hostname: B_B
ssh_authorized_keys: [ssh-rsa AAAA]
hostnam: c
labels: {a: b, c: [d], node-role.kubernetes.io/x: y}
taints: [a, 'b:NoExecute', 'b=c:NoExecute']
write_files:
- {path: /a, permission: '0600', content: secret}
- {path: /b, content: '***', encoding: b64}
- {path: /c, content: fine}
install: {device: sda, tty: ttyS0}
token: t
token: u
network: {interfaces: [{name: eth0, mtu: x}, {name: eth1}]}
",
            ),
            NativeInput {
                name: "d".to_owned(),
                content: Err("permission denied".to_owned()),
            },
            native("e", "- a\n"),
            native("f", "timezone: Europe/Berlin\n"),
        ],
    );
    let states: Vec<_> = made
        .sources
        .iter()
        .map(|one| (one.name.as_str(), one.used))
        .collect();
    assert_eq!(
        states,
        [
            ("a", true),
            ("b", false),
            ("c", true),
            ("d", false),
            ("e", false),
            ("f", true)
        ]
    );
    insta::assert_snapshot!(format!(
        "{}---\n{}",
        made.to_yaml(true),
        said(&made).join("\n")
    ));
}

#[test]
fn secrets_are_masked() {
    let made = effective(
        &[k3os(
            "s",
            "k3os: {token: s31337, password: s31337, k3s_args: [agent, --token, s31337, --token=s31337, --v, '3']}\n",
        )],
        &[native(
            "c",
            "wifi: [{name: a, passphrase: 12s31337}]
registries: {configs: {r.example.org: {auth: {username: u, password: s31337}}}}
users: [{name: u, password: s31337}]
token: t31337
",
        )],
    );
    let shown = made.to_yaml(false);
    assert!(!shown.contains("31337"), "{shown}");
    assert!(shown.contains("--v"), "{shown}");
    assert!(made.to_yaml(true).contains("31337"));
    for key in [
        "token",
        "k3s_args",
        "wifi",
        "users",
        "registries",
        "password",
    ] {
        let explained = made.explain(key, false).unwrap();
        let text: String = explained.iter().map(Explained::text).collect();
        assert!(!text.contains("31337"), "{text}");
        assert!(!format!("{explained:?}").contains("31337"));
    }
    assert!(!format!("{made:?}").contains("31337"));
}

#[test]
fn many_bad_values_do_not_take_long() {
    let start = std::time::Instant::now();
    let lines: Vec<String> = (0..20_000).map(|one| format!("  k{one}: [x]\n")).collect();
    let labels = lines.concat();
    let keys = "- ssh-rsa AAAA\n".repeat(20_000);
    let made = effective(
        &[],
        &[native(
            "a",
            &format!("labels:\n{labels}  good: x\nssh_authorized_keys:\n{keys}- {KEY}\n"),
        )],
    );
    assert_eq!(made.node.labels.len(), 1, "{:?}", made.findings);
    assert_eq!(made.node.ssh_authorized_keys.len(), 1);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

fn any_layer() -> impl Strategy<Value = Map<String, Json>> {
    let text = || proptest::option::of("[a-z]{1,3}");
    (
        text(),
        proptest::collection::vec("[a-z]{1,3}", 0..3),
        proptest::option::of(proptest::collection::btree_map("[a-z]", "[a-z]", 0..3)),
        text(),
        text(),
    )
        .prop_map(|(hostname, run, labels, device, tty)| {
            let mut map = Map::new();
            if let Some(hostname) = hostname {
                map.insert("hostname".to_owned(), json!(hostname));
            }
            if !run.is_empty() {
                map.insert("run_cmd".to_owned(), json!(run));
            }
            if let Some(labels) = labels {
                map.insert("labels".to_owned(), json!(labels));
            }
            let mut install = Map::new();
            for (key, value) in [("device", device), ("tty", tty)] {
                if let Some(value) = value {
                    install.insert(key.to_owned(), json!(value));
                }
            }
            if !install.is_empty() {
                map.insert("install".to_owned(), Json::Object(install));
            }
            map
        })
}

fn any_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "[a-z0-9./:-]{0,8}",
        6 => proptest::sample::select(vec![
            "hostname", "labels", "write_files", "path", "install", "device", "k3os", "token",
            "ssh_authorized_keys", "run_cmd", "sysctls", "network", "interfaces", "name", "users",
            ": ", ": ", "- ", "\n", "\n", "  ", "[", "]", "{", "}", ", ", "&a ", "*a", "!!binary ", "|\n",
            "'", "\"", "#", "---\n", "?", "\t", "~", "0755", "<<", "\r\n", "#!",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(token, 0..50).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merging_is_associative(a in any_layer(), b in any_layer(), c in any_layer()) {
        let join = |low: &Map<String, Json>, high: &Map<String, Json>| {
            let mut low = low.clone();
            merge::merge(merge::top(), &mut low, high);
            low
        };
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(join(&a, &Map::new()), a.clone());
        prop_assert_eq!(join(&a, &a), a);
    }

    #[test]
    fn any_sources_leave_the_keys_of_the_good_ones(
        bad in any_text(), bytes: Vec<u8>, line in any_text(), above: bool
    ) {
        // Nothing that sets keys itself, which may win.
        let bad = bad.replace("ssh", "shh");
        let good = native("good", &format!("ssh_authorized_keys: ['{KEY}']\n"));
        let noise = [native("noise", &bad), NativeInput { name: "bytes".to_owned(), content: Ok(bytes.clone()) }];
        let mut files = noise.to_vec();
        files.insert(if above { 2 } else { 0 }, good);
        let made = effective(
            &[
                k3os("a", &bad),
                Input::new("b", Kind::Userdata, &bytes),
                Input::new("cmdline", Kind::CommandLine, line.as_bytes()),
            ],
            &files,
        );
        prop_assert!(made.node.ssh_authorized_keys.iter().any(|key| key.as_str() == KEY));
        for source in &made.sources {
            // What is not used is named.
            prop_assert!(source.used || made.findings.iter().any(|one| one.file == source.name));
        }
        // What is in force is valid: it reads back the same.
        let text = made.node.to_json();
        prop_assert_eq!(crate::parse_node("f", text.as_bytes()).unwrap(), made.node.clone());
        let again = effective(&[], &[native("again", &text)]);
        prop_assert_eq!(again.node, made.node);
    }
}
