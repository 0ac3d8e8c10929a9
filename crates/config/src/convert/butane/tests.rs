use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::{Converted, Format, Status, convert};

fn butane(text: &str) -> Converted {
    convert(Format::Butane, "config.bu", text.as_bytes())
}

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

fn says(converted: &Converted, path: &str, status: Status, part: &str) -> bool {
    converted
        .report
        .iter()
        .any(|entry| entry.path == path && entry.status == status && entry.message.contains(part))
}

#[test]
fn the_usual_sections() {
    let converted = butane(
        "variant: fcos\nversion: 1.5.0\npasswd:\n  users:\n  - name: core\n    ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq a]\nstorage:\n  files:\n  - path: /etc/hostname\n    mode: 0644\n    contents: {inline: node1}\n  - path: /opt/run.sh\n    mode: 0755\n    contents:\n      inline: |\n        #!/bin/sh\n        echo hi\n  - path: /b\n    mode: 644\n    contents: {local: b.txt}\n  - path: /c\n    mode: 644\n    contents: {inline: c}\n  filesystems:\n  - {device: /dev/vdb, path: /var/data, format: xfs, mount_options: [noatime], with_mount_unit: true}\n  - {device: /dev/vdc, format: swap, with_mount_unit: yes}\n  trees: [{local: x}]\nkernel_arguments:\n  should_exist: [a=b]\n",
    );
    assert!(!converted.is_invalid(), "{:#?}", converted.report);
    assert_eq!(
        Json::Object(converted.node.clone()),
        json!({
            "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq a"],
            "hostname": "node1",
            "write_files": [
                {"path": "/opt/run.sh", "content": "#!/bin/sh\necho hi\n", "owner": "root:root", "permissions": "0755"},
                {"path": "/c", "content": "c", "owner": "root:root", "permissions": "0204"},
            ],
            "mounts": [{"what": "/dev/vdb", "where": "/var/data", "type": "xfs", "options": ["noatime"]}],
            "swap": [{"device": "/dev/vdc"}],
            "kernel_args": ["a=b"],
        })
    );
    assert_eq!(
        paths(&converted, Status::Unsupported),
        [
            "storage.files.2",
            "storage.files.2.contents.local",
            "storage.files.2.mode",
            "storage.filesystems.0",
            "storage.filesystems.1",
            "storage.trees.0",
        ]
    );
    assert!(says(
        &converted,
        "storage.files.3.mode",
        Status::Translated,
        "write 0644"
    ));
}

#[test]
fn variants_and_versions() {
    for (text, path) in [
        ("version: 1.5.0\n", "variant"),
        ("", "variant"),
        ("variant: fcs\nversion: 1.0.0\n", "variant"),
        ("variant: rhcos\nversion: 0.1.0\n", "variant"),
        ("variant: fcos\n", "version"),
        ("variant: fcos\nversion: 1.5\n", "version"),
        ("variant: fcos\nversion: 9.9.0\n", "version"),
        ("- a\n", "."),
        ("variant: [\n", "."),
    ] {
        assert_eq!(paths(&butane(text), Status::Invalid), [path], "{text}");
    }
    assert!(says(
        &butane("variant: fcs\nversion: 1.0.0\n"),
        "variant",
        Status::Invalid,
        "\"fcos\""
    ));
    let newer = butane(
        "variant: fcos\nversion: 1.2.0\nboot_device: {layout: x86_64}\nkernel_arguments: {should_exist: [a]}\n",
    );
    assert_eq!(
        paths(&newer, Status::Unsupported),
        ["boot_device", "kernel_arguments"]
    );
    for (text, path) in [
        (
            "variant: flatcar\nversion: 1.1.0\nstorage: {luks: [{name: a, device: /dev/a, clevis: {tpm2: true}}]}\n",
            "storage.luks.0.clevis",
        ),
        (
            "variant: r4e\nversion: 1.1.0\nstorage: {disks: [{device: /dev/a}]}\n",
            "storage.disks",
        ),
        (
            "variant: openshift\nversion: 4.14.0\nmetadata: {name: x, labels: {machineconfiguration.openshift.io/role: worker}}\npasswd: {users: [{name: core, shell: /bin/sh}]}\n",
            "passwd.users.0.shell",
        ),
    ] {
        assert_eq!(paths(&butane(text), Status::Invalid), [path], "{text}");
    }
}

