use super::{
    Bench, Ending, check,
    images::{Names, Width, fat, iso},
};

const DATA: &str = "#cloud-config\nk3os: {token: s3cret}\n";
const METADATA: &str = "instance-id: i-1\nlocal-hostname: n1\npublic-keys:\n- ssh-ed25519 AAAA a\n- ssh-ed25519 BBBB b\n";

fn seed() -> [(&'static str, &'static [u8]); 3] {
    [
        ("user-data", DATA.as_bytes()),
        ("meta-data", METADATA.as_bytes()),
        ("network-config", b"version: 2\nethernets: {eth0: {}}\n"),
    ]
}

#[test]
fn seeds_are_read_from_volumes() {
    let images = [
        ("sr0", iso("cidata", &seed(), Names::Both)),
        ("vdb", fat("CIDATA", &seed(), Width::Fat12)),
        ("sdb1", fat("cidata", &seed(), Width::Fat16)),
    ];
    for (name, image) in images {
        for source in ["nocloud", "cdrom"] {
            let bench = Bench::new().device("vda", &[0; 4096]).device(name, &image);
            check(&bench, &bench.run(&[source]), source, DATA);
            assert_eq!(
                bench.got("network-config").unwrap(),
                "version: 2\nethernets: {eth0: {}}\n"
            );
        }
    }
}

#[test]
fn a_cdrom_needs_no_label_and_may_have_a_config_only() {
    let image = iso("K3OS", &[("config", DATA.as_bytes())], Names::RockRidge);
    let bench = Bench::new().device("sr1", &image);
    let outcome = bench.run(&["cdrom"]);
    assert_eq!(outcome.failures().count(), 0);
    assert_eq!(bench.got("userdata").as_deref(), Some(DATA));
    // A disk does.
    let bench = Bench::new().device("vdb", &image);
    assert_eq!(bench.run(&["cdrom", "nocloud"]).provider, None);
}

#[test]
fn a_broken_seed_keeps_the_rest() {
    let files: [(&str, &[u8]); 2] = [("user-data", DATA.as_bytes()), ("meta-data", b"a: [")];
    let bench = Bench::new().device("sr0", &iso("cidata", &files, Names::Both));
    let outcome = bench.run(&["nocloud"]);
    assert_eq!(outcome.failures().count(), 1);
    assert_eq!(bench.got("userdata").as_deref(), Some(DATA));
}

#[test]
fn a_seed_folder_and_a_file_are_read_below_the_root_only() {
    let bench = Bench::new();
    let folder = bench.root().join("var/lib/cloud/seed/nocloud");
    fs_err::create_dir_all(&folder).unwrap();
    for (name, content) in seed() {
        fs_err::write(folder.join(name), content).unwrap();
    }
    check(&bench, &bench.run(&["nocloud"]), "nocloud", DATA);
    let outcome = bench.run(&["file=/var/lib/cloud/seed/nocloud/user-data"]);
    assert_eq!(outcome.provider.as_deref(), Some("file"));
    // What the source does not have does not stay from the one before.
    assert_eq!(bench.got("ssh/authorized_keys"), None);
    assert_eq!(bench.got("local_hostname"), None);
    assert_eq!(bench.got("userdata").as_deref(), Some(DATA));

    let secret = bench.environment.system.join("secret");
    fs_err::write(&secret, "outside").unwrap();
    std::os::unix::fs::symlink(&secret, bench.root().join("link")).unwrap();
    for path in ["file=/../system/secret", "file=/link", "file=/none"] {
        assert_eq!(bench.run(&[path]).provider, None, "{path}");
    }
    assert_eq!(bench.run(&["file=/var"]).steps[0].ending, Ending::Failed);
}

#[test]
fn the_host_hands_data_in() {
    let fw_cfg = "sys/firmware/qemu_fw_cfg/by_name/opt";
    let bench = Bench::new()
        .file(&format!("{fw_cfg}/lifeboat/user-data/raw"), DATA.as_bytes())
        .file(
            &format!("{fw_cfg}/io.systemd.credentials/lifeboat.meta-data/raw"),
            METADATA.as_bytes(),
        );
    check(&bench, &bench.run(&["smbios", "fw_cfg"]), "fw_cfg", DATA);
    let mut raw = vec![11, 5, 0, 0, 2];
    for string in [
        "other",
        "io.systemd.credential.binary:lifeboat.user-data=I2Nsb3VkLWNvbmZpZwprM29zOiB7dG9rZW46IHMzY3JldH0K",
        "io.systemd.credential.binary:lifeboat.meta-data=aW5zdGFuY2UtaWQ6IGktMQpsb2NhbC1ob3N0bmFtZTogbjEKcHVibGljLWtleXM6Ci0gc3NoLWVkMjU1MTkgQUFBQSBhCi0gc3NoLWVkMjU1MTkgQkJCQiBiCg==",
    ] {
        raw.extend(string.bytes());
        raw.push(0);
    }
    raw.push(0);
    let bench = Bench::new().file("sys/firmware/dmi/entries/11-0/raw", &raw);
    check(&bench, &bench.run(&["fw_cfg", "smbios"]), "smbios", DATA);
}

