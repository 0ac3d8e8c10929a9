use serde_json::{Value as Json, json};

use super::super::{Converted, Format, Status, convert};

pub(super) fn ignition(json: &Json) -> Converted {
    convert(Format::Ignition, "config.ign", json.to_string().as_bytes())
}

fn spec(minor: u8, rest: Json) -> Converted {
    let mut json = json!({"ignition": {"version": format!("3.{minor}.0")}});
    merge(&mut json, rest);
    ignition(&json)
}

fn merge(into: &mut Json, from: Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The paths of entries with a status, in order.
fn paths(converted: &Converted, status: Status) -> Vec<&str> {
    let mut paths: Vec<&str> = converted
        .report
        .iter()
        .filter(|entry| entry.status == status)
        .map(|entry| entry.path.as_str())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[track_caller]
fn invalid(minor: u8, rest: Json, expected: &[&str]) {
    let converted = spec(minor, rest);
    assert_eq!(
        paths(&converted, Status::Invalid),
        expected,
        "{:#?}",
        converted.report
    );
}

fn says(converted: &Converted, path: &str, status: Status, part: &str) -> bool {
    converted
        .report
        .iter()
        .any(|entry| entry.path == path && entry.status == status && entry.message.contains(part))
}

#[test]
fn files_become_write_files() {
    let converted = spec(
        4,
        json!({"storage": {"files": [
            {"path": "/etc/motd", "mode": 420, "contents": {"source": "data:,100%25%0A"}},
            {"path": "/etc/bin", "mode": 384, "contents": {"source": "data:;base64,AAEC/w=="}},
            {"path": "/z", "user": {"name": "core"}, "group": {"id": 7}, "contents": {
                "compression": "gzip",
                "source": "data:;base64,H4sIAAAAAAAC/8tIzcnJ5wIAIDA6NgYAAAA="}},
            {"path": "/both", "contents": {"source": "data:,a"}, "append": [{"source": "data:,b"}]},
            {"path": "/etc/hostname", "contents": {"source": "data:,node1%0A"}},
        ]}}),
    );
    assert!(!converted.is_invalid(), "{:#?}", converted.report);
    assert_eq!(
        Json::Object(converted.node),
        json!({
            "write_files": [
                {"path": "/etc/motd", "content": "100%\n", "owner": "root:root", "permissions": "0644"},
                {"path": "/etc/bin", "encoding": "base64", "content": "AAEC/w==", "owner": "root:root", "permissions": "0600"},
                {"path": "/z", "encoding": "gzip+base64", "content": "H4sIAAAAAAAC/8tIzcnJ5wIAIDA6NgYAAAA=", "owner": "1000:7", "permissions": "0644"},
                {"path": "/both", "content": "ab", "owner": "root:root", "permissions": "0644"},
            ],
            "hostname": "node1",
        })
    );
}

#[test]
fn hashes_are_of_the_unpacked_data() {
    let packed = |hash: &str| {
        spec(
            4,
            json!({"storage": {"files": [{"path": "/z", "contents": {
                "compression": "gzip",
                "source": "data:;base64,H4sIAAAAAAAC/8tIzcnJ5wIAIDA6NgYAAAA=",
                "verification": {"hash": format!("sha256-{hash}")}}}]}}),
        )
    };
    // Of "hello\n".
    let right = packed("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert!(
        right.node.contains_key("write_files"),
        "{:#?}",
        right.report
    );
    let wrong = packed(&"0".repeat(64));
    assert!(!wrong.node.contains_key("write_files"));
    assert!(says(
        &wrong,
        "storage.files.0.contents.verification.hash",
        Status::Unsupported,
        "Ignition would fail"
    ));
}

#[test]
fn modes_by_version() {
    let file = |minor, mode: i64| {
        spec(
            minor,
            json!({"storage": {"files": [{"path": "/a", "mode": mode, "contents": {"source": "data:,x"}}]}}),
        )
    };
    let permissions =
        |converted: &Converted| converted.node["write_files"][0]["permissions"].clone();
    let decimal = file(5, 644);
    assert_eq!(permissions(&decimal), "0204");
    assert!(says(
        &decimal,
        "storage.files.0.mode",
        Status::Translated,
        "write 420 if octal 644 is meant"
    ));
    assert_eq!(permissions(&file(6, 0o4755)), "4755");
    assert_eq!(permissions(&file(5, 0o4755)), "0755");
    let directory = |minor| {
        let converted = spec(
            minor,
            json!({"storage": {"directories": [{"path": "/d d", "mode": 0o1777}]}}),
        );
        converted.node["boot_cmd"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(directory(3), "install -d -m 0777 -o root -g root -- '/d d'");
    assert_eq!(directory(4), "install -d -m 1777 -o root -g root -- '/d d'");
    invalid(
        6,
        json!({"storage": {"files": [{"path": "/a", "mode": 4096}, {"path": "/b", "mode": -1}]}}),
        &["storage.files.0.mode", "storage.files.1.mode"],
    );
}

#[test]
fn accounts() {
    let converted = spec(
        2,
        json!({"passwd": {
        "groups": [{"name": "ops", "gid": 1200}],
        "users": [
            {"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq a"], "shell": "/bin/zsh", "passwordHash": "$6$salt$hash"},
            {"name": "ops", "uid": 1100, "passwordHash": "$6$salt$hash", "groups": ["adm"], "homeDir": "/home/ops", "noCreateHome": true},
            {"name": "gone", "shouldExist": false},
        ]}}),
    );
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "groups": [{"name": "ops", "gid": 1200}],
            "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq a"],
            "password": "$6$salt$hash",
            "users": [{"name": "ops", "uid": 1100, "password": "$6$salt$hash", "groups": ["adm"], "home": "/home/ops"}],
        })
    );
    assert_eq!(
        paths(&converted, Status::Unsupported),
        [
            "passwd.users.0.shell",
            "passwd.users.1.noCreateHome",
            "passwd.users.2"
        ]
    );
    assert!(
        converted
            .report
            .iter()
            .all(|entry| !entry.message.contains("$6$"))
    );
}

