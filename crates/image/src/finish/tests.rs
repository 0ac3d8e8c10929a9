use std::collections::BTreeMap;

use lifeboat_archive::{Content, Kind, Tree};

use super::*;

const STATUS: &str =
    "Package: systemd\nStatus: install ok installed\nVersion: 257\nArchitecture: amd64\n";

fn base() -> Tree {
    let mut tree = Tree::new();
    for (path, text) in [
        ("boot/vmlinuz-6.1", "MZ"),
        ("boot/config-6.1", "CONFIG_CGROUPS=y"),
        ("boot/System.map-6.1", "x"),
        ("usr/lib/systemd/boot/efi/linuxx64.efi.stub", "MZ"),
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "MZ"),
        ("usr/lib/os-release", "ID=debian\nIMAGE_VERSION=0\n"),
        ("usr/bin/crun", "ELF"),
        ("usr/share/doc/systemd/copyright", "LGPL"),
        ("usr/share/doc/systemd/changelog.gz", "x"),
        ("usr/share/man/man1/ls.1.gz", "x"),
        ("var/lib/dpkg/status", STATUS),
        ("var/lib/dpkg/info/systemd.list", "/usr"),
        ("var/lib/dpkg/info/systemd.postinst", "#!"),
        ("var/lib/systemd/catalog/database", "x"),
        ("var/lib/pam/with space%", "x"),
        ("var/cache/debconf/config.dat", "x"),
        ("var/log/dpkg.log", "x"),
        ("root/.profile", "x"),
        (
            "usr/lib/tmpfiles.d/var.conf",
            "# x\nd /var/log 0755 - - -\n",
        ),
        ("etc/machine-id", "0123"),
        ("etc/ssh/ssh_host_ed25519_key", "secret"),
        (
            "usr/lib/systemd/system/ssh.service",
            "[Install]\nWantedBy=multi-user.target\n",
        ),
        (
            "usr/lib/systemd/system/chrony.service",
            "[Unit]\nWantedBy=no\n[Install]\nAlias=chronyd.service\nWantedBy=a.target b.target\n",
        ),
    ] {
        tree.write(path, 0o644, text).unwrap();
    }
    let wants = "etc/systemd/system/multi-user.target.wants";
    for unit in ["ssh.service", "apparmor.service"] {
        tree.symlink(
            format!("{wants}/{unit}"),
            format!("/usr/lib/systemd/system/{unit}"),
        )
        .unwrap();
    }
    tree.symlink("var/run", "/run").unwrap();
    tree
}

fn node_files() -> Tree {
    let mut tree = Tree::new();
    let unit = "[Install]\nWantedBy=multi-user.target\n";
    tree.write(
        "usr/lib/systemd/system/lifeboat-provision.service",
        0o644,
        unit,
    )
    .unwrap();
    tree
}

fn finished(base: &Tree, units: &Units) -> Result<Root, FinishError> {
    let mut files = Tree::new();
    files.write("etc/motd", 0o644, "hello").unwrap();
    finish(
        base,
        &Additions {
            version: "1.2.3",
            program: Content::inline("ELF"),
            node_files: &node_files(),
            files: Some(&files),
            public_keys: &BTreeMap::from([("user.pub".to_owned(), b"key".to_vec())]),
            units,
            time: 1_700_000_000,
        },
    )
}

