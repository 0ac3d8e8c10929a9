//! Mirrors that lie, break off, crawl or are gone.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use lifeboat_archive::{
    Cache, Digest, FetchError, Fetcher, Keys, LockedPackage, LockedSet, Mirrors, Patience,
    Progress, Repository as Source, Request, ResolveError, Silent, Wanted, Wishes, download_with,
    resolve_with,
};

use crate::support::{Fault, Package, Repository, Server, Signer};

const PATIENCE: Patience = Patience {
    connections: 3,
    stall: Duration::from_millis(400),
    rate: 2000,
    tries: 4,
    pause: Duration::from_millis(5),
};

/// When the repositories of these tests are looked at.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(483_334)
}

struct Bench {
    _folder: tempfile::TempDir,
    root: PathBuf,
    cache: Cache,
    server: Server,
    signer: Signer,
    request: Request,
}

impl Bench {
    fn new(make: impl FnOnce(&std::path::Path, &Signer)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("mirror");
        fs::create_dir(&root).unwrap();
        let signer = Signer::new(1);
        make(&root, &signer);
        let server = Server::new(&root);
        let request = Request {
            repositories: vec![Source {
                url: server.url(),
                suite: "trixie".to_owned(),
                components: vec!["main".to_owned()],
                keys: Keys::Armoured(signer.public()),
                priority: None,
            }],
            architecture: "amd64".to_owned(),
            wishes: Wishes {
                names: vec!["boat".to_owned()],
                ..Wishes::default()
            },
        };
        Self {
            cache: Cache::open(folder.path().join("cache")).unwrap(),
            _folder: folder,
            root,
            server,
            signer,
            request,
        }
    }

    /// `boat`, which needs `oar` and has half a megabyte of content.
    fn usual() -> Self {
        Self::new(|root, signer| repository().write(root, signer))
    }

    fn resolve(&self) -> Result<LockedSet, ResolveError> {
        self.resolve_at(now())
    }

    fn resolve_at(&self, now: SystemTime) -> Result<LockedSet, ResolveError> {
        resolve_with(
            &Fetcher::new(PATIENCE, None),
            &self.cache,
            &self.request,
            &Mirrors::none(),
            &Silent,
            &AtomicBool::new(false),
            now,
        )
    }

    fn download(&self, set: &LockedSet) -> Result<Vec<(LockedPackage, PathBuf)>, FetchError> {
        download_with(
            &Fetcher::new(PATIENCE, None),
            &self.cache,
            set,
            &Mirrors::none(),
            &Silent,
            &AtomicBool::new(false),
        )
    }
}

fn repository() -> Repository {
    let mut noise = Vec::new();
    let mut state = 1_u64;
    while noise.len() < 500_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.extend((state >> 16).to_le_bytes());
    }
    Repository::new(vec![
        Package::new("boat", "1:2.0-1")
            .field("Depends: oar (>= 1)")
            .file("usr/lib/boat/hull", 0o644, &noise),
        Package::new("oar", "1.5"),
        Package::new("oar", "0.5"),
    ])
}

/// An error with all that is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        text.push_str(": ");
        text.push_str(&source.to_string());
        at = source.source();
    }
    text
}

#[test]
fn a_signed_repository_is_resolved_and_downloaded() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let names: Vec<_> = set
        .packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    assert_eq!(names, ["boat 1:2.0-1", "oar 1.5"]);
    for (package, path) in bench.download(&set).unwrap() {
        let (digest, size) = Digest::of_file(&path).unwrap();
        assert_eq!((digest, size), (package.sha256, package.size));
    }
    // Again: nothing but the table of contents is asked for.
    let before = bench.server.requests("").len();
    assert_eq!(bench.resolve().unwrap(), set);
    bench.download(&set).unwrap();
    assert_eq!(bench.server.requests("").len(), before + 1);
}