#[test]
fn units_and_links() {
    let converted = spec(
        5,
        json!({
            "systemd": {"units": [
                {"name": "a.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n"},
                {"name": "sshd.service", "dropins": [{"name": "10-x.conf", "contents": "[Service]\nA=b\n"}, {"name": "e.conf"}]},
                {"name": "rpcbind.service", "mask": true},
                {"name": "t@.service", "contents": "[Service]\nA=b\n"},
                {"name": "t@x.service", "enabled": true},
            ]},
            "storage": {"links": [
                {"path": "/etc/localtime", "target": "../usr/share/zoneinfo/Europe/Berlin"},
                {"path": "/etc/x", "target": "/etc/it's"},
            ]},
        }),
    );
    assert_eq!(
        converted.node["systemd"]["units"],
        json!([
            {"name": "a.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n"},
            {"name": "sshd.service", "dropins": [{"name": "10-x.conf", "contents": "[Service]\nA=b\n"}]},
            {"name": "rpcbind.service", "mask": true},
            {"name": "t@.service", "contents": "[Service]\nA=b\n"},
            {"name": "t@x.service", "enabled": true},
        ])
    );
    assert_eq!(converted.node["timezone"], "Europe/Berlin");
    assert_eq!(
        converted.node["boot_cmd"],
        json!(["mkdir -p -- /etc && ln -sfT -- '/etc/it'\\''s' /etc/x"])
    );
    for path in ["systemd.units.0.contents", "systemd.units.4.contents"] {
        assert!(
            says(&converted, path, Status::Translated, "[Install]"),
            "{path}"
        );
    }
}

