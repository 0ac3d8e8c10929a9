//! Debian's own archive, over the network.

use std::{
    sync::atomic::AtomicBool,
    time::{Instant, SystemTime},
};

use lifeboat_archive::{
    Base, Cache, Mirrors, Repository, Request, Silent, Unsolvable, Wishes, resolve,
};

fn cache() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    (folder, cache)
}

fn request(names: &[&str], base: Base) -> Request {
    Request {
        repositories: Repository::debian("trixie"),
        architecture: "amd64".to_owned(),
        wishes: Wishes {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            base,
            ..Wishes::default()
        },
    }
}

#[test]
#[ignore = "network"]
fn a_node_is_resolved_from_debian() {
    let (_folder, cache) = cache();
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let names = [
        "systemd",
        "linux-image-cloud-amd64",
        "openssh-server",
        "nftables",
    ];
    let request = request(&names, Base::Required);
    let run = || {
        let start = Instant::now();
        let set = resolve(
            &cache,
            &request,
            &mirrors,
            &Silent,
            &AtomicBool::new(false),
            SystemTime::now(),
        )
        .unwrap();
        println!(
            "{} packages, {} bytes, {:?}",
            set.packages.len(),
            set.size(),
            start.elapsed()
        );
        set
    };
    let set = run();
    for name in names {
        assert!(set.package(name).is_some(), "{name}");
    }
    for name in ["libc6", "dpkg", "bash", "tzdata"] {
        assert!(set.package(name).is_some(), "{name}");
    }
    assert!(set.package("initramfs-tools").is_none() || set.packages.len() < 250);
    assert_eq!(set, run(), "the same state gives the same lock");
    for package in &set.packages {
        println!("{} {}", package.name, package.version);
    }
    let mut unknown = request.clone();
    unknown.wishes.names = vec!["open-sshserver".to_owned()];
    let error = resolve(
        &cache,
        &unknown,
        &mirrors,
        &Silent,
        &AtomicBool::new(false),
        SystemTime::now(),
    )
    .unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `openssh-server`?");
    assert!(matches!(
        error,
        lifeboat_archive::ResolveError::Unsolvable(Unsolvable::Unknown { .. })
    ));
}
