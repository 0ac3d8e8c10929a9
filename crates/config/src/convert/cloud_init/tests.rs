use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::convert::{Entry, Format};

fn convert(text: &str) -> Converted {
    crate::convert::convert(Format::CloudInit, "user-data", text.as_bytes())
}

/// Paths and statuses.
fn said(converted: &Converted) -> Vec<(&str, Status)> {
    let entries = converted.report.iter();
    entries
        .map(|entry| (entry.path.as_str(), entry.status))
        .collect()
}

fn entry<'a>(converted: &'a Converted, path: &str, status: Status) -> &'a Entry {
    converted
        .report
        .iter()
        .find(|entry| entry.path == path && entry.status == status)
        .unwrap_or_else(|| panic!("no {status} {path} in {:#?}", converted.report))
}

#[test]
fn the_schema_is_of_its_notation() {
    let shapes = Shapes::parse(include_str!("schema.txt")).unwrap();
    let keys: Vec<&str> = shapes.keys().collect();
    assert!(keys.len() > 99, "{}", keys.len());
    let mut unique = keys.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), keys.len());
}

#[test]
fn each_known_key_has_a_word_of_its_own() {
    for key in schema().keys() {
        // The shape does not matter: a value of the wrong type is said to be so.
        let converted = convert(&format!("#cloud-config\n{key}: {{x: y}}\n"));
        assert!(
            !converted
                .report
                .iter()
                .any(|entry| entry.message.contains("unknown key") && entry.path == key),
            "{key}"
        );
        assert!(!converted.report.is_empty(), "{key}");
    }
}

#[test]
fn usual_keys_are_translated() {
    let converted = convert(
        "#cloud-config\nhostname: Node1.example.com\nssh_authorized_keys: [ssh-ed25519 AAAA a@b]\nssh_import_id: [gh:me, lp:you]\nbootcmd: [echo boot]\nruncmd:\n- [systemctl, restart, a b]\n- ~\n- echo done\ntimezone: Europe/Berlin\nlocale: de_DE.UTF-8\nntp: {enabled: true, servers: [ntp1.example.com], pools: [pool.example.com]}\nswap: {filename: /swap, size: 2G}\nmounts:\n- [sdb1, /data, ext4, 'defaults,noatime', '0', '2']\n- [ephemeral0, /mnt]\nwrite_files:\n- {path: x//y, content: hi, permissions: '755', owner: 'root:root'}\n",
    );
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "hostname": "node1",
            "ssh_authorized_keys": ["ssh-ed25519 AAAA a@b", "github:me"],
            "boot_cmd": ["echo boot"],
            "run_cmd": ["systemctl restart 'a b'", "echo done"],
            "timezone": "Europe/Berlin",
            "locale": "de_DE.UTF-8",
            "ntp_servers": ["ntp1.example.com", "pool.example.com"],
            "swap": [{"path": "/var/lib/swapfile", "size": "2GiB"}],
            "mounts": [{"what": "/dev/sdb1", "where": "/data", "type": "ext4", "options": ["noatime"]}],
            "write_files": [{"path": "/x/y", "content": "hi", "permissions": "0755", "owner": "root:root"}],
        })
    );
    assert!(!converted.is_invalid());
    let import = entry(&converted, "ssh_import_id.1", Status::Unsupported);
    assert!(import.message.contains("launchpad.net/~you"));
    assert_eq!((import.line, import.column), (Some(4), Some(24)));
}

#[test]
fn the_result_is_a_strict_node_configuration() {
    let converted = convert(
        "#cloud-config\nfqdn: n1.example.com\nusers:\n- {name: ops, sudo: 'ALL=(ALL) NOPASSWD:ALL', groups: sudo, homedir: /home/o, gecos: Op}\n- eve\ngroups: [staff]\nwrite_files:\n- {path: /a, content: aGk=, encoding: b64, permissions: '0o600'}\n- {path: /b, content: !!binary /w==}\n- {path: /c}\nruncmd: ['echo hi', [a, 'b c']]\nmounts: [[LABEL=data, /data, auto, 'defaults,nofail'], [swap0, none, swap]]\nswap: {size: 512M}\ntimezone: Europe/Berlin\nlocale: C.UTF-8\nntp: {pools: [pool.ntp.org]}\nmanage_resolv_conf: true\nresolv_conf: {nameservers: [10.0.0.1]}\n",
    );
    let yaml = converted.yaml();
    if let Err(findings) = crate::parse_node("node.yaml", yaml.as_bytes()) {
        panic!("{findings}\n{yaml}");
    }
    assert_eq!(converted.node["hostname"], "n1");
    assert_eq!(converted.node["write_files"][1]["encoding"], "base64");
}