#[test]
fn versions() {
    let version = |text: Json| {
        let converted = ignition(&json!({"ignition": {"version": text}}));
        let entry = converted.report[0].clone();
        assert_eq!(entry.path, "ignition.version");
        (entry.status, entry.message)
    };
    for minor in 0..=6 {
        assert_eq!(version(json!(format!("3.{minor}.0"))).0, Status::Translated);
    }
    for (text, part) in [
        (json!("2.3.0"), "spec 2"),
        (json!("3.7.0"), "newest"),
        (json!("3.7.0-experimental"), "experimental"),
        (json!("3.4"), "three numbers"),
        (json!("3.4.1"), "no version"),
        (json!(3), "must be text"),
        (json!(null), "missing"),
    ] {
        let (status, message) = version(text);
        assert_eq!(status, Status::Invalid);
        assert!(message.contains(part), "{message}");
    }
    let first = ignition(&json!({"ignitionVersion": 1, "storage": {}}));
    assert!(says(&first, "ignitionVersion", Status::Invalid, "spec 1"));
    assert_eq!(
        paths(&ignition(&json!({})), Status::Invalid),
        ["ignition.version"]
    );
    assert_eq!(paths(&ignition(&json!([])), Status::Invalid), ["."]);
    let cut = convert(Format::Ignition, "x", b"{\"ignition\":\n {\"version\":");
    assert_eq!(
        (cut.report[0].line, cut.report[0].column),
        (Some(2), Some(13))
    );
}

#[test]
fn unknown_and_obsolete_keys() {
    let converted = spec(
        2,
        json!({
            "networkd": {"units": []},
            "ignition": {"config": {"append": [{"source": "x"}]}},
            "kernelArguments": {"shouldExist": ["a"]},
            "Storage": {},
            "passwd": {"users": [{"name": "core", "create": {}, "sshAuthorizedKey": ["x"]}]},
            "systemd": {"units": [{"name": "a.service", "enable": true}]},
            "storage": {
                "files": [{"path": "/a", "filesystem": "root"}],
                "filesystems": [{"device": "/dev/a", "mount": {"device": "x"}}],
                "disks": [{"device": "/dev/b", "partitions": [{"number": 1, "size": 1, "start": 2}]}],
            },
        }),
    );
    assert_eq!(
        paths(&converted, Status::Obsolete),
        [
            "ignition.config.append",
            "networkd",
            "passwd.users.0.create",
            "storage.disks.0.partitions.0.size",
            "storage.disks.0.partitions.0.start",
            "storage.files.0.filesystem",
            "storage.filesystems.0.mount",
            "systemd.units.0.enable",
        ]
    );
    assert!(says(
        &converted,
        "Storage",
        Status::Unsupported,
        "\"storage\""
    ));
    assert!(says(
        &converted,
        "kernelArguments",
        Status::Unsupported,
        "3.3"
    ));
    assert!(says(
        &converted,
        "passwd.users.0.sshAuthorizedKey",
        Status::Unsupported,
        "\"sshAuthorizedKeys\""
    ));
    assert!(!converted.is_invalid());
}

#[test]
fn rules_of_storage() {
    invalid(
        5,
        json!({"storage": {
            "links": [{"path": "/a/l", "target": "/b"}, {"path": "/n"}, {"path": "/h", "target": "/d", "hard": true}],
            "files": [
                {"path": "/a/l/f"}, {"path": "rel"}, {"path": "/x/"}, {"path": ""},
                {"path": "/o", "overwrite": true}, {"path": "/u", "user": {"id": 1, "name": "x"}},
                {"path": "/n"},
            ],
            "directories": [{"path": "/d"}, {"path": "/a/l/d"}],
        }}),
        &[
            "storage.directories.1",
            "storage.files.0",
            "storage.files.1.path",
            "storage.files.2.path",
            "storage.files.3.path",
            "storage.files.4.overwrite",
            "storage.files.5.user",
            "storage.links.1",
            "storage.links.1.target",
            "storage.links.2",
        ],
    );
    // Before spec 3.3 a link's target could be empty.
    invalid(2, json!({"storage": {"links": [{"path": "/n"}]}}), &[]);
    invalid(
        4,
        json!({
            "systemd": {"units": [{"name": "a.service", "contents": "[A]\nB=c\n", "dropins": [{"name": "x.conf", "contents": "[A]\nB=c\n"}]}]},
            "storage": {"files": [{"path": "/etc/systemd/system/a.service"}, {"path": "/etc/systemd/system/a.service.d/x.conf"}]},
        }),
        &["storage.files.0.path", "storage.files.1.path"],
    );
}

