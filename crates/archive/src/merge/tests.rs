use super::*;
use crate::{Content, Control, Digest, Inode};

/// A package with files `path = content`; `path/` is a folder, `path -> x` a link.
fn deb(name: &str, fields: &str, files: &[&str]) -> UnpackedDeb {
    let mut tree = Tree::new();
    for file in files {
        if let Some((path, target)) = file.split_once(" -> ") {
            tree.symlink(path, target).unwrap();
        } else if let Some(path) = file.strip_suffix('/') {
            tree.mkdir(path, 0o755).unwrap();
        } else {
            tree.write(file, 0o644, name).unwrap();
        }
    }
    let text = format!("Package: {name}\nVersion: 1.0\nArchitecture: amd64\n{fields}");
    UnpackedDeb {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        architecture: "amd64".to_owned(),
        sha256: Digest::of(name),
        control: Control::parse(&text).unwrap(),
        tree,
    }
}

fn text(tree: &Tree, path: &str) -> String {
    match &tree.get(path).unwrap_or_else(|| panic!("no {path}")).kind {
        Kind::File(content) => String::from_utf8(content.read().unwrap()).unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn files_of_old_places_come_into_usr() {
    let old = deb("old", "", &["bin/", "bin/tool", "lib/x/", "lib/x/y"]);
    let new = deb("new", "", &["usr/bin/other"]);
    let tree = merge(&[old, new], &MergeOptions::plain()).unwrap();
    assert_eq!(text(&tree, "usr/bin/tool"), "old");
    assert_eq!(text(&tree, "usr/lib/x/y"), "old");
    assert_eq!(
        tree.get("bin").unwrap().kind,
        Kind::Symlink(b"usr/bin".to_vec())
    );
}

#[test]
fn one_file_of_two_packages_is_a_conflict_unless_one_replaces_the_other() {
    let first = deb("a", "", &["usr/f"]);
    let second = deb("b", "", &["usr/f"]);
    let error = merge(&[first.clone(), second], &MergeOptions::plain()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "packages `a` and `b` both bring `/usr/f`, and neither `Replaces` it"
    );
    for (fields, winner) in [("Replaces: a (<< 2)", "b"), ("Replaces: a (<< 1)", "")] {
        let second = deb("b", fields, &["usr/f"]);
        let merged = merge(&[first.clone(), second], &MergeOptions::unpacked());
        if winner.is_empty() {
            assert!(merged.is_err());
        } else {
            let tree = merged.unwrap();
            assert_eq!(text(&tree, "usr/f"), winner);
            assert!(!text(&tree, "var/lib/dpkg/info/a.list").contains("/usr/f"));
        }
    }
    let replacing = deb("a", "Replaces: b", &["usr/f"]);
    let replaced = deb("b", "", &["usr/f"]);
    let tree = merge(&[replaced, replacing], &MergeOptions::unpacked()).unwrap();
    assert_eq!(text(&tree, "usr/f"), "a");
    assert!(!text(&tree, "var/lib/dpkg/info/b.list").contains("/usr/f"));
}

#[test]
fn a_link_to_a_folder_stands_for_it() {
    let link = deb("a", "", &["usr/real/", "usr/link -> real"]);
    let folder = deb("b", "", &["usr/link/", "usr/link/f"]);
    let tree = merge(&[link, folder], &MergeOptions::plain()).unwrap();
    assert_eq!(text(&tree, "usr/real/f"), "b");
}

#[test]
fn the_database_is_what_dpkg_unpack_would_leave() {
    let mut package = deb(
        "p",
        "Multi-Arch: same\nDescription: short\n long\n .\n more",
        &["etc/p.conf", "usr/q"],
    );
    let files = &mut package.control.files;
    files.insert("postinst".into(), (0o755, b"#!/bin/sh\n".to_vec()));
    files.insert("conffiles".into(), (0o644, b"/etc/p.conf\n".to_vec()));
    files.insert(
        "triggers".into(),
        (
            0o644,
            b"# no\ninterest-noawait /usr/lib/x\ninterest named\nactivate ldconfig\n".to_vec(),
        ),
    );
    let options = MergeOptions::unpacked().provide("linux-initramfs-tool");
    let tree = merge(&[package], &options).unwrap();
    insta::assert_snapshot!(text(&tree, "var/lib/dpkg/status"), @r"
    Package: p
    Status: install ok unpacked
    Version: 1.0
    Architecture: amd64
    Multi-Arch: same
    Description: short
     long
     .
     more
    Conffiles:
     /etc/p.conf newconffile

    Package: lifeboat-provides
    Status: install ok installed
    Priority: optional
    Section: misc
    Maintainer: Lifeboat <root@localhost>
    Architecture: all
    Version: 1
    Provides: linux-initramfs-tool
    Description: what the image itself provides
    ");
    insta::assert_snapshot!(text(&tree, "var/lib/dpkg/info/p:amd64.list"), @r"
    /.
    /etc
    /etc/p.conf
    /usr
    /usr/q
    ");
    assert_eq!(
        text(&tree, "var/lib/dpkg/triggers/File"),
        "/usr/lib/x p:amd64/noawait\n"
    );
    assert_eq!(text(&tree, "var/lib/dpkg/triggers/named"), "p:amd64\n");
    assert!(tree.get("etc/p.conf").is_none());
    assert!(tree.get("etc/p.conf.dpkg-new").is_some());
    assert_eq!(
        tree.get("var/lib/dpkg/info/p:amd64.postinst").unwrap().mode,
        0o755
    );
}

#[test]
fn diversions_and_overrides_are_obeyed_and_recorded() {
    let options = MergeOptions::unpacked()
        .divert(Diversion {
            from: b"usr/bin/x".to_vec(),
            to: b"usr/bin/x.distrib".to_vec(),
            by: "mine".into(),
        })
        .stat_override(StatOverride {
            path: b"usr/bin/x".to_vec(),
            uid: 0,
            gid: 42,
            mode: 0o2755,
        });
    let tree = merge(
        &[
            deb("mine", "", &["bin/y", "usr/bin/x"]),
            deb("other", "", &["usr/bin/x"]),
        ],
        &options,
    )
    .unwrap();
    assert_eq!(text(&tree, "usr/bin/x"), "mine");
    assert_eq!(text(&tree, "usr/bin/x.distrib"), "other");
    assert_eq!(tree.get("usr/bin/x").unwrap().mode, 0o2755);
    assert_eq!(
        text(&tree, "var/lib/dpkg/statoverride"),
        "root #42 2755 /usr/bin/x\n"
    );
}

#[test]
fn hard_links_survive_when_their_first_name_is_left_out() {
    let mut package = deb("p", "", &[]);
    let inode = Inode::new(Kind::File(Content::inline("x")), 0o644);
    package.tree.insert(b"usr/share/doc/a", inode).unwrap();
    package.tree.link(b"usr/b", b"usr/share/doc/a").unwrap();
    package.tree.link(b"usr/c", b"usr/share/doc/a").unwrap();
    let options = MergeOptions::plain().exclude("/usr/share/doc/*");
    let tree = merge(&[package], &options).unwrap();
    assert!(tree.get("usr/share/doc/a").is_none());
    assert_eq!(tree.id("usr/b"), tree.id("usr/c"));
}
