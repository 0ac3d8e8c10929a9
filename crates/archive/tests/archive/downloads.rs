//! Mirrors that break off, crawl or are gone.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lifeboat_archive::{
    FetchError, Fetcher, Mirrors, Patience, Progress, Silent, Wanted, download_with, resolve_with,
};

use crate::{
    bench::{Bench, PATIENCE, chain, now},
    support::{Fault, Package, Repository, Server},
};

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
    let mut bench = Bench::new(|root, signer| {
        let packages = (0..30).map(|index| Package::new(&format!("boat{index}"), "1"));
        Repository::new(packages.collect()).write(root, signer);
    });
    let spare = Server::new(&bench.root);
    bench.server.fault(".deb", Fault::Hang, usize::MAX);
    bench.request.wishes.names = (0..30).map(|index| format!("boat{index}")).collect();
    let locked = bench.resolve().unwrap();
    let wanted: Vec<Wanted> = locked
        .packages
        .iter()
        .map(|package| Wanted {
            name: package.name.clone(),
            urls: [&bench.server, &spare]
                .map(|server| format!("{}/{}", server.url(), package.path))
                .to_vec(),
            size: package.size,
            sha256: package.sha256,
        })
        .collect();
    let fetcher = Fetcher::new(PATIENCE, None);
    fetcher
        .fetch(&bench.cache, &wanted, &Silent, &AtomicBool::new(false))
        .unwrap();
    assert!(bench.server.requests(".deb").len() < 10);
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