fn text(tree: &Tree, path: &str) -> String {
    match tree.get(path).map(|inode| &inode.kind) {
        Some(Kind::File(content)) => String::from_utf8(content.read().unwrap()).unwrap(),
        Some(Kind::Symlink(target)) => format!("-> {}", String::from_utf8_lossy(target)),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_finished_root_has_what_a_node_needs_and_nothing_else() {
    let root = finished(&base(), &Units::default()).unwrap();
    let list: Vec<_> = root
        .tree
        .iter()
        .filter(|(_, _, inode)| inode.kind != Kind::Directory)
        .filter(|(path, ..)| !path.starts_with(b"etc/systemd/system/"))
        .map(|(path, ..)| String::from_utf8_lossy(path))
        .collect();
    insta::assert_snapshot!(list.join("\n"), @r"
    boot/config-6.1
    etc/.updated
    etc/machine-id
    etc/motd
    etc/mtab
    usr/bin/containerd
    usr/bin/containerd-shim-runc-v2
    usr/bin/crun
    usr/bin/ctr
    usr/bin/kubeadm
    usr/bin/kubectl
    usr/bin/kubelet
    usr/bin/lifeboat
    usr/lib/lifeboat/keys/user.pub
    usr/lib/os-release
    usr/lib/sysimage/catalog/database
    usr/lib/sysimage/dpkg/info/systemd.list
    usr/lib/sysimage/dpkg/status
    usr/lib/systemd/boot/efi/linuxx64.efi.stub
    usr/lib/systemd/boot/efi/systemd-bootx64.efi
    usr/lib/systemd/system/chrony.service
    usr/lib/systemd/system/lifeboat-provision.service
    usr/lib/systemd/system/ssh.service
    usr/lib/tmpfiles.d/lifeboat-var.conf
    usr/lib/tmpfiles.d/var.conf
    usr/share/doc/systemd/copyright
    usr/share/factory/root/.profile
    usr/share/factory/var/lib/pam/with space%
    ");
    assert_eq!(root.kernel, "6.1");
    assert_eq!(root.packages.0.len(), 1);
    assert_eq!(
        text(&root.tree, "usr/lib/os-release"),
        "ID=debian\nIMAGE_ID=lifeboat\nIMAGE_VERSION=1.2.3\n"
    );
    assert_eq!(text(&root.tree, "etc/machine-id"), "");
    assert_eq!(text(&root.tree, "usr/bin/crun"), "ELF");
    insta::assert_snapshot!(text(&root.tree, "usr/lib/tmpfiles.d/lifeboat-var.conf"), @r"
    # What packages keep in /var; see tmpfiles.d(5).
    C /root/.profile 0644 0 0 - /usr/share/factory/root/.profile
    d /var/cache 0755 0 0 -
    d /var/cache/debconf 0755 0 0 -
    d /var/lib 0755 0 0 -
    L /var/lib/dpkg - - - - /usr/lib/sysimage/dpkg
    d /var/lib/pam 0755 0 0 -
    C /var/lib/pam/with\x20space%% 0644 0 0 - /usr/share/factory/var/lib/pam/with\x20space%%
    d /var/lib/systemd 0755 0 0 -
    L /var/lib/systemd/catalog - - - - /usr/lib/sysimage/catalog
    L /var/run - - - - /run
    ");
    assert_eq!(root.tree.get("var").map(|inode| inode.mode), Some(0o755));
    assert_eq!(root.tree.children(b"var").count(), 0);
    assert!(
        root.tree
            .iter()
            .all(|(_, _, inode)| inode.mtime == 1_700_000_000)
    );
}

#[test]
fn units_are_enabled_disabled_and_masked() {
    let units = Units {
        enable: vec!["chrony.service".into()],
        disable: vec!["ssh.service".into()],
        mask: vec!["getty@tty1.service".into()],
    };
    let tree = finished(&base(), &units).unwrap().tree;
    let folder = "etc/systemd/system";
    let link = "-> /usr/lib/systemd/system/chrony.service";
    assert_eq!(text(&tree, &format!("{folder}/chronyd.service")), link);
    assert_eq!(
        text(&tree, &format!("{folder}/b.target.wants/chrony.service")),
        link
    );
    assert!(
        tree.get(format!("{folder}/no.wants/chrony.service"))
            .is_none()
    );
    assert!(
        tree.get(format!("{folder}/multi-user.target.wants/ssh.service"))
            .is_none()
    );
    assert!(
        tree.get(format!("{folder}/multi-user.target.wants/apparmor.service"))
            .is_none()
    );
    assert!(
        tree.get(format!(
            "{folder}/multi-user.target.wants/lifeboat-provision.service"
        ))
        .is_some()
    );
    for unit in ["getty@tty1.service", "apparmor.service"] {
        assert_eq!(text(&tree, &format!("{folder}/{unit}")), "-> /dev/null");
    }
    let units = Units {
        enable: vec!["nothing.service".into()],
        ..Units::default()
    };
    assert!(
        matches!(finished(&base(), &units), Err(FinishError::Unit(unit)) if unit == "nothing.service")
    );
}

#[test]
fn files_of_the_user_win_or_are_refused() {
    let finished = |path: &str| {
        let mut files = Tree::new();
        files
            .write(path, 0o644, "[Install]\nWantedBy=multi-user.target\n")
            .unwrap();
        finish(
            &base(),
            &Additions {
                version: "1",
                program: Content::inline("ELF"),
                node_files: &node_files(),
                files: Some(&files),
                public_keys: &BTreeMap::new(),
                units: &Units::default(),
                time: 1_700_000_000,
            },
        )
    };
    // What a rule masks is theirs if they bring it, and a home folder is filled at boot.
    let tree = finished("etc/systemd/system/apparmor.service")
        .unwrap()
        .tree;
    assert!(text(&tree, "etc/systemd/system/apparmor.service").starts_with("[Install]"));
    let tree = finished("home/user/.profile").unwrap().tree;
    let list = text(&tree, "usr/lib/tmpfiles.d/lifeboat-var.conf");
    assert!(
        list.contains("C /home/user/.profile 0644 0 0 - /usr/share/factory/home/user/.profile\n")
    );
    let error = finished("tmp/x/y").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`/tmp/x` cannot be a file of the image"),
        "{error}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let mut two = base();
    two.write("boot/vmlinuz-6.2", 0o644, "MZ").unwrap();
    assert!(matches!(
        finished(&two, &Units::default()),
        Err(FinishError::Kernels(_))
    ));
    let mut none = base();
    none.remove("usr/lib/systemd/boot");
    let error = finished(&none, &Units::default()).unwrap_err();
    assert!(error.to_string().contains("linuxx64.efi.stub"), "{error}");
    assert!(error.to_string().contains("systemd-boot-efi"), "{error}");
}
