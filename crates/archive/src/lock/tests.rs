use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Lock, LockError> {
    Lock::parse(Path::new("lifeboat.lock"), text)
}

fn lock() -> Lock {
    let package = |name: &str| LockedPackage {
        name: name.to_owned(),
        version: "1:2.0~rc1-3+deb13u1".parse().unwrap(),
        architecture: "amd64".to_owned(),
        repository: 0,
        size: 1234,
        sha256: Digest::of(name),
        path: format!("pool/main/{name}.deb"),
    };
    let set = LockedSet {
        request: Digest::of("request"),
        architecture: "amd64".to_owned(),
        repositories: vec![LockedRepository {
            url: "http://deb.debian.org/debian".to_owned(),
            suite: "trixie".to_owned(),
            components: vec!["main".to_owned()],
            release: Digest::of("release"),
        }],
        packages: vec![package("nftables"), package("systemd")],
    };
    Lock {
        sets: BTreeMap::from([("image".to_owned(), set)]),
    }
}

#[test]
fn one_line_for_each_package() {
    insta::assert_snapshot!(lock().to_string());
}

#[test]
fn a_bad_lock_is_refused_with_its_line() {
    let text = lock().to_string();
    let cut = &text[..text.rfind("sha256").unwrap()];
    for (bad, expected) in [
        (text.replace("1234", "x"), "lifeboat.lock:11:"),
        (
            text.replace("size = 1234", "size = 1234, more = 1"),
            "unknown field `more`",
        ),
        (
            text.replace(&Digest::of("systemd").to_string(), "0"),
            "lifeboat.lock:12:",
        ),
        (
            text.replace("repository = 0", "repository = 1"),
            "names repository 1, there are 1",
        ),
        (
            text.replace("\"pool/", "\"../pool/"),
            "leaves its repository",
        ),
        (
            text.replace("\"systemd\"", "\"nftables\""),
            "is there twice",
        ),
        (text.replace("1:2.0", "a:2.0"), "is not a package version"),
        (
            text.replace("version = 1\n", "version = 2\nnew = 3\n"),
            "up to version 1",
        ),
        (text.replace("version = 1\n", ""), "missing field `version`"),
        (cut.to_owned(), "lifeboat.lock:12:"),
    ] {
        let error = parse(&bad).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_lock_is_written_whole_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lifeboat.lock");
    assert_eq!(Lock::read(&file).unwrap(), None);
    lock().write(&file).unwrap();
    assert_eq!(Lock::read(&file).unwrap(), Some(lock()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn any_set() -> impl Strategy<Value = LockedSet> {
    let package = (
        "[a-z][a-z0-9+.-]{1,6}",
        "[0-9][a-z0-9.+~]{0,4}",
        any::<[u8; 32]>(),
        1..u64::from(u32::MAX),
        "[^/.]{1,9}",
    );
    (
        any::<[u8; 32]>(),
        any::<String>(),
        prop::collection::vec(package, 0..4),
    )
        .prop_map(|(request, url, packages)| {
            let mut packages: Vec<LockedPackage> = packages
                .into_iter()
                .map(|(name, version, digest, size, path)| LockedPackage {
                    name,
                    version: version.parse().unwrap(),
                    architecture: "all".to_owned(),
                    repository: 0,
                    size,
                    sha256: Digest(digest),
                    path,
                })
                .collect();
            packages.sort_by(|a, b| a.name.cmp(&b.name));
            packages.dedup_by(|a, b| a.name == b.name);
            LockedSet {
                request: Digest(request),
                architecture: "amd64".to_owned(),
                repositories: vec![LockedRepository {
                    url: url.clone(),
                    suite: "./".to_owned(),
                    components: vec![url],
                    release: Digest(request),
                }],
                packages,
            }
        })
}

proptest! {
    #[test]
    fn a_written_lock_reads_back(
        sets in prop::collection::btree_map(".{0,6}", any_set(), 0..3),
    ) {
        let lock = Lock { sets };
        let text = lock.to_string();
        prop_assert_eq!(&parse(&text).unwrap(), &lock, "{}", text);
        prop_assert_eq!(parse(&text).unwrap().to_string(), text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text: String, at in 0..2000usize) {
        let _ = parse(&text);
        let mut whole = lock().to_string();
        let mut at = at.min(whole.len());
        while !whole.is_char_boundary(at) { at -= 1; }
        whole.insert_str(at, &text);
        let _ = parse(&whole);
    }
}

#[test]
fn changes_between_two_sets() {
    let old = lock().sets.remove("image").unwrap();
    let mut new = old.clone();
    new.packages[0].version = "2".parse().unwrap();
    new.packages[1].name = "udev".to_owned();
    let shown = |old: Option<&LockedSet>, new: &LockedSet| -> Vec<String> {
        new.changes_since(old)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(shown(Some(&old), &old), Vec::<String>::new());
    assert_eq!(
        shown(Some(&old), &new),
        [
            "nftables 1:2.0~rc1-3+deb13u1 -> 2",
            "systemd 1:2.0~rc1-3+deb13u1 -> (gone)",
            "udev (new) -> 1:2.0~rc1-3+deb13u1",
        ]
    );
    assert_eq!(shown(None, &old).len(), 2);
}
