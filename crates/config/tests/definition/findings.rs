//! What a user reads about a file that is wrong.

use lifeboat_config::{
    Severity, definition::known_versions, finding_at, parse, parse_node, parse_node_with_warnings,
};

fn said(text: &str) -> String {
    match parse("lifeboat.yaml", text.as_bytes()) {
        Ok(_) => "fine".to_owned(),
        Err(findings) => findings.to_string(),
    }
}

/// The first lines only, for tables.
fn brief(text: &str) -> Vec<String> {
    match parse("f", text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn all_findings_of_a_file_at_once() {
    insta::assert_snapshot!(said(
        "\
image:
  kubernetes: 1.63
  cni: flanel
  files:
    - path: etc/motd
      mode: 0999
  packages: [htop=1.0, Htop, 7]
hostname: node1
node:
  hostname: 12
  label: {a: 1}
  password: $secret
  token: a b
  taints: [a=b, 'c=d:NoSchedul']
  ssh_authorized_keys: [github:octocat, ssh-ed25519 AAAA]
  environment: {1A: x}
machine:
  memory: 4G
  cpus: 1
  boot: uefi
  ports: [8080:80, 70000, {guest: 1, hst: 2}, {host: 3}]
"
    ));
}

#[test]
fn rules_between_keys() {
    insta::assert_snapshot!(said(
        "\
image:
  runtime: cri-o
  bundles: [cockpit, cokpit, cockpit]
  packages: [cockpit-packagekit]
  files:
    - {path: /etc/x}
    - {path: /etc/y, content: a, source: b}
    - {path: /etc/y, content: a}
    - {path: /var/lib/x, content: a}
  size: {slot: 9GiB}
node:
  labels: {node-role.kubernetes.io/worker: ''}
  taints: ['a=1:NoSchedule', 'a=2:NoSchedule']
  write_files:
    - {path: /etc/z, encoding: base64, content: '***'}
machine:
  memory: 1024
  ports: [8080:80, 8080:81]
"
    ));
}

#[test]
fn broken_yaml() {
    for (text, start) in [
        ("a: b: c\n", "f:1:5: not YAML: "),
        ("image:\n\tkubernetes: 1.36\n", "f:2:"),
        ("image: [a\n", "f:2:1: not YAML: "),
        ("image: {kubernetes: \"1.36}\n", "f:1:"),
        ("{}\n---\n{}\n", "f:2:1: a second document begins here"),
        ("image: *x\n", "f:1:8: not YAML: "),
        ("image: &x [*x]\n", "f:1:12: the alias is inside the value"),
        (
            "image: {}\nimage: {}\n",
            "f:2:1: the key \"image\" is already in line 1",
        ),
        ("? [a]\n: b\n", "f:1:3: a list or mapping cannot be a key"),
        ("image: !x {}\n", "f:1:"),
        ("image: !!int x\n", "f:1:"),
        ("- a\n", "f:1:1: must be a mapping, found a list"),
        (
            "text\n",
            "f:1:1: must be a mapping, found the text \"text\"",
        ),
    ] {
        let found = brief(text);
        assert!(
            found.first().is_some_and(|found| found.starts_with(start)),
            "{text:?}: {found:#?}"
        );
    }
}

/// A source that has every version.
const PACKAGES: &str = "kubernetes_source: {packages: [{url: 'https://example.org/', key: k.asc}]}";

#[test]
fn versions() {
    for (text, resolved) in [
        ("1.36", "1.36.3"),
        ("'1.36'", "1.36.3"),
        ("1.36.1", "1.36.1"),
        ("1.34", "1.34.4"),
    ] {
        let text = format!("image: {{kubernetes: {text}, {PACKAGES}}}");
        let definition = parse("f", text.as_bytes()).unwrap();
        assert_eq!(definition.image.kubernetes.resolved(), resolved);
    }
    assert_eq!(
        brief("image: {kubernetes: 1.35}"),
        [
            "f:1:21: image.kubernetes: 1.35.4 is not among the pinned Go modules; they hold 1.36.3; did you mean \"1.36.3\"?"
        ]
    );
    let pinned = include_str!("../../../../kubernetes/control/go.mod");
    for version in known_versions() {
        if let Some(patch) = version.modules {
            let version = format!("k8s.io/kubernetes v1.{}.{patch}\n", version.minor);
            assert!(pinned.contains(&version), "{version}");
        }
    }
    for (text, near) in [
        ("1.63", Some("1.36")),
        ("v1.36", Some("1.36")),
        ("v1.36.2", Some("1.36.2")),
        ("1.360", Some("1.36")),
        ("1.3", Some("1.34")),
        ("1.36.x", Some("1.36")),
        ("1.36.01", Some("1.36")),
        ("latest", None),
        ("''", None),
        ("1e3", None),
    ] {
        let found = brief(&format!("image: {{kubernetes: {text}}}"));
        let near = near.map(|near| format!("did you mean \"{near}\"?"));
        assert_eq!(found.len(), 1, "{text}");
        assert!(
            near.as_ref().is_none_or(|near| found[0].ends_with(near)),
            "{text}: {found:?}"
        );
        assert!(
            found[0].contains("supported: 1.34, 1.35, 1.36, 1.37"),
            "{text}"
        );
    }
}

#[test]
fn values_taken() {
    for text in [
        "machine: {memory: 4096, disk: 30 GiB}",
        "machine: {memory: 1700Mi, ports: [80, '81:82', {guest: 83}, {host: 84, guest: 85}]}",
        "image: {files: [{path: /etc/x, content: '', mode: 0755, owner: 0}]}",
        "image: {files: [{path: /etc/x, source: x, mode: 0o4755, owner: 'root:adm'}]}",
        "image: {kubernetes_source: modules, runtime: containerd}",
        "image: {kubernetes_source: {packages: [{url: 'https://example.org/deb/', key: k.asc}]}, runtime: cri-o}",
        "image: {bundles: [cockpit, storage, guest], packages: [g++, libc6], kernel: generic, cni: none}",
        "node: {labels: {a: 1, b: true, example.org/c: 1.5, d: ''}, environment: {A: 1, b_: 'x y'}}",
        "node: {sysctls: {vm.max_map_count: 262144, net/ipv4/conf/eth0.100/forwarding: 1}}",
        "node: {hostname: n1.example.org, modules: [zfs, bonding mode=4 miimon=100]}",
        "node: {dns_nameservers: [1.1.1.1, '2606:4700::1111'], ntp_servers: [pool.ntp.org, 192.0.2.1]}",
        "node: {password: '$6$salt$hash.hash/hash'}",
        "node: {taints: ['a:NoExecute', 'example.org/b=c:PreferNoSchedule']}",
        "node: {write_files: [{path: /etc/x, encoding: gz+b64, content: H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==, permissions: '0600', owner: root}]}",
        "node: {write_files: [{path: /etc/x, encoding: b64, content: \"aGVs\n bG8\"}]}",
        "node: {ssh_authorized_keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMpWHCKoVNQz75hfPSZj9yX2UkTVYVCihofAoYK4BM5G me@example', 'restrict,command=\"echo hi\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMpWHCKoVNQz75hfPSZj9yX2UkTVYVCihofAoYK4BM5G']}",
        "node: &n {hostname: a}\nmachine: {cpus: 4}",
        "node: {ssh_authorized_keys: ['github:octocat', 'GitLab:a.b-c', 'https://example.org/keys']}",
        "node: {init_cmd: [a], data_sources: ['aws:imdsv1', gce, 'file=/etc/x', 'nocloud=http://192.0.2.1/seed/'], ssh_keys_exclusive: true}",
        "node: {wifi: [{name: home, passphrase: 'correct horse'}, {name: open}]}",
        "node: {server_url: 'https://n1:6443', token: abcdef.0123456789abcdef, k3s_args: [agent, --v, 3]}",
        "node: {server_url: 'https://[fd00::1]/', k3os: {token: K10ab::server:x, labels: {a: b}}, password: plain}",
        "node: {install: {device: /dev/sda, silent: true, config_url: /x, iso_url: 'tftp://a/b', tty: 'ttyS0,115200'}}",
        "node: {write_files: [{path: /etc/x, encoding: gz, source: {url: 'https://example.org/x', sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}]}",
        "node: {k3os: }",
    ] {
        assert_eq!(brief(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn values_refused() {
    for text in [
        "machine: {memory: 0}",
        "machine: {memory: 4.5}",
        "machine: {memory: -1}",
        "machine: {memory: 99999999999999999999}",
        "machine: {memory: 1500KiB}",
        "machine: {ports: [0]}",
        "machine: {ports: ['80:']}",
        "machine: {ports: ['1:2:3']}",
        "machine: {cpus: '2'}",
        "image: {files: [{path: /etc/../x, content: a}]}",
        "image: {files: [{path: /, content: a}]}",
        "image: {files: [{path: /etc/x, content: a, mode: 0o17777}]}",
        "image: {files: [{path: /etc/x, content: 5}]}",
        "image: {kubernetes_source: {packages: []}}",
        "image: {kubernetes_source: {packages: [{url: 'ftp://x', key: k}]}}",
        "image: {kubernetes_source: {package: []}}",
        "image: {kubernetes_source: packages}",
        "image: {packages: htop}",
        "image: {packages: [null]}",
        "node: {hostname: Node_1}",
        "node: {hostname: -a}",
        "node: {labels: {'a b': c}}",
        "node: {labels: {a: b c}}",
        "node: {labels: {a: [b]}}",
        "node: {labels: {a: }}",
        "node: {environment: {A: \"x\\ny\"}}",
        "node: {sysctls: {'a b': 1}}",
        "node: {modules: ['../x']}",
        "node: {dns_nameservers: [1.1.1]}",
        "node: {ntp_servers: [300.0.0.1]}",
        "node: {run_cmd: ['']}",
        "node: {password: \"$6$a:b$c\"}",
        "node: {password: ''}",
        "node: {ssh_authorized_keys: ['bitbucket:me']}",
        "node: {ssh_authorized_keys: ['github:']}",
        "node: {ssh_authorized_keys: ['https://']}",
        "node: {data_sources: [ovh]}",
        "node: {data_sources: [file]}",
        "node: {data_sources: [aws=x]}",
        "node: {data_sources: ['gcp:imdsv1']}",
        "node: {wifi: [{passphrase: '12345678'}]}",
        "node: {wifi: [{name: a, passphrase: short}]}",
        "node: {wifi: [{name: a, pass: '12345678'}]}",
        "node: {server_url: 'http://n1:6443'}",
        "node: {server_url: n1}",
        "node: {server_url: 'https://n1:6443/path'}",
        "node: {server_url: 'https://n1:0'}",
        "node: {token: ''}",
        "node: {install: {device: sda}}",
        "node: {install: {force-efi: true}}",
        "node: {install: {config_url: 'x y'}}",
        "node: {k3os: {hostname: a}}",
        "node: {k3os: {tokn: a}}",
        "node: {k3os: []}",
        "node: {labels: {a: b}, k3os: {labels: {c: d}}}",
        "node: {write_files: [{path: /etc/x, content: a, source: {url: 'https://example.org/x', sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}]}",
        "node: {write_files: [{path: /etc/x, source: {url: 'https://example.org/x'}}]}",
        "node: {write_files: [{path: /etc/x, encoding: gzip, content: a}]}",
        "cluster: {}",
    ] {
        assert_eq!(brief(text).len(), 1, "{text}: {:?}", brief(text));
    }
}

#[test]
fn a_node_configuration_names_its_own_keys() {
    let findings = parse_node(
        "config.yaml",
        b"hostnam: a\nwifi: [{nam: x}]\nk3os: {token: a b, tokn: x}\n",
    )
    .unwrap_err();
    insta::assert_snapshot!(findings.to_string());
}

#[test]
fn secrets_are_not_repeated() {
    for text in [
        "node: {password: 31337}",
        "node: {password: $hunter31337}",
        "node: {token: 'a 31337'}",
        "node: {token: 31337}",
        "node: {k3os: {token: [31337]}}",
        "node: {wifi: [{name: a, passphrase: x31337}]}",
        "node: {server_url: 'https://a:31337@b'}",
    ] {
        let findings = parse("f", text.as_bytes()).unwrap_err();
        assert!(
            !format!("{findings:?} {findings}").contains("31337"),
            "{findings}"
        );
    }
    for text in [
        "node: {password: $6$salt$hash31337}",
        "node: {password: x31337}",
        "node: {token: x31337, k3s_args: [--token, x31337], wifi: [{name: a, passphrase: xxxx31337}]}",
    ] {
        let definition = parse("f", text.as_bytes()).unwrap();
        assert!(!format!("{definition:?}").contains("31337"));
    }
}

#[test]
fn warnings_keep_a_file_from_nothing() {
    let text = "\
password: hunter31337
k3os:
  token: K10abc31337::server:x
ssh_authorized_keys: ['http://example.org/keys']
write_files:
  - {path: /etc/a, permissions: 0644}
  - {path: /etc/b, permissions: 0o644}
  - {path: /etc/c, permissions: '0644'}
  - {path: /etc/d, permissions: 644}
install: {config_url: 'http://example.org/', iso_url: 'tftp://example.org/x'}
data_sources: ['nocloud=http://example.org/']
";
    assert!(parse_node("f", text.as_bytes()).is_ok());
    let (_, warnings) = parse_node_with_warnings("f", text.as_bytes()).unwrap();
    assert!(warnings.iter().all(|one| one.severity == Severity::Warning));
    assert!(!format!("{warnings:?}").contains("31337"));
    let said: Vec<String> = warnings
        .iter()
        .map(|one| format!("{} {one}", one.code))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    // A file that is refused is told with both.
    let text = format!("{text}hostnam: a\n");
    let findings = parse_node_with_warnings("f", text.as_bytes()).unwrap_err();
    assert_eq!(findings.0.len(), warnings.len() + 1);
    assert_eq!(parse_node("f", text.as_bytes()).unwrap_err().0.len(), 1);
}

#[test]
fn findings_as_json() {
    let findings = parse("f", b"image: {cni: x}").unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&findings).unwrap());
}

#[test]
fn later_findings_have_a_place_too() {
    let text = b"image:\n  packages: [htop, htopp]\n";
    for (path, line, column) in [
        ("image.packages[1]", 2, 20),
        ("image.packages[7]", 2, 13),
        ("image.container_images[0]", 2, 3),
        ("machine.disk", 1, 1),
    ] {
        let finding = finding_at("f", text, path, "no-package", "no such".to_owned(), None);
        assert_eq!((finding.line, finding.column), (line, column), "{path}");
    }
}