#[test]
fn flat_repositories_and_detached_signatures() {
    let mut flat = Bench::new(|root, signer| repository().write_flat(root, signer));
    for suite in ["./", "/"] {
        flat.request.repositories[0].suite = suite.to_owned();
        flat.request.repositories[0].components.clear();
        let set = flat.resolve().unwrap();
        assert_eq!(flat.download(&set).unwrap().len(), 2);
    }
    let detached = Bench::new(|root, signer| {
        let mut repository = repository();
        repository.extensions = vec![".xz"];
        repository.lines.clear();
        repository.write_detached(root, signer);
    });
    let set = detached.resolve().unwrap();
    assert_eq!(detached.download(&set).unwrap().len(), 2);
    detached
        .server
        .fault("dists/trixie/Release", Fault::Flip(20), 9);
    let error = detached.resolve().unwrap_err();
    assert!(matches!(error, ResolveError::Signature { .. }), "{error}");
}

#[test]
fn a_changed_table_of_contents_is_refused() {
    let bench = Bench::usual();
    let length = fs::metadata(bench.root.join("dists/trixie/InRelease"))
        .unwrap()
        .len();
    let length = usize::try_from(length).unwrap();
    // Through the whole file: armour header, text, signature.
    for at in (0..length).step_by(7) {
        bench.server.fault("InRelease", Fault::Flip(at), 1);
        if let Ok(set) = bench.resolve() {
            // Trailing blanks and armour headers are not signed; all that counts is.
            assert_eq!(set.packages, bench.resolve().unwrap().packages);
        }
    }
    bench.server.fault("InRelease", Fault::Flip(120), 9);
    let text = chain(&bench.resolve().unwrap_err());
    assert!(text.contains("dists/trixie/InRelease is refused"), "{text}");
    assert!(text.contains("it was changed"), "{text}");
}

#[test]
fn only_the_right_signer_suite_and_time_will_do() {
    let mut bench = Bench::usual();
    let other = Signer::new(2);
    bench.request.repositories[0].keys = Keys::Armoured(other.public());
    let text = chain(&bench.resolve().unwrap_err());
    assert!(text.contains("not signed by a known key"), "{text}");
    let both = format!("{}\n{}", other.public(), bench.signer.public());
    bench.request.repositories[0].keys = Keys::Armoured(both);
    bench.resolve().unwrap();
    bench.request.repositories[0].keys = Keys::Debian;
    assert!(bench.resolve().is_err());
    bench.request.repositories[0].keys = Keys::Armoured("no key".to_owned());
    let text = chain(&bench.resolve().unwrap_err());
    assert!(text.contains("keys given for this repository"), "{text}");
    bench.request.repositories[0].keys = Keys::Armoured(bench.signer.public());

    // A good file of another suite at this one's place.
    let mut sid = repository();
    sid.suite = "sid".to_owned();
    sid.write(&bench.root, &bench.signer);
    let at = |suite: &str| bench.root.join("dists").join(suite).join("InRelease");
    fs::copy(at("sid"), at("trixie")).unwrap();
    let text = chain(&bench.resolve().unwrap_err());
    assert!(text.contains("it is of the suite `sid`"), "{text}");

    let old = repository().line("Valid-Until: Sat, 01 Feb 2025 00:00:00 UTC");
    old.write(&bench.root, &bench.signer);
    let text = chain(&bench.resolve().unwrap_err());
    assert!(
        text.contains("it was valid until 2025-02-01 00:00:00 UTC"),
        "{text}"
    );
    assert!(text.contains("clock says 2025-02-19"), "{text}");
}

#[test]
fn a_clock_that_is_behind_is_named() {
    let bench = Bench::usual();
    let text = chain(
        &bench
            .resolve_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
            .unwrap_err(),
    );
    assert!(
        text.contains("2001-09-09") && text.contains("clock"),
        "{text}"
    );
}

