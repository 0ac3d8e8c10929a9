//! What `config check` says.

use proptest::prelude::*;

use super::*;

fn said(text: &str, wanted: Wanted, mode: Option<u32>) -> String {
    let checked = check("f", text.as_bytes(), wanted, mode);
    let mut lines = vec![checked.kind.words().to_owned()];
    for one in &checked.findings {
        lines.push(format!("{:?} {} {one}", one.severity, one.code));
    }
    lines.join("\n")
}

#[test]
fn files_are_known_by_their_keys() {
    for (text, kind) in [
        ("image: {}\n", Kind::Definition),
        ("node: {hostname: a}\n", Kind::Definition),
        ("hostname: a\n", Kind::Node),
        ("", Kind::Node),
        ("hostname: [\n", Kind::Node),
        ("labels: {a: b}\n", Kind::Node),
        ("k3os: {labels: {a: b}}\n", Kind::K3os),
        (
            "k3os: {labels: {a: b}}\nnetwork: {}\nusers: []\n",
            Kind::Node,
        ),
        ("run_cmd: echo hi\n", Kind::K3os),
        ("write_file: [{path: /x}]\n", Kind::K3os),
        ("#!/bin/sh\n", Kind::K3os),
        ("- a\n", Kind::Node),
    ] {
        assert_eq!(
            check("f", text.as_bytes(), Wanted::Any, None).kind,
            kind,
            "{text}"
        );
    }
    let own = check("a/lifeboat.yaml", b"", Wanted::Native, None);
    assert_eq!(own.kind, Kind::Definition);
}

#[test]
fn all_about_a_file_of_k3os() {
    insta::assert_snapshot!(said(
        "hostname: My_Host
hostname: My_Node
ssh_authorized_key: [github:me, 'http://example.org/keys', ssh-rsa AAAA]
write_files:
- {path: /a, content: x, permissions: 0644}
- {path: /b, content: '***', encoding: b64}
users: []
k3os:
  passwort: x31337
  password: x31337
  token: K10abc::server:x31337
  serverUrl: https://n1:6443
  label: {a: b, 'c d': e}
  sysctls: {a.b: {c: d}}
  k3s_args: [server, --disable, traefik, --no-such-flag, --flannel-backend=wireguard-native]
  wifi: [{name: home, pass: x31337yyy}]
  install: {config_url: 'http://example.org/x', device: sda}
",
        Wanted::Any,
        Some(0o644)
    ));
}

#[test]
fn all_about_a_native_file() {
    let node = "hostname: My_Node
k3os: {token: x31337, hostnam: a}
token: y31337
password: x31337
users: [{name: u, password: x31337}]
registries: {configs: {r.example.org: {auth: {username: u, password: x31337}}}}
write_files: [{path: /a, permissions: 0600}]
";
    insta::assert_snapshot!(said(node, Wanted::Native, Some(0o644)));
    let definition = format!("  {}\n", node.trim_end().replace('\n', "\n  "));
    insta::assert_snapshot!(said(
        &format!("node:\n{definition}"),
        Wanted::Any,
        Some(0o604)
    ));
    assert_eq!(
        said(
            "node: {k3os: {password: '*', token: abcdef.0123456789abcdef}}",
            Wanted::Any,
            Some(0o600)
        ),
        "a definition"
    );
}

#[test]
fn files_of_other_systems_are_named() {
    for (text, from) in [
        ("{\"ignition\": {\"version\": \"3.4.0\"}}", "ignition"),
        ("variant: fcos\nversion: 1.5.0\n", "butane"),
        ("#cloud-config\npackages: [x]\n", "cloud-init"),
        (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n",
            "kubeadm",
        ),
        ("#!/bin/sh\n# combustion: network\n", "combustion"),
    ] {
        let checked = check("f", text.as_bytes(), Wanted::Any, None);
        let found = checked
            .findings
            .iter()
            .find(|one| one.code == "other-format");
        let hint = found
            .and_then(|one| one.hint.as_deref())
            .unwrap_or_default();
        assert!(
            hint.contains(&format!("--from {from} ")),
            "{text}: {checked:?}"
        );
    }
    assert_eq!(
        said("#cloud-config\nhostname: a\n", Wanted::Any, None),
        "a node's configuration"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>, text in "[a-z_:{}\\[\\], \n'\"#&*!-]{0,80}") {
        for wanted in [Wanted::Any, Wanted::Native, Wanted::K3os] {
            let _ = check("f", &bytes, wanted, Some(0o777));
            let _ = check("f", text.as_bytes(), wanted, Some(0o777));
        }
    }
}
