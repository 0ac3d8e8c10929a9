use lifeboat_image::{Artifact, Packages, SCHEMA};

use super::*;

/// A definition with its files, and a cache with what a build of it made.
struct Place {
    folder: tempfile::TempDir,
    cache: Cache,
    loaded: Loaded,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let text = "image: {files: [{path: /etc/a, source: a}], container_images: [images]}";
        let at = folder.path().to_owned();
        let mut loaded = Loaded::parse("lifeboat.yaml", text.into(), at).unwrap();
        loaded.file = Some(folder.path().join("lifeboat.yaml"));
        let place = Self {
            folder,
            cache,
            loaded,
        };
        place.write("a", "one");
        place.write("images/blobs/b", "two");
        place.write("lifeboat.lock", &Lock::default().to_string());
        place.write("cache/derived/tools/t/.library-path", "usr/lib");
        place.write("cache/derived/kubernetes/k/kubectl", "kubectl");
        place.make();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The artifacts, with one that the cache shares between images.
    fn make(&self) {
        self.write("cache/derived/uki/u", "the UKI");
        let disk = "cache/derived/disk/d";
        self.write(&format!("{disk}/lifeboat.raw"), "the disk");
        let linked = self.path(disk).join("lifeboat.efi");
        fs::hard_link(self.path("cache/derived/uki/u"), linked).unwrap();
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            version: "1".to_owned(),
            kernel: "6".to_owned(),
            root_hash: Digest::of("root"),
            command_line: String::new(),
            payload: None,
            artifacts: vec![Artifact {
                name: "lifeboat.efi".to_owned(),
                size: 7,
                sha256: Some(Digest::of("the UKI")),
            }],
            packages: Packages::default(),
        };
        let text = serde_json::to_string(&manifest).unwrap();
        self.write(&format!("{disk}/manifest.json"), &text);
    }

    fn visit(&self) -> Visit {
        let place = self.cache.derived_path(KIND, &Digest::of("place"));
        Visit::at(
            self.cache.clone(),
            place,
            Digest::of("settings"),
            &self.loaded,
        )
        .unwrap()
    }

    /// What the long way would return.
    fn built(&self) -> Built {
        Built {
            folder: self.path("cache/derived/disk/d"),
            disk: self.path("cache/derived/disk/d/lifeboat.raw"),
            id: "id".to_owned(),
            kubernetes: "1.36.3".to_owned(),
            tools: super::super::tools_at(&self.path("cache/derived/tools/t")).unwrap(),
            kubectl: self.path("cache/derived/kubernetes/k/kubectl"),
            ports: Vec::new(),
            expected: super::super::expected(&self.loaded.definition),
            made: Vec::new(),
        }
    }

    fn remember(&self, visit: &Visit) {
        let lock = self.path("lifeboat.lock");
        visit
            .remember(&self.loaded, &Lock::default(), &lock, &self.built())
            .unwrap();
    }

    fn recall_at(&self, now: SystemTime) -> Option<Built> {
        let lock = self.path("lifeboat.lock");
        self.visit().recall(&self.loaded, &lock, now)
    }

    fn recall(&self) -> Option<Built> {
        self.recall_at(SystemTime::now())
    }

    /// A place whose build left its receipt.
    fn remembered() -> Self {
        let place = Self::new();
        place.remember(&place.visit());
        place
    }
}

#[test]
fn the_same_build_is_recalled() {
    let place = Place::remembered();
    for _ in 0..2 {
        let built = place.recall().unwrap();
        let expected = place.built();
        assert_eq!(built.folder, expected.folder);
        assert_eq!(built.disk, expected.disk);
        assert_eq!(built.kubectl, expected.kubectl);
        assert_eq!(built.tools.root(), expected.tools.root());
        assert_eq!((built.id, built.kubernetes), ("id".into(), "1.36.3".into()));
    }
}

#[test]
fn every_input_counts() {
    // Same size, and at once after the build.
    for (name, text) in [
        ("a", "uno"),
        ("images/blobs/b", "due"),
        ("images/blobs/c", ""),
        ("lifeboat.lock", "version = 1 "),
    ] {
        let place = Place::remembered();
        place.write(name, text);
        assert!(place.recall().is_none(), "{name}");
    }
    let place = Place::remembered();
    fs::rename(place.path("images/blobs/b"), place.path("images/blobs/c")).unwrap();
    assert!(place.recall().is_none());

    let place = Place::remembered();
    let mut other = place.visit();
    other.settings = Digest::of("other");
    let lock = place.path("lifeboat.lock");
    assert!(
        other
            .recall(&place.loaded, &lock, SystemTime::now())
            .is_none()
    );
}

#[test]
fn a_file_that_is_written_anew_with_the_same_content_does_not_count() {
    let place = Place::remembered();
    place.write("a", "one");
    assert!(place.recall().is_some());
}

#[test]
fn what_changed_during_the_build_leaves_no_receipt() {
    for (name, text) in [("a", "uno"), ("lifeboat.lock", "version = 2\n")] {
        let place = Place::new();
        let visit = place.visit();
        place.write(name, text);
        let lock = place.path("lifeboat.lock");
        // A lock that cannot be read is an error, which leaves none either.
        let _ = visit.remember(&place.loaded, &Lock::default(), &lock, &place.built());
        place.write(name, "one");
        assert!(place.recall().is_none(), "{name}");
    }
}

#[test]
fn what_is_gone_from_the_cache_is_made_again() {
    for name in [
        "disk/d/lifeboat.raw",
        "tools/t/.library-path",
        "kubernetes/k/kubectl",
    ] {
        let place = Place::remembered();
        fs::remove_file(place.path("cache/derived").join(name)).unwrap();
        assert!(place.recall().is_none(), "{name}");
    }
}

#[test]
fn an_artifact_that_was_written_to_is_thrown_away() {
    let place = Place::remembered();
    // As a program does that was given the file in the user's folder, which is linked to it.
    place.write("cache/derived/disk/d/lifeboat.raw", "the dusk");
    let raw = fs::File::open(place.path("cache/derived/disk/d/lifeboat.raw")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(1);
    raw.set_modified(later).unwrap();
    assert!(place.recall().is_none());
    assert!(!place.path("cache/derived/disk/d").exists());
    assert!(place.path("cache/derived/uki/u").exists());

    let place = Place::remembered();
    place.write("cache/derived/uki/u", "the uki, and more");
    assert!(place.recall().is_none());
    assert!(!place.path("cache/derived/disk/d").exists());
    assert!(!place.path("cache/derived/uki/u").exists());
}

#[test]
fn the_cache_may_touch_what_it_shares() {
    let place = Place::remembered();
    let shared = fs::File::open(place.path("cache/derived/uki/u")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(5);
    shared.set_modified(later).unwrap();
    assert!(place.recall().is_some());
    assert!(place.recall().is_some());
}

#[test]
fn a_receipt_is_good_for_a_day() {
    let place = Place::remembered();
    let now = SystemTime::now();
    assert!(place.recall_at(now + LIFE / 2).is_some());
    assert!(place.recall_at(now + LIFE * 2).is_none());
    assert!(place.recall_at(now - LIFE).is_none());
}

#[test]
fn a_receipt_that_cannot_be_read_is_none() {
    let place = Place::remembered();
    fs::write(
        place.cache.derived_path(KIND, &Digest::of("place")),
        "{\"settings\":",
    )
    .unwrap();
    assert!(place.recall().is_none());
}

#[test]
fn links_that_lead_around_end() {
    let place = Place::new();
    std::os::unix::fs::symlink(".", place.path("images/around")).unwrap();
    assert!(named(&place.loaded).is_err());
}
