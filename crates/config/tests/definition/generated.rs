//! Files that are generated and checked in.

use std::path::Path;

/// Compares a checked-in file with what it must be; `LIFEBOAT_BLESS=1` rewrites it.
fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, expected).unwrap();
        return;
    }
    let found = fs_err::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is out of date: run `LIFEBOAT_BLESS=1 cargo test -p lifeboat-config generated`"
    );
}

#[test]
fn schema_is_checked_in() {
    check(
        "docs/reference/schema/definition.json",
        &format!("{:#}\n", lifeboat_config::schema()),
    );
}

#[test]
fn reference_page_is_checked_in() {
    check(
        "docs/reference/definition.md",
        &lifeboat_config::reference_page(),
    );
}

#[test]
fn page_of_k3s_flags_is_checked_in() {
    check("docs/reference/k3s-flags.md", &lifeboat_config::k3s::page());
}