#[test]
fn users_keep_keys_groups_and_rules_and_no_clear_password() {
    let converted = convert(
        "#cloud-config\nusers:\n- default\n- name: ops\n  groups: [sudo, adm]\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  shell: /bin/bash\n  lock_passwd: false\n  hashed_passwd: $6$abc$def\n  ssh-authorized-keys: [ssh-rsa AAAA b]\n  uid: '1500'\n- name: eve\n  plain_text_passwd: hunter2\n  passwd: $6$abc$def\n- {name: a, snapuser: b}\ngroups: [staff, {admins: [ops, nobody]}]\nchpasswd:\n  users:\n  - {name: root, password: $6$x$y, type: hash}\n  - {name: eve, password: hunter2, type: text}\n  - {name: ops}\n",
    );
    let users = &converted.node["users"];
    assert_eq!(
        users[0],
        json!({"name": "ops", "groups": ["sudo", "adm", "admins"], "sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/bash", "password": "$6$abc$def", "ssh_authorized_keys": ["ssh-rsa AAAA b"], "uid": 1500})
    );
    assert_eq!(users[1], json!({"name": "eve"}));
    assert_eq!(converted.node["password"], "$6$x$y");
    assert_eq!(
        converted.node["groups"],
        json!([{"name": "staff"}, {"name": "admins"}])
    );
    entry(&converted, "users.0", Status::Unsupported);
    let old = entry(&converted, "users.1.ssh-authorized-keys", Status::Obsolete);
    assert!(old.message.contains("18.3") && old.message.contains("ssh_authorized_keys"));
    entry(&converted, "users.1.uid", Status::Obsolete);
    entry(&converted, "users.2.plain_text_passwd", Status::Unsupported);
    entry(&converted, "users.2.passwd", Status::Unsupported);
    entry(&converted, "chpasswd.users.1", Status::Unsupported);
    entry(&converted, "chpasswd.users.2", Status::Invalid);
    entry(&converted, "groups.1.admins.1", Status::Unsupported);
    let all = format!("{:?} {:?}", converted.report, converted.node);
    assert!(!all.contains("hunter2"));
}

#[test]
fn all_errors_of_the_schema_are_named_at_their_places() {
    let converted = convert(
        "#cloud-config\nhostname: [a, b]\nruncmd: echo hi\nbootcmd: [[1, x], 5]\nwrite_files:\n- {content: x, permissions: 0644}\npower_state: {mode: sleep}\nntp: {servers: [a, a]}\nusers:\n- {shell: /bin/sh}\n- {name: x, expiredate: 2030-01-02}\nswap: {size: 12 apples}\nmounts: [[a, b, c, d, 0, 2]]\nlocale: 3\nreporting: {x: {type: webhook, endpoint: a}, y: {}}\n",
    );
    let invalid: Vec<&str> = said(&converted)
        .into_iter()
        .filter(|(_, status)| *status == Status::Invalid)
        .map(|(path, _)| path)
        .collect();
    for path in [
        "hostname",
        "runcmd",
        "bootcmd.0.0",
        "bootcmd.1",
        "write_files.0",
        "write_files.0.permissions",
        "power_state.mode",
        "ntp.servers",
        "users.0",
        "users.1.expiredate",
        "swap.size",
        "mounts.0.4",
        "mounts.0.5",
        "locale",
        "reporting.y",
    ] {
        assert!(invalid.contains(&path), "{path} in {invalid:?}");
    }
    assert_eq!(invalid.len(), 15, "{invalid:?}");
    let mode = entry(&converted, "write_files.0.permissions", Status::Invalid);
    assert_eq!(
        mode.message,
        "must be text, found an integer; put it in quotes"
    );
    assert_eq!((mode.line, mode.column), (Some(6), Some(29)));
}

