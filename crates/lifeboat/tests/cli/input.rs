//! Mistakes in the definition: each is told with its place and the nearest valid choice, before
//! anything is fetched for it.

use lifeboat_archive::Cache;

use crate::place::Place;

/// What `build` says of a definition.
fn build(definition: &str) -> String {
    Place::new()
        .file("lifeboat.yaml", definition)
        .run(&["build"])
}

#[test]
fn each_unknown_key_gets_the_nearest_one() {
    insta::assert_snapshot!(build(
        "image:\n  bundle: []\nnode:\n  hostnam: a\n  labells: {}\nmachin: {}\n"
    ));
}

#[test]
fn a_wrong_type_is_told_with_what_was_found() {
    insta::assert_snapshot!(build(
        "image:\n  packages: htop\n  size: {state: big}\nnode:\n  labels: [a]\nmachine: {memory: []}\n"
    ));
}

#[test]
fn an_unknown_kubernetes_names_those_there_are() {
    for version in ["1.63", "1.35", "1.36.99", "latest"] {
        insta::assert_snapshot!(
            format!("kubernetes_{version}"),
            build(&format!("image:\n  kubernetes: \"{version}\"\n"))
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_all_told() {
    let place = Place::new()
        .file("images/test.tar", "")
        .file("folder/motd", "")
        .file(
            "lifeboat.yaml",
            "image:\n  \
               container_images: [images/tset.tar, other.tar]\n  \
               files:\n  \
               - {path: /etc/motd, source: folder/mood}\n  \
               - path: /etc/issue\n    source: folder\n",
        );
    for verb in [&["build"][..], &["up"]] {
        insta::assert_snapshot!("unreadable_files", place.run(verb));
    }
}

#[test]
fn a_damaged_lock_is_told_with_its_place() {
    let place = Place::new().file(
        "lifeboat.lock",
        "version = 1\n\n[sets.image]\nrequest = 7\n",
    );
    insta::assert_snapshot!(place.run(&["build"]));
    let place = Place::new().file("lifeboat.lock", "version = 99\n");
    insta::assert_snapshot!(place.run(&["build"]));
}

#[test]
#[ignore = "network"]
fn an_impossible_package_is_told_with_its_place() {
    let cache = Cache::default_root(|name| std::env::var_os(name)).unwrap();
    for (name, packages) in [
        ("unknown", "[curl, htpo]"),
        ("conflict", "[curl, sysvinit-core]"),
    ] {
        let place = Place::new()
            .variable("LIFEBOAT_CACHE", &cache.to_string_lossy())
            .file(
                "lifeboat.yaml",
                &format!("image:\n  packages: {packages}\n"),
            );
        let said = place.run(&["lock", "--progress", "none"]);
        // Versions move with the archive.
        insta::with_settings!({filters => vec![(r"\b\d[\w.:~+-]*-\d[\w.~+]*", "[VERSION]")]}, {
            insta::assert_snapshot!(format!("package_{name}"), said);
        });
    }
}