fn tool(bench: Bench, name: &str, script: &str) -> Bench {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = bench.file(
        &format!("usr/bin/{name}"),
        format!("#!/bin/sh\n{script}").as_bytes(),
    );
    let path = bench.environment.system.join("usr/bin").join(name);
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

#[test]
fn guestinfo_is_read_by_the_tools_of_vmware() {
    let script = |value: &str| {
        format!(
            "case \"{value}\" in\n\
             'info-get guestinfo.metadata') echo aW5zdGFuY2UtaWQ6IGktMQpsb2NhbC1ob3N0bmFtZTogbjEKcHVibGljLWtleXM6Ci0gc3NoLWVkMjU1MTkgQUFBQSBhCi0gc3NoLWVkMjU1MTkgQkJCQiBiCm5ldHdvcms6IHZlcnNpb246IDIK;;\n\
             'info-get guestinfo.metadata.encoding') echo base64;;\n\
             'info-get guestinfo.userdata') printf '%s' \"$DATA\";;\n\
             *) echo 'No value found' >&2; exit 1;;\nesac\n"
        )
    };
    // The last line of that metadata is no YAML: the keys are lost, the user data is not.
    let bench = Bench::new().dmi("sys_vendor", "VMware, Inc.");
    let bench = tool(
        bench,
        "vmware-rpctool",
        &format!("DATA='{DATA}'\n{}", script("$1")),
    );
    let outcome = bench.run(&["vmware"]);
    assert_eq!(outcome.failures().count(), 1, "{outcome:#?}");
    assert_eq!(bench.got("userdata").as_deref(), Some(DATA));

    let script = format!(
        "[ \"$1\" = --cmd ] || exit 2\ncase \"$2\" in\n\
         'info-get guestinfo.metadata') printf '%s' '{{\"instance-id\": \"i-1\", \"local-hostname\": \"n1\", \"public-keys\": [\"ssh-ed25519 AAAA a\", \"ssh-ed25519 BBBB b\"], \"network\": \"dmVyc2lvbjogMgpldGhlcm5ldHM6IHtldGgwOiB7fX0K\", \"network.encoding\": \"base64\"}}';;\n\
         'info-get guestinfo.userdata') printf '%s' '{}';;\n\
         'info-get guestinfo.userdata.encoding') echo gzip+base64;;\n\
         *) exit 1;;\nesac\n",
        // gzip and base64 of DATA
        packed()
    );
    let bench = tool(Bench::new(), "vmtoolsd", &script);
    check(&bench, &bench.run(&["guestinfo"]), "vmware", DATA);
    assert_eq!(
        bench.got("network-config").unwrap(),
        "version: 2\nethernets: {eth0: {}}\n"
    );

    let bench = Bench::new().dmi("sys_vendor", "VMware, Inc.");
    let outcome = bench.run(&["vmware"]);
    assert!(
        outcome.steps[0].message.contains("open-vm-tools"),
        "{outcome:#?}"
    );
    assert_eq!(outcome.steps[0].ending, Ending::Failed);
}

fn packed() -> String {
    use std::io::Write as _;

    use base64::Engine as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(DATA.as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(packer.finish().unwrap())
}

#[test]
fn a_bad_name_costs_itself_only() {
    let bench = Bench::new().device("sr0", &iso("cidata", &seed(), Names::Both));
    let outcome = bench.run(&["nimbus", "cdrm", "aws:v9", "cdrom", "file=/etc/hosts"]);
    assert_eq!(outcome.provider.as_deref(), Some("cdrom"));
    let messages: Vec<_> = outcome
        .failures()
        .map(|step| step.message.as_str())
        .collect();
    assert_eq!(messages.len(), 3);
    assert!(messages[1].contains("did you mean `cdrom`"), "{messages:?}");
    assert_eq!(bench.got("provider").unwrap(), "cdrom\n");
    // An empty list asks for nothing.
    assert!(Bench::new().run(&[]).steps.is_empty());
}
