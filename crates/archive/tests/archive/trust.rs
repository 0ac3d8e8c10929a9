//! Mirrors that lie, and caches and locks that were changed.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use lifeboat_archive::{Digest, Keys, ResolveError};

use crate::{
    bench::{Bench, chain, repository},
    support::{Fault, Signer},
};

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