#[test]
fn a_changed_index_is_refused() {
    let bench = Bench::usual();
    let index = fs::read(
        bench
            .root
            .join("dists/trixie/main/binary-amd64/Packages.gz"),
    )
    .unwrap();
    let digest = Digest::of(&index).to_string();
    for path in [digest.as_str(), "Packages.gz"] {
        bench.server.fault(path, Fault::Flip(30), 99);
    }
    let text = chain(&bench.resolve().unwrap_err());
    assert!(
        text.contains("Packages.gz") && text.contains("was expected"),
        "{text}"
    );
    bench.server.heal();
    bench.resolve().unwrap();
}

#[test]
fn a_changed_package_is_refused_and_never_in_the_cache() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    bench.server.fault("all.deb", Fault::Flip(100_000), 99);
    let error = bench.download(&set).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot download "), "{text}");
    assert!(text.contains(&bench.server.url()), "{text}");
    assert!(error.hint().unwrap().contains("lifeboat lock --update"));
    for package in &set.packages {
        assert!(bench.cache.blob(&package.sha256).is_none());
    }
    bench.server.heal();
    bench.download(&set).unwrap();
}

#[test]
fn a_changed_lock_is_noticed_at_the_download() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let mut tampered = set.clone();
    tampered.packages[0].sha256 = Digest::of("other");
    let error = bench.download(&tampered).unwrap_err();
    assert!(error.to_string().contains("was expected"), "{error}");
    let mut tampered = set;
    tampered.packages[0].size -= 1;
    let error = bench.download(&tampered).unwrap_err();
    assert!(error.to_string().contains("bytes there"), "{error}");
}

#[test]
fn a_bad_blob_in_the_cache_is_fetched_again() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let files = bench.download(&set).unwrap();
    fs::write(&files[0].1, "bad").unwrap();
    let again = bench.download(&set).unwrap();
    assert_eq!(
        Digest::of_file(&again[0].1).unwrap().0,
        set.packages[0].sha256
    );
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let name = "boat_1%3a2.0-1_all.deb";
    bench.server.fault(name, Fault::Cut(200_000), 2);
    bench.download(&set).unwrap();
    let requests = bench.server.requests(name);
    assert_eq!(requests, [None, Some(200_000), Some(400_000)]);
}

#[test]
fn what_a_killed_download_left_is_used_unless_it_is_bad() {
    for good in [true, false] {
        let bench = Bench::usual();
        let set = bench.resolve().unwrap();
        let boat = set.package("boat").unwrap();
        let mut bytes = fs::read(bench.root.join(&boat.path)).unwrap();
        bytes.truncate(300_000);
        if !good {
            bytes[5] ^= 1;
        }
        fs::write(bench.cache.partial_path(&boat.sha256), bytes).unwrap();
        bench.download(&set).unwrap();
        let requests = bench.server.requests("boat_1%3a2.0-1_all.deb");
        let expected: &[Option<u64>] = if good {
            &[Some(300_000)]
        } else {
            &[Some(300_000), None]
        };
        assert_eq!(requests, expected);
    }
}

#[test]
fn a_server_that_ignores_ranges_sends_all_again() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let boat = set.package("boat").unwrap();
    fs::write(bench.cache.partial_path(&boat.sha256), vec![7; 1000]).unwrap();
    bench
        .server
        .fault("boat_1%3a2.0-1_all.deb", Fault::IgnoreRange, 9);
    bench.download(&set).unwrap();
}