#[test]
fn unknown_and_deprecated_keys_are_named() {
    let converted = convert(
        "#cloud-config\nhost_name: x\nca-certs: {remove-defaults: true, trusted: [x]}\napt_update: true\nchpasswd: {list: 'root:RANDOM'}\nmanage_etc_hosts: template\ncoreos:\n  units: [{name: a.service, command: start, content: '[Service]'}]\n  update: {group: stable}\nstages: {boot: []}\nnetwork: {version: 2}\napt_proxy: http://p\n",
    );
    let near = entry(&converted, "host_name", Status::Unsupported);
    assert!(near.message.contains("\"hostname\""), "{}", near.message);
    for (path, word) in [
        ("ca-certs", "ca_certs"),
        ("ca-certs.remove-defaults", "remove_defaults"),
        ("apt_update", "package_update"),
        ("chpasswd.list", "users"),
        ("manage_etc_hosts", "true"),
        ("coreos", "Ignition"),
        ("coreos.update", "images of Lifeboat"),
        ("apt_proxy", "apt.proxy"),
    ] {
        let entry = entry(&converted, path, Status::Obsolete);
        assert!(entry.message.contains(word), "{entry:?}");
    }
    let stages = entry(&converted, "stages", Status::Unsupported);
    assert!(stages.message.contains("Kairos"));
    entry(&converted, "network", Status::Unsupported);
    assert_eq!(
        converted.node["systemd"]["units"][0],
        json!({"name": "a.service", "enabled": true, "contents": "[Service]"})
    );
    assert!(!converted.is_invalid());
}

#[test]
fn the_first_line_decides() {
    for good in [
        "#cloud-config\nhostname: a\n",
        "\u{feff}#cloud-config  \r\nhostname: a\r\n",
        "## template: jinja\n#cloud-config\nhostname: a\n",
        "##template:jinja\n#cloud-config\nhostname: a\n",
    ] {
        assert_eq!(convert(good).node["hostname"], "a", "{good}");
    }
    assert_eq!(convert("#cloud-config\n").report, []);
    for (bad, word) in [
        ("", "ignores"),
        ("hostname: a\n#cloud-config\n", "ignores"),
        ("\n#cloud-config\nhostname: a\n", "ignores"),
        ("# cloud-config\nhostname: a\n", "blank"),
        ("#cloud-config of mine\nhostname: a\n", "follow"),
        ("#cloud-config-archive\n- x\n", "archive"),
        ("#!/bin/sh\necho hi\n", "script"),
        ("#include\nhttps://example.com\n", "fetched"),
        ("#cloud-boothook\nx\n", "boothook"),
        ("#part-handler\nx\n", "cloud-init itself"),
        ("## template: jinja\nhostname: a\n", "template"),
        ("#cloud-config\n- a\n", "mapping"),
        ("#cloud-config\nhostname: [\n", "YAML"),
    ] {
        let converted = convert(bad);
        assert_eq!(said(&converted), [(".", Status::Invalid)], "{bad}");
        assert!(
            converted.report[0].message.contains(word),
            "{:?}",
            converted.report
        );
    }
}

#[test]
fn templates_cost_the_values_that_hold_them() {
    let converted = convert(
        "## template: jinja\n#cloud-config\nhostname: {{ ds.meta_data.hostname }}\nruncmd:\n- echo {{ v1.region }}\n- echo b\n- |\n  {% if x %}\n  a\n  {% endif %}\n{% if v1.distro == 'x' %}\ntimezone: UTC\n{% endif %}\nwrite_files:\n- {path: /a, content: '{{ x }}'}\n- path: /b\n  content: c\nlocale: C.UTF-8\n{# nothing #}\n",
    );
    for path in [
        "hostname",
        "runcmd.0",
        "runcmd.2",
        "timezone",
        "write_files.0",
    ] {
        entry(&converted, path, Status::Unsupported);
    }
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({"run_cmd": ["echo b"], "write_files": [{"path": "/b", "content": "c"}], "locale": "C.UTF-8"})
    );
    let region = entry(&converted, "runcmd.0", Status::Unsupported);
    assert_eq!((region.line, region.column), (Some(5), Some(3)));
    let open =
        convert("## template: jinja\n#cloud-config\na: [{% for x in y %}{{ x }}, {% endfor %}\n");
    assert_eq!(said(&open), [(".", Status::Unsupported)]);
}