#[test]
fn rules() {
    let converted = butane(
        "variant: fcos\nversion: 1.7.0\nboot_device: {mirror: {devices: [/dev/a]}}\ngrub: {users: [{name: x}]}\nstorage:\n  files:\n  - {path: /a, mode: \"0644\", contents: {inline: a, source: \"data:,b\"}}\n  - {path: b, overwrite: true, bogus: 1}\n  filesystems:\n  - {device: /dev/a, path: /srv, with_mount_unit: true}\n  disks:\n  - {device: /dev/a, partitions: [{label: \"a:b\", size_mib: 1}, {label: root, number: 4, size_mib: 100, start_mib: x}]}\nsystemd:\n  units:\n  - {name: a.service, contents: \"[A]\\nB=c\\n\", contents_local: x}\n",
    );
    assert_eq!(
        paths(&converted, Status::Invalid),
        [
            "boot_device.mirror",
            "boot_device.mirror.devices",
            "grub.users.0.password_hash",
            "storage.disks.0.partitions.0.label",
            "storage.disks.0.partitions.1.start_mib",
            "storage.files.0.contents.source",
            "storage.files.0.mode",
            "storage.files.1.overwrite",
            "storage.files.1.path",
            "storage.filesystems.0.format",
            "storage.filesystems.0.path",
            "systemd.units.0.contents_local",
        ]
    );
    assert!(says(
        &converted,
        "storage.files.1.bogus",
        Status::Unsupported,
        "unknown key"
    ));
    assert!(says(
        &converted,
        "storage.disks.0.partitions.0.number",
        Status::Unsupported,
        "number"
    ));
    let twice = butane("variant: fcos\nversion: 1.5.0\nsystemd: {}\nsystemd: {}\n");
    assert_eq!(paths(&twice, Status::Invalid), ["systemd"]);
}

#[test]
fn container_linux_config() {
    let converted = butane(
        "etcd: {name: a}\nlocksmith: {reboot_strategy: etcd-lock}\nstorage:\n  files:\n  - path: /etc/x\n    filesystem: root\n    contents: {inline: hi}\n",
    );
    assert!(says(
        &converted,
        "variant",
        Status::Invalid,
        "Container Linux Config"
    ));
    assert_eq!(
        paths(&converted, Status::Obsolete),
        ["etcd", "locksmith", "storage.files.0.filesystem"]
    );
    assert_eq!(paths(&converted, Status::Unsupported), ["storage"]);
}

#[test]
fn arguments_of_a_machine_config() {
    let converted = butane(
        "variant: openshift\nversion: 4.13.0\nmetadata: {name: x, labels: {machineconfiguration.openshift.io/role: worker}}\nopenshift: {kernel_arguments: [a], fips: true}\n",
    );
    assert_eq!(converted.node["kernel_args"], json!(["a"]));
    assert_eq!(
        paths(&converted, Status::Unsupported),
        ["metadata", "openshift.fips"]
    );
    assert_eq!(paths(&converted, Status::Invalid), Vec::<&str>::new());
}

proptest! {
    #[test]
    fn any_lines_end_well(lines in prop::collection::vec(
        "(  ){0,3}(- )?(storage|files|path|mode|contents|inline|units|name|trees|grub|users)?:?( (0644|x|/a|\\[|\\{|&a|\\*a))?", 0..20)
    ) {
        let text = format!("variant: fcos\nversion: 1.6.0\n{}\n", lines.join("\n"));
        let converted = butane(&text);
        prop_assert!(!converted.report.is_empty());
    }
}

#[test]
fn repeated_servers_null_items_and_users_of_grub() {
    let converted = butane(
        "variant: fcos\nversion: 1.5.0\nboot_device: {luks: {tang: [{url: 'http://x', thumbprint: a}, {url: 'http://x', thumbprint: b}]}}\nstorage: {files: [~, {path: b}]}\n",
    );
    assert_eq!(
        paths(&converted, Status::Invalid),
        ["boot_device.luks.tang.1", "storage.files.1.path"]
    );
    let converted = butane(
        "variant: openshift\nversion: 4.14.0\nmetadata: {name: a, labels: {machineconfiguration.openshift.io/role: worker}}\ngrub: {users: [{name: a, password_hash: b}]}\n",
    );
    assert_eq!(paths(&converted, Status::Invalid), ["grub.users"]);
}