#[test]
fn slow_and_silent_servers_are_given_up() {
    for fault in [Fault::Slow, Fault::Hang] {
        let bench = Bench::usual();
        let set = bench.resolve().unwrap();
        bench.server.fault("oar_1.5_all.deb", fault, 2);
        bench.server.fault("boat_1%3a2.0-1_all.deb", fault, 2);
        bench.download(&set).unwrap();
        assert!(bench.server.requests("boat_1%3a2.0-1_all.deb").len() > 2);
    }
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    bench
        .server
        .fault("boat_1%3a2.0-1_all.deb", Fault::Slow, 99);
    let start = Instant::now();
    let error = bench.download(&set).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("less than 2000 bytes per second"),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn passing_trouble_is_retried_and_lasting_trouble_reported() {
    let bench = Bench::usual();
    bench.server.fault("InRelease", Fault::Status(503), 2);
    let set = bench.resolve().unwrap();
    bench.server.fault("oar_1.5_all.deb", Fault::Status(429), 2);
    bench.download(&set).unwrap();

    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    bench
        .server
        .fault("oar_1.5_all.deb", Fault::Status(404), 99);
    let error = bench.download(&set).unwrap_err();
    assert!(
        error.to_string().contains("the server answered 404"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("superseded"));
    assert_eq!(bench.server.requests("oar_1.5_all.deb").len(), 1);

    let mut nowhere = Bench::usual();
    nowhere.request.repositories[0].url = "http://127.0.0.1:1".to_owned();
    let error = nowhere.resolve().unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("http://127.0.0.1:1/dists/trixie/InRelease"),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
    assert!(error.hint().unwrap().contains("network"));

    let mut wrong = Bench::usual();
    wrong.request.repositories[0].suite = "forky".to_owned();
    let error = wrong.resolve().unwrap_err();
    assert!(
        error.to_string().contains("has neither InRelease nor"),
        "{error}"
    );
}

#[test]
fn another_mirror_takes_over() {
    let bench = Bench::usual();
    let spare = Server::new(&bench.root);
    let set = bench.resolve().unwrap();
    let boat = set.package("boat").unwrap();
    let urls = [&bench.server, &spare].map(|server| format!("{}/{}", server.url(), boat.path));
    bench
        .server
        .fault("boat_1%3a2.0-1_all.deb", Fault::Cut(100_000), 99);
    let wanted = Wanted {
        name: "boat".to_owned(),
        urls: urls.to_vec(),
        size: boat.size,
        sha256: boat.sha256,
    };
    let fetcher = Fetcher::new(PATIENCE, None);
    let cancel = AtomicBool::new(false);
    fetcher
        .fetch(&bench.cache, &[wanted], &Silent, &cancel)
        .unwrap();
    assert_eq!(spare.requests("boat_1%3a2.0-1_all.deb"), [Some(100_000)]);
}

/// Cancels as soon as bytes arrive, and keeps the sums.
struct Cancelling<'a> {
    cancel: &'a AtomicBool,
    sums: Mutex<(u64, u64)>,
}

impl Progress for Cancelling<'_> {
    fn start(&self, _: &str, total: u64) {
        self.sums.lock().unwrap().0 += total;
    }
    fn advance(&self, bytes: u64) {
        self.sums.lock().unwrap().1 += bytes;
        self.cancel.store(true, Ordering::Relaxed);
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

#[test]
fn a_cancelled_download_stops_at_once_and_goes_on_later() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    bench.server.fault(".deb", Fault::Hang, 2);
    let cancel = AtomicBool::new(false);
    let progress = Cancelling {
        cancel: &cancel,
        sums: Mutex::default(),
    };
    let patient = Patience {
        stall: Duration::from_mins(1),
        ..PATIENCE
    };
    let start = Instant::now();
    let error = download_with(
        &Fetcher::new(patient, None),
        &bench.cache,
        &set,
        &Mirrors::none(),
        &progress,
        &cancel,
    )
    .unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(progress.sums.lock().unwrap().1 < set.size());
    bench.server.heal();
    bench.download(&set).unwrap();
    let requests = bench.server.requests("boat_1%3a2.0-1_all.deb");
    assert!(requests.last().unwrap().is_some(), "{requests:?}");
}

#[test]
fn progress_adds_up_to_the_total() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    bench
        .server
        .fault("boat_1%3a2.0-1_all.deb", Fault::Cut(1000), 1);
    let progress = Cancelling {
        cancel: &AtomicBool::new(false),
        sums: Mutex::default(),
    };
    download_with(
        &Fetcher::new(PATIENCE, None),
        &bench.cache,
        &set,
        &Mirrors::none(),
        &progress,
        &AtomicBool::new(false),
    )
    .unwrap();
    assert_eq!(*progress.sums.lock().unwrap(), (set.size(), set.size()));
}

