//! A lock that is made again changes only what must change.

use lifeboat_archive::{LockedSet, Wishes};

use crate::{
    bench::Bench,
    support::{Package, Repository},
};

/// A repository with these packages, each `NAME VERSION` or `NAME VERSION; FIELD`.
fn packages(lines: &[&str]) -> Repository {
    let package = |line: &&str| {
        let (what, field) = line.split_once("; ").unwrap_or((line, ""));
        let (name, version) = what.split_once(' ').unwrap();
        let package = Package::new(name, version);
        if field.is_empty() {
            package
        } else {
            package.field(field)
        }
    };
    Repository::new(lines.iter().map(package).collect())
}

/// What the repository has on the first day, and what it has after a week.
const FIRST: [&str; 3] = ["boat 1; Depends: oar", "mast 1", "oar 1"];
const LATER: [&str; 5] = [
    "boat 2; Depends: oar",
    "mast 2",
    "oar 2",
    "rope 1",
    "sail 1; Depends: oar (>= 2)",
];

/// A lock of the first day, and the repository a week later with all of both.
fn a_week_later() -> (Bench, LockedSet) {
    let bench = Bench::new(|root, signer| packages(&FIRST).write(root, signer));
    let first = bench.resolve().unwrap();
    assert_eq!(shown(&first), "boat 1, oar 1");
    packages(&[&FIRST[..], &LATER].concat()).write(&bench.root, &bench.signer);
    (bench, first)
}

fn shown(set: &LockedSet) -> String {
    set.packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The set of `names`, which keeps what it can of `first`, but nothing of `without`.
fn again(bench: &mut Bench, first: &LockedSet, names: &[&str], without: &[&str]) -> LockedSet {
    let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|&one| one.into()).collect() };
    bench.request.wishes = Wishes {
        names: owned(names),
        keep: first.kept(&owned(without)),
        ..Wishes::default()
    };
    bench.resolve().unwrap()
}

#[test]
fn a_package_more_leaves_the_others_at_their_versions() {
    let (mut bench, first) = a_week_later();
    let set = again(&mut bench, &first, &["boat", "rope"], &[]);
    assert_eq!(shown(&set), "boat 1, oar 1, rope 1");
    // The files are the same, too.
    assert_eq!(
        first.kept(&[]).into_iter().collect::<Vec<_>>(),
        set.kept(&["rope".to_owned()])
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_a_new_package_needs_moves_and_nothing_else() {
    let (mut bench, first) = a_week_later();
    let set = again(&mut bench, &first, &["boat", "sail"], &[]);
    assert_eq!(shown(&set), "boat 1, oar 2, sail 1");
}

#[test]
fn one_package_is_renewed_or_all_are() {
    let (mut bench, first) = a_week_later();
    let set = again(&mut bench, &first, &["boat"], &["oar"]);
    assert_eq!(shown(&set), "boat 1, oar 2");
    bench.request.wishes.keep.clear();
    assert_eq!(shown(&bench.resolve().unwrap()), "boat 2, oar 2");
}

#[test]
fn a_version_that_is_gone_moves_on() {
    let (mut bench, first) = a_week_later();
    packages(&LATER).write(&bench.root, &bench.signer);
    let set = again(&mut bench, &first, &["boat"], &[]);
    assert_eq!(shown(&set), "boat 2, oar 2");
    // So does one that was rebuilt under its old version.
    packages(&["boat 1; Depends: oar (>= 1)", "boat 2", "oar 1"]).write(&bench.root, &bench.signer);
    let set = again(&mut bench, &first, &["boat"], &[]);
    assert_eq!(shown(&set), "boat 2");
}

#[test]
fn what_is_kept_is_no_part_of_the_request() {
    let (mut bench, first) = a_week_later();
    let plain = bench.request.digest();
    bench.request.wishes.keep = first.kept(&[]);
    assert_eq!(bench.request.digest(), plain);
}