#[test]
fn rules_of_resources() {
    invalid(
        5,
        json!({"storage": {"files": [
            {"path": "/a", "contents": {"source": "ftp://x"}},
            {"path": "/b", "contents": {"source": "data:,a b"}},
            {"path": "/c", "contents": {"compression": "xz", "source": "data:,x"}},
            {"path": "/d", "contents": {"verification": {"hash": "sha512-abc"}}},
            {"path": "/e", "contents": {"source": "data:,x", "httpHeaders": [{"name": "", "value": ""}, {"name": ""}]}},
            {"path": "/f", "append": [{"source": "s3://b/k?versionId="}, {"source": "arn:aws:ec2:::b/k"}]},
        ]}, "ignition": {
            "config": {"merge": [{}, {"source": "x"}, {"source": "x"}], "replace": {"source": ":"}},
            "security": {"tls": {"certificateAuthorities": [{"source": ""}]}},
            "proxy": {"httpProxy": "x", "httpsProxy": "http://p", "noProxy": ["a", "a"]},
        }}),
        &[
            "ignition.config.merge.0",
            "ignition.config.merge.1",
            "ignition.config.merge.1.source",
            "ignition.config.merge.2",
            "ignition.config.merge.2.source",
            "ignition.config.replace.source",
            "ignition.proxy.httpProxy",
            "ignition.proxy.noProxy.1",
            "ignition.security.tls.certificateAuthorities.0",
            "storage.files.0.contents.source",
            "storage.files.1.contents.source",
            "storage.files.2.contents.compression",
            "storage.files.3.contents.verification.hash",
            "storage.files.4.contents.httpHeaders",
            "storage.files.4.contents.httpHeaders.0.name",
            "storage.files.4.contents.httpHeaders.0.value",
            "storage.files.4.contents.httpHeaders.1",
            "storage.files.4.contents.httpHeaders.1.name",
            "storage.files.5.append.0.source",
            "storage.files.5.append.1.source",
        ],
    );
    invalid(
        0,
        json!({"storage": {"files": [{"path": "/a", "contents": {"source": "gs://x", "verification": {"hash": format!("sha256-{}", "a".repeat(64))}}}]},
            "ignition": {"config": {"merge": [{}]}, "security": {"tls": {"certificateAuthorities": [{}]}}}}),
        &[
            "ignition.security.tls.certificateAuthorities.0.source",
            "storage.files.0.contents.source",
            "storage.files.0.contents.verification.hash",
        ],
    );
}