#[test]
fn two_at_once_share_one_download() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| bench.download(&set).unwrap());
        }
    });
    assert_eq!(bench.server.requests("oar_1.5_all.deb").len(), 1);
}

#[test]
fn a_table_of_contents_that_never_ends_can_be_cancelled() {
    let bench = Bench::usual();
    bench.server.fault("InRelease", Fault::Hang, 99);
    let cancel = AtomicBool::new(false);
    let patient = Patience {
        stall: Duration::from_mins(1),
        ..PATIENCE
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let resolving = scope.spawn(|| {
            resolve_with(
                &Fetcher::new(patient, None),
                &bench.cache,
                &bench.request,
                &Mirrors::none(),
                &Silent,
                &cancel,
                now(),
            )
        });
        while bench.server.requests("InRelease").is_empty() {
            std::thread::yield_now();
        }
        cancel.store(true, Ordering::Relaxed);
        let text = chain(&resolving.join().unwrap().unwrap_err());
        assert!(text.contains("interrupted"), "{text}");
    });
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_dead_mirror_costs_its_time_only_a_few_times() {
    let bench = Bench::new(|root, signer| {
        let packages = (0..30).map(|index| Package::new(&format!("boat{index}"), "1"));
        Repository::new(packages.collect()).write(root, signer);
    });
    let spare = Server::new(&bench.root);
    bench.server.fault(".deb", Fault::Hang, usize::MAX);
    let mut request = bench.request.clone();
    request.wishes.names = (0..30).map(|index| format!("boat{index}")).collect();
    let set = Bench { request, ..bench };
    let locked = set.resolve().unwrap();
    let wanted: Vec<Wanted> = locked
        .packages
        .iter()
        .map(|package| Wanted {
            name: package.name.clone(),
            urls: [&set.server, &spare]
                .map(|server| format!("{}/{}", server.url(), package.path))
                .to_vec(),
            size: package.size,
            sha256: package.sha256,
        })
        .collect();
    let fetcher = Fetcher::new(PATIENCE, None);
    fetcher
        .fetch(&set.cache, &wanted, &Silent, &AtomicBool::new(false))
        .unwrap();
    assert!(set.server.requests(".deb").len() < 10);
    assert_eq!(spare.requests(".deb").len(), 30);
}

#[test]
fn the_proxy_of_the_host_is_not_for_the_machine_itself() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    let fetcher = Fetcher::new(PATIENCE, Some("http://127.0.0.1:1"));
    let cancel = AtomicBool::new(false);
    let get =
        |mirrors: &Mirrors| download_with(&fetcher, &bench.cache, &set, mirrors, &Silent, &cancel);
    assert!(get(&Mirrors::none()).is_ok());
}

#[test]
fn a_proxy_is_asked_for_what_is_elsewhere() {
    let bench = Bench::usual();
    let set = bench.resolve().unwrap();
    // The test's server serves the path of whatever URL it is asked for.
    let fetcher = Fetcher::new(PATIENCE, Some(&bench.server.url()));
    let wanted: Vec<Wanted> = set
        .packages
        .iter()
        .map(|package| Wanted {
            name: package.name.clone(),
            urls: vec![format!("http://mirror.invalid/{}", package.path)],
            size: package.size,
            sha256: package.sha256,
        })
        .collect();
    let cancel = AtomicBool::new(false);
    fetcher
        .fetch(&bench.cache, &wanted, &Silent, &cancel)
        .unwrap();
    let asked = bench
        .server
        .requests("http://mirror.invalid/pool/main/oar_1.5_all.deb");
    assert_eq!(asked, [None]);
}

#[test]
fn what_cannot_fit_is_not_begun() {
    let bench = Bench::usual();
    let mut set = bench.resolve().unwrap();
    set.packages[0].size = 1 << 60;
    let error = bench.download(&set).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(error.hint().unwrap().contains("LIFEBOAT_CACHE"));
}
