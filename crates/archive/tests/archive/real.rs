//! Debian's own archive, over the network.

use std::{
    io::Read as _,
    path::Path,
    sync::atomic::AtomicBool,
    time::{Instant, SystemTime},
};

use lifeboat_archive::{
    Base, Cache, Digest, LockedSet, Mirrors, Origin, Repository, Request, ResolveError, Silent,
    Universe, Unsolvable, Wishes, download, read_packages, resolve, solve,
};

struct Bench {
    cache: Cache,
    mirrors: Mirrors,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    /// With an empty cache, or the one that `LIFEBOAT_CACHE` names.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
        match std::env::var_os("LIFEBOAT_CACHE") {
            Some(root) => Self {
                cache: Cache::open(root).unwrap(),
                mirrors,
                _folder: None,
            },
            None => Self {
                cache: Cache::open(folder.path()).unwrap(),
                mirrors,
                _folder: Some(folder),
            },
        }
    }

    fn resolve(&self, request: &Request) -> Result<LockedSet, ResolveError> {
        let start = Instant::now();
        let set = resolve(
            &self.cache,
            request,
            &self.mirrors,
            &Silent,
            &AtomicBool::new(false),
            SystemTime::now(),
        )?;
        println!(
            "{} packages, {} bytes, {:?}",
            set.packages.len(),
            set.size(),
            start.elapsed()
        );
        Ok(set)
    }
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

const NODE: [&str; 4] = [
    "systemd",
    "linux-image-cloud-amd64",
    "openssh-server",
    "nftables",
];

#[test]
#[ignore = "network"]
fn a_node_is_resolved_from_debian() {
    let bench = Bench::new();
    let mut request = request(&NODE, Base::Required);
    let set = bench.resolve(&request).unwrap();
    for name in NODE.iter().chain(&["libc6", "dpkg", "bash", "tzdata"]) {
        assert!(set.package(name).is_some(), "{name}");
    }
    let again = bench.resolve(&request).unwrap();
    assert_eq!(set, again, "the same state gives the same lock");

    request.wishes.names = vec!["open-sshserver".to_owned()];
    let error = bench.resolve(&request).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `openssh-server`?");
    let unknown = ResolveError::Unsolvable(Unsolvable::Unknown {
        name: "open-sshserver".to_owned(),
        nearest: Some("openssh-server".to_owned()),
    });
    assert_eq!(error.to_string(), unknown.to_string());

    request.wishes.names = vec!["systemd-sysv".to_owned(), "sysvinit-core".to_owned()];
    let error = bench.resolve(&request).unwrap_err().to_string();
    println!("{error}");
    assert!(error.contains("conflicts with"), "{error}");
}

#[test]
#[ignore = "network"]
fn tools_are_downloaded_from_debian_and_its_backports() {
    let bench = Bench::new();
    let mut request = request(
        &["erofs-utils", "mtools", "golang-go/trixie-backports"],
        Base::None,
    );
    request
        .repositories
        .push(Repository::debian_on_demand("trixie-backports"));
    let set = bench.resolve(&request).unwrap();
    let of_backports = |name: &str| set.package(name).is_some_and(|one| one.repository == 3);
    assert!(of_backports("golang-go"));
    assert!(set.package("libc6").is_some_and(|one| one.repository != 3));
    let start = Instant::now();
    let small = LockedSet {
        packages: set
            .packages
            .iter()
            .filter(|package| package.size < 20 << 20)
            .cloned()
            .collect(),
        ..set
    };
    let run = || {
        download(
            &bench.cache,
            &small,
            &bench.mirrors,
            &Silent,
            &AtomicBool::new(false),
        )
        .unwrap()
    };
    for (package, path) in run() {
        assert_eq!(Digest::of_file(&path).unwrap().0, package.sha256);
    }
    println!("{} bytes in {:?}", small.size(), start.elapsed());
    let start = Instant::now();
    run();
    println!("again in {:?}", start.elapsed());
}

/// How long each step takes for a set of some hundred packages, and that it is the same set
/// each time.
#[test]
#[ignore = "network"]
fn a_large_set_is_solved_quickly() {
    let bench = Bench::new();
    let names = [
        &NODE[..],
        &[
            "cockpit",
            "podman",
            "qemu-system-x86",
            "ovmf",
            "erofs-utils",
            "passt",
            "mtools",
            "qemu-utils",
            "python3",
            "vim",
            "keepalived",
            "lvm2",
            "mdadm",
        ],
    ]
    .concat();
    let request = request(&names, Base::Important);
    let set = bench.resolve(&request).unwrap();
    bench.resolve(&request).unwrap();
    let index = bench
        .cache
        .entries()
        .unwrap()
        .into_iter()
        .filter(|entry| entry.kind == "blobs")
        .max_by_key(|entry| entry.size)
        .unwrap();
    let text = unpack(&index.path);
    let clock = Instant::now();
    let packages = read_packages(&text, 0).unwrap();
    let (read, count) = (clock.elapsed(), packages.len());
    let clock = Instant::now();
    let origin = Origin {
        suite: "trixie".to_owned(),
        priority: 500,
    };
    let universe = Universe::new("amd64", packages, vec![origin]).unwrap();
    let sorted = clock.elapsed();
    let clock = Instant::now();
    let first = solve(&universe, &request.wishes).unwrap();
    let solved = clock.elapsed();
    println!(
        "{} bytes of index, {count} packages: read {read:?}, sorted {sorted:?}; \
         {} packages solved {solved:?}",
        text.len(),
        first.len()
    );
    assert!(first.len() > 250 && set.packages.len() > 250);
    for _ in 0..3 {
        let names = |packages: &[&lifeboat_archive::Package<'_>]| -> Vec<String> {
            packages.iter().map(|one| one.name.to_owned()).collect()
        };
        let again = solve(&universe, &request.wishes).unwrap();
        assert_eq!(names(&again), names(&first));
    }
}

fn unpack(path: &Path) -> String {
    let mut text = String::new();
    liblzma::read::XzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}