#[test]
fn parts_are_numbered_and_merged() {
    let message = "From: a@b\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"=b=\"\n\npreamble\n--=b=\nContent-Type: text/cloud-config\n\n#cloud-config\nhostname: one\nruncmd: [echo a]\ntimezone: UTC\n--=b=\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmluL3NoCmVjaG8gaGkK\n--=b=\nContent-Type: multipart/mixed; boundary=inner\n\n--inner\nContent-Type: text/cloud-config\nMerge-Type: list(append)+dict(no_replace,recurse_list)+str()\n\nruncmd: [echo b]\nhostname: two\n--inner--\n--=b=\nContent-Type: text/plain\n\n#cloud-config\nhostname: [\n--=b=\nContent-Type: text/x-include-url\n\nhttps://example.com\n--=b=--\n";
    let converted = convert(message);
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "write_files": [{"path": "/var/lib/lifeboat/scripts/part-002", "permissions": "0700", "content": "#!/bin/sh\necho hi\n"}],
            "run_cmd": [
                "test -e /var/lib/lifeboat/scripts/part-002.done || { touch /var/lib/lifeboat/scripts/part-002.done; /var/lib/lifeboat/scripts/part-002; }",
                "echo a",
                "echo b",
            ],
            "hostname": "one",
            "timezone": "UTC",
        })
    );
    entry(&converted, "line.6", Status::Unsupported);
    let name = entry(&converted, "part.0.hostname", Status::Translated);
    assert_eq!((name.line, name.column), (Some(11), Some(1)));
    assert_eq!(entry(&converted, "part.1", Status::Translated).line, None);
    let lost = entry(&converted, "part.2.hostname", Status::Unsupported);
    assert!(lost.message.contains("merge"));
    let broken = entry(&converted, "part.3", Status::Invalid);
    assert!(broken.line.is_some_and(|line| line > 30), "{broken:?}");
    entry(&converted, "part.4", Status::Unsupported);
}

#[test]
fn a_later_part_replaces_and_says_so() {
    let part = |text: &str| format!("--b\nContent-Type: text/cloud-config\n\n{text}\n");
    let message = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}{}{}--b--\n",
        part("#cloud-config\nruncmd: [a]\nhostname: x"),
        part("runcmd: [b]\nmerge_how: strange"),
        part("runcmd: [c]"),
    );
    let converted = convert(&message);
    assert_eq!(converted.node["run_cmd"], json!(["c"]));
    entry(&converted, "part.0.runcmd", Status::Unsupported);
    entry(&converted, "part.1.merge_how", Status::Invalid);
    entry(&converted, "part.2.runcmd.0", Status::Translated);
}

#[test]
fn lines_may_end_as_in_mail() {
    let converted = convert(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh\r\necho a\r\n--b\r\nContent-Type: text/cloud-config; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nruncmd: [echo =E9=\r\n]\r\n--b--\r\n",
    );
    assert_eq!(
        converted.node["write_files"][0]["content"],
        "#!/bin/sh\necho a"
    );
    assert_eq!(converted.node["run_cmd"][1], "echo é");
}

#[test]
fn packed_input_is_unpacked() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"#cloud-config\nhostname: a\n").unwrap();
    let mut bytes = packed.finish().unwrap();
    let read = |bytes: &[u8]| crate::convert::convert(Format::CloudInit, "x", bytes);
    assert_eq!(read(&bytes).node["hostname"], "a");
    bytes.truncate(bytes.len() - 9);
    assert!(read(&bytes).is_invalid());
    let zeros = vec![0; 20 << 20];
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&zeros).unwrap();
    assert!(read(&bomb.finish().unwrap()).is_invalid());
}

#[test]
fn hostile_messages_end_with_a_fault() {
    let mut deep = "MIME-Version: 1.0\n".to_owned();
    for level in 0..50 {
        write!(
            deep,
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        )
        .unwrap();
    }
    let many = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}",
        "--b\n\nx\n".repeat(5000)
    );
    let headers = format!("MIME-Version: 1.0\n{}", "A: b\n".repeat(50_000));
    for text in [
        &deep,
        &many,
        &headers,
        "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\nx",
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\nx",
    ] {
        let converted = convert(text);
        assert_eq!(said(&converted), [(".", Status::Invalid)], "{text:.60}");
    }
    let wide = format!(
        "#cloud-config\napt:\n  debconf_selections:\n    {}: [{}]\n",
        "k".repeat(100_000),
        "1,".repeat(50_000)
    );
    assert_eq!(said(&convert(&wide)), [(".", Status::Invalid)]);
    let long = format!("#cloud-config\nruncmd: [{}]\n", "a,".repeat(200_000));
    assert_eq!(said(&convert(&long)), [(".", Status::Invalid)]);
    let part = format!(
        "--b\nContent-Type: text/cloud-config\n\nruncmd: [{}]\n",
        "a,".repeat(30_000)
    );
    let parts = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
        part.repeat(5)
    );
    let converted = convert(&parts);
    entry(&converted, "part.4", Status::Invalid);
    entry(&converted, "part.2.runcmd.0", Status::Translated);
}

/// The rule of the report: every value has an entry at or above its path.
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

