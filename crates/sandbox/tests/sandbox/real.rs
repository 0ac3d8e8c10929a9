//! With Debian's own packages.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::{Instant, SystemTime},
};

use lifeboat_archive::{
    Base, Cache, DebFile, Digest, MergeOptions, Mirrors, Repository, Request, Silent, UnpackedDeb,
    Wishes, download, merge, resolve, unpack,
};
use lifeboat_sandbox::{ConfigureError, ToolsTree, configure};

use crate::{HELPER, is_root, set_helper};

const TOOLS: [&str; 6] = [
    "qemu-system-x86",
    "qemu-utils",
    "erofs-utils",
    "e2fsprogs",
    "openssh-client",
    "passt",
];
const NODE: [&str; 24] = [
    "ca-certificates",
    "conntrack",
    "crun",
    "dbus",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "less",
    "linux-image-cloud-amd64",
    "login",
    "mount",
    "nano",
    "nftables",
    "openssh-server",
    "passwd",
    "procps",
    "socat",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
    "util-linux",
];

fn packages(cache: &Cache, names: &[&str], base: Base) -> Vec<UnpackedDeb> {
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let cancel = AtomicBool::new(false);
    let request = Request {
        repositories: Repository::debian("trixie"),
        architecture: "amd64".to_owned(),
        wishes: Wishes {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            base,
            ..Wishes::default()
        },
    };
    let set = resolve(
        cache,
        &request,
        &mirrors,
        &Silent,
        &cancel,
        SystemTime::now(),
    )
    .unwrap();
    let paths = download(cache, &set, &mirrors, &Silent, &cancel).unwrap();
    let debs: Vec<DebFile> = paths
        .into_iter()
        .map(|(package, path)| DebFile {
            path,
            sha256: package.sha256,
            name: format!("{}_{}", package.name, package.version),
        })
        .collect();
    let start = Instant::now();
    let unpacked = unpack(cache, &debs, &Silent, &cancel).unwrap();
    println!("{} packages unpacked in {:?}", debs.len(), start.elapsed());
    unpacked
}