#[test]
fn rules_of_disks() {
    invalid(
        5,
        json!({"storage": {
            "disks": [
                {"device": "/dev/a", "partitions": [
                    {"number": 1, "label": "a:b"}, {"number": 1}, {}, {"number": 3, "label": "a:b"},
                    {"number": 5, "startMiB": 10, "sizeMiB": 10}, {"number": 6, "startMiB": 19, "sizeMiB": 1},
                    {"number": 7, "shouldExist": false, "sizeMiB": 1}, {"number": 8, "guid": "x", "typeGuid": ""},
                    {"number": 9, "label": "x".repeat(37)},
                ]},
                {"device": ""}, {"device": "sda"},
            ],
            "raid": [{"name": "x", "level": "raid7", "devices": ["/dev/a", "/dev/a", "b"]}, {"name": "y", "level": "raid0", "spares": 1}, {"name": "z"}],
            "luks": [
                {"name": "a/b", "label": "x".repeat(48)},
                {"name": "c", "device": "/dev/a", "keyFile": {"source": "ftp://x"}, "cex": {"enabled": true}, "clevis": {"tpm2": true, "custom": {"pin": "foo"}}, "openOptions": ["a", "a"]},
                {"name": "d", "device": "/dev/b", "clevis": {"tang": [{"url": "ftp://x", "advertisement": "{"}]}},
            ],
            "filesystems": [
                {"device": "/dev/a", "format": "ext3"}, {"device": "/dev/b", "label": "x"},
                {"device": "/dev/c", "format": "xfs", "label": "1234567890123"}, {"device": "", "path": "x", "format": "none"},
            ],
        }}),
        &[
            "storage.disks.0.partitions.0.label",
            "storage.disks.0.partitions.1",
            "storage.disks.0.partitions.2",
            "storage.disks.0.partitions.3",
            "storage.disks.0.partitions.3.label",
            "storage.disks.0.partitions.5",
            "storage.disks.0.partitions.6",
            "storage.disks.0.partitions.7.guid",
            "storage.disks.0.partitions.8.label",
            "storage.disks.1.device",
            "storage.disks.2.device",
            "storage.filesystems.0.format",
            "storage.filesystems.1.format",
            "storage.filesystems.1.label",
            "storage.filesystems.2.label",
            "storage.filesystems.3.device",
            "storage.filesystems.3.path",
            "storage.luks.0.device",
            "storage.luks.0.label",
            "storage.luks.0.name",
            "storage.luks.1.cex",
            "storage.luks.1.clevis",
            "storage.luks.1.clevis.custom.config",
            "storage.luks.1.clevis.custom.pin",
            "storage.luks.1.keyFile.source",
            "storage.luks.1.keys",
            "storage.luks.1.openOptions.1",
            "storage.luks.2.clevis.tang.0.advertisement",
            "storage.luks.2.clevis.tang.0.thumbprint",
            "storage.luks.2.clevis.tang.0.url",
            "storage.raid.0.devices.1",
            "storage.raid.0.devices.2",
            "storage.raid.0.level",
            "storage.raid.1.devices",
            "storage.raid.1.level",
            "storage.raid.2.devices",
            "storage.raid.2.level",
        ],
    );
    // Pins are not checked from spec 3.6 on.
    let custom = json!({"storage": {"luks": [{"name": "c", "device": "/dev/a", "clevis": {"custom": {"pin": "foo", "config": "x"}}}]}});
    invalid(6, custom.clone(), &[]);
    invalid(5, custom, &["storage.luks.0.clevis.custom.pin"]);
}

#[test]
fn rules_of_units_and_lists() {
    invalid(
        5,
        json!({
            "systemd": {"units": [
                {"name": "a.timerx", "contents": "[A\n"}, {"name": "b.service"}, {"name": "b.service", "dropins": [{"name": "x", "contents": "y=z"}]},
                {"name": "c.service", "contents": "[A]\nB\n"},
            ]},
            "kernelArguments": {"shouldExist": ["a", "a"], "shouldNotExist": ["b", "a"]},
            "passwd": {"users": [{"name": "x", "sshAuthorizedKeys": ["k", "k"], "groups": ["g", "g"]}, {"name": "x"}], "groups": [{"name": "g"}, {"name": "g"}]},
        }),
        &[
            "kernelArguments.shouldExist.1",
            "kernelArguments.shouldNotExist.1",
            "passwd.groups.1",
            "passwd.users.0.groups.1",
            "passwd.users.0.sshAuthorizedKeys.1",
            "passwd.users.1",
            "systemd.units.0.contents",
            "systemd.units.0.name",
            "systemd.units.2",
            "systemd.units.2.dropins.0.name",
            "systemd.units.3.contents",
        ],
    );
}

#[test]
fn wrong_types() {
    invalid(
        5,
        json!({
            "storage": {"files": [{"path": 1, "mode": "0644", "contents": "x", "overwrite": true}], "links": {}, "disks": [null, "x"]},
            "systemd": {"units": [{"name": "a.service", "enabled": "true", "dropins": [1]}]},
            "passwd": [],
        }),
        &[
            "passwd",
            "storage.disks.0.device",
            "storage.disks.1",
            "storage.files.0.contents",
            "storage.files.0.mode",
            "storage.files.0.path",
            "storage.links",
            "systemd.units.0.dropins.0",
            "systemd.units.0.enabled",
        ],
    );
}