fn any_yaml() -> impl Strategy<Value = String> {
    let keys: Vec<String> = schema().keys().map(str::to_owned).collect();
    let inner: Vec<String> = include_str!("schema.txt")
        .lines()
        .filter_map(|line| line.trim().split(' ').next())
        .map(|key| key.trim_end_matches('!').to_owned())
        .filter(|key| !key.starts_with(['$', '#']) && !key.is_empty())
        .collect();
    let leaf = prop_oneof![
        "[a-z/]{0,6}".prop_map(|text| format!("'{text}'")),
        Just("true".to_owned()),
        Just("3".to_owned()),
        Just("~".to_owned()),
        Just("2030-01-01".to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |below| {
        let keys = prop::sample::select(inner.clone());
        prop_oneof![
            prop::collection::vec(below.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((keys, below), 0..4).prop_map(|entries| {
                let mut seen = std::collections::HashSet::new();
                let entries: Vec<String> = entries
                    .into_iter()
                    .filter(|(key, _)| seen.insert(key.clone()))
                    .map(|(key, value)| format!("'{key}': {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    });
    prop::collection::hash_map(prop::sample::select(keys), value, 0..6).prop_map(|entries| {
        let lines = entries
            .into_iter()
            .map(|(key, value)| format!("'{key}': {value}\n"));
        lines.collect()
    })
}

proptest! {
    #[test]
    fn any_bytes_are_converted_or_refused(bytes: Vec<u8>) {
        let _ = crate::convert::convert(Format::CloudInit, "x", &bytes);
    }

    #[test]
    fn any_message_is_converted_or_refused(text in "(--b|--|=[0-9A-F]{2}|=\n|Content-Type: |multipart/mixed; |boundary=b|boundary=\"b|text/cloud-config|\n|\n\n|#cloud-config\n|[a-z]: [a-z]|\r\n| ){0,40}") {
        let text = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{text}");
        let _ = convert(&text);
    }

    #[test]
    fn any_template_is_converted_or_refused(text in "(\\{\\{|\\}\\}|\\{%|%\\}|if |endif|\\{#|#\\}|[a-z]: |[a-z]|\n|  |- |\\||é){0,40}") {
        let _ = convert(&format!("## template: jinja\n#cloud-config\n{text}"));
    }

    #[test]
    fn no_value_vanishes_from_the_report(text in any_yaml()) {
        let text = format!("#cloud-config\n{text}");
        let converted = convert(&text);
        let value = crate::yaml::legacy::read(text.as_bytes(), Dialect::Python).unwrap();
        prop_assert_eq!(covered(&converted, "", &value), Ok(()));
    }

    #[test]
    fn no_value_vanishes_from_a_message(one in any_yaml(), two in any_yaml(), how in "(merge_how: 'list\\((append|prepend|)\\)\\+dict\\((replace|recurse_array|no_replace|)\\)'\n)?") {
        let part = |text: &str| format!("--b\nContent-Type: text/cloud-config\n\n#cloud-config\n{text}\n");
        let message = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{}{}--b--\n", part(&one), part(&format!("{two}{how}")));
        let converted = convert(&message);
        for (number, text) in [(0, one), (1, format!("{two}{how}"))] {
            let text = format!("#cloud-config\n{text}");
            let value = crate::yaml::legacy::read(text.as_bytes(), Dialect::Python).unwrap();
            if matches!(value.data, Data::Map(_)) && !said(&converted).contains(&(".", Status::Invalid)) {
                prop_assert_eq!(covered(&converted, &format!("part.{number}"), &value), Ok(()));
            }
        }
    }
}

#[test]
fn items_are_named_and_empty_mappings_are_wrong() {
    let converted = convert(
        "#cloud-config\nchpasswd: {list: ['a:b', 5], users: [{name: x, type: y}]}\nyum_repos: {}\nsnap: {commands: {}, assertions: {}}\napt: {debconf_selections: {}}\ncloud_init_modules: [[a, 1]]\n",
    );
    let mut invalid: Vec<&str> = said(&converted)
        .into_iter()
        .filter(|(_, status)| *status == Status::Invalid)
        .map(|(path, _)| path)
        .collect();
    invalid.sort_unstable();
    // A wrong item is named once for itself and once for its key.
    invalid.dedup();
    assert_eq!(
        invalid,
        [
            "apt.debconf_selections",
            "chpasswd.list.1",
            "chpasswd.users.0",
            "chpasswd.users.0.type",
            "snap.assertions",
            "snap.commands",
            "yum_repos",
        ]
    );
    let old = entry(&converted, "chpasswd.list", Status::Obsolete);
    assert!(old.message.ends_with("use users"), "{}", old.message);
}