#[test]
#[ignore = "network"]
fn tools_of_another_release_run_on_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let tools = ToolsTree::materialise(&cache, &packages(&cache, &TOOLS, Base::None)).unwrap();
    for (program, argument, says) in [
        (
            "qemu-system-x86_64",
            "--version",
            "QEMU emulator version 10.",
        ),
        ("qemu-img", "--version", "qemu-img version 10."),
        ("mkfs.erofs", "--version", "1.8"),
        ("mkfs.ext4", "-V", "mke2fs 1.47"),
        ("ssh", "-V", "OpenSSH_10"),
    ] {
        let output = tools.command(program).arg(argument).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(
            output.status.success() && text.contains(says),
            "{program}: {text}"
        );
    }
    // What a tool starts is the host's, with the host's libraries. The shell keeps the pipe to
    // ssh open until all is written: when it closes, ssh ends what it started.
    let output = tools
        .command("ssh")
        .args(["-F", "none", "-o", "ProxyCommand=sh -c 'env >&2; true'"])
        .args(["nobody@localhost", "true"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("PATH=") && !text.contains("LD_LIBRARY_PATH"),
        "{text}"
    );
    // QEMU finds its firmware and starts its machine.
    let mut machine = tools
        .command("qemu-system-x86_64")
        .args(["-accel", "tcg", "-display", "none", "-serial", "none"])
        .args(["-S", "-device", "virtio-net-pci", "-monitor", "stdio"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut monitor = machine.stdin.take().unwrap();
    // It refuses to start by itself, so a pipe that is closed is no failure of the test.
    let _ = monitor.write_all(b"quit\n");
    let output = machine.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let error = tools.command("no-such-program").output().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
#[ignore = "network"]
fn a_node_is_configured_to_the_same_bytes_each_time() {
    set_helper();
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let unpacked = packages(&cache, &NODE, Base::Required);
    let options = MergeOptions::unpacked()
        .provide("linux-initramfs-tool")
        .exclude("/usr/share/doc/*")
        .exclude("/usr/share/man/*")
        .exclude("/usr/share/locale/*");
    let tree = merge(&unpacked, &options).unwrap();
    let mut results = Vec::new();
    for key in ["first", "second"] {
        let start = Instant::now();
        let configured = configure(&cache, &tree, &Digest::of(key)).unwrap();
        println!(
            "{} paths configured in {:?}",
            configured.len(),
            start.elapsed()
        );
        results.push(configured);
    }
    let mut digests: Vec<Digest> = std::fs::read_dir(cache.root().join("derived/base"))
        .unwrap()
        .map(|entry| Digest::of_file(&entry.unwrap().path()).unwrap().0)
        .collect();
    digests.dedup();
    assert_eq!(digests.len(), 1);

    let node = &results[0];
    for path in [
        "usr/lib/systemd/systemd",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
    ] {
        assert!(node.get(path).is_some(), "{path}");
    }
    for path in [
        "etc/ssh/ssh_host_ed25519_key",
        "usr/sbin/policy-rc.d",
        "dev/null",
    ] {
        assert!(node.get(path).is_none(), "{path}");
    }
    assert_eq!(node.get("etc/shadow").unwrap().gid, 42);
    assert!(node.iter().all(|(path, ..)| !path.ends_with(b".dpkg-new")));

    // A host's dpkg takes the database for its own.
    let info = folder.path().join("dpkg");
    let mut database = lifeboat_archive::Tree::new();
    for path in node.descendants(b"var/lib/dpkg") {
        let inode = node.get(path).unwrap().clone();
        database.insert(path, inode).unwrap();
    }
    lifeboat_sandbox::materialise(&database, &info, lifeboat_sandbox::Ownership::Ignore).unwrap();
    match Command::new("dpkg")
        .arg("--admindir")
        .arg(info.join("var/lib/dpkg"))
        .arg("--audit")
        .output()
    {
        Ok(output) => assert_eq!(String::from_utf8(output.stdout).unwrap(), ""),
        Err(_) => eprintln!("no dpkg here to ask"),
    }
}

/// The digest of a small system's configured tree.
fn small_system(cache: &Cache) -> Digest {
    let names = ["systemd-sysv", "dbus", "openssh-server"];
    let unpacked = packages(cache, &names, Base::Required);
    let tree = merge(&unpacked, &MergeOptions::unpacked()).unwrap();
    let start = Instant::now();
    configure(cache, &tree, &Digest::of("small")).unwrap();
    println!("configured in {:?}", start.elapsed());
    let mut made = std::fs::read_dir(cache.root().join("derived/base")).unwrap();
    Digest::of_file(&made.next().unwrap().unwrap().path())
        .unwrap()
        .0
}

#[test]
#[ignore = "network"]
fn every_user_configures_to_the_same_bytes() {
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    const FOLDER: &str = "LIFEBOAT_TEST_FOLDER";
    const NOBODY: u32 = 65534;
    set_helper();
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        let cache = Cache::open(folder.join("cache")).unwrap();
        std::fs::write(folder.join("digest"), small_system(&cache).to_string()).unwrap();
        return;
    }
    if !is_root() {
        eprintln!("skipped: needs root, to become somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), everybody).unwrap();
    // This test again, as a user who has no ids but their own.
    let (test, helper) = (folder.path().join("test"), folder.path().join("helper"));
    std::fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    std::fs::copy(crate::built_helper(), &helper).unwrap();
    let name = "real::every_user_configures_to_the_same_bytes";
    let status = Command::new(&test)
        .args(["--include-ignored", "--exact", name, "--nocapture"])
        .env(FOLDER, folder.path())
        .env(HELPER, &helper)
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .status()
        .unwrap();
    assert!(status.success());
    let theirs = std::fs::read_to_string(folder.path().join("digest")).unwrap();
    let cache = Cache::open(folder.path().join("own")).unwrap();
    assert_eq!(theirs, small_system(&cache).to_string());
}

#[test]
#[ignore = "network"]
fn a_failing_script_is_named_with_its_last_lines() {
    set_helper();
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let mut unpacked = packages(&cache, &["kmod"], Base::Required);
    let kmod = unpacked.iter_mut().find(|deb| deb.name == "kmod").unwrap();
    let script = b"#!/bin/sh\necho the pump is broken\nexit 3\n".to_vec();
    kmod.control
        .files
        .insert("postinst".to_owned(), (0o755, script));
    let tree = merge(&unpacked, &MergeOptions::unpacked()).unwrap();
    let error = configure(&cache, &tree, &Digest::of("broken")).unwrap_err();
    let ConfigureError::Package {
        package, output, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(package, "kmod");
    assert!(
        output.contains("the pump is broken") && output.contains("exit status 3"),
        "{output}"
    );
    let made = std::fs::read_dir(cache.root().join("derived/base")).unwrap();
    assert_eq!(made.count(), 0);
}
