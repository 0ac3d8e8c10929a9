//! Builds a whole payload and looks into it from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Instant, SystemTime},
};

use lifeboat_archive::{
    Cache, DebFile, Digest, Mirrors, Repository, Request, Silent, Tree, UnpackedDeb, Wishes,
    download, resolve, unpack, write_tar,
};
use lifeboat_payload::{PayloadSpec, SigningKey, build, go::Toolchain, images, open, verity};
use lifeboat_sandbox::ToolsTree;

/// Packages with all that they need, from Debian and its backports.
fn packages(cache: &Cache, names: &[&str]) -> Vec<UnpackedDeb> {
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let cancel = AtomicBool::new(false);
    let mut repositories = Repository::debian("trixie");
    repositories.push(Repository::debian_on_demand("trixie-backports"));
    let request = Request {
        repositories,
        architecture: "amd64".to_owned(),
        wishes: Wishes {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Wishes::default()
        },
    };
    let now = SystemTime::now();
    let set = resolve(cache, &request, &mirrors, &Silent, &cancel, now).unwrap();
    let debs: Vec<DebFile> = download(cache, &set, &mirrors, &Silent, &cancel)
        .unwrap()
        .into_iter()
        .map(|(package, path)| DebFile {
            path,
            sha256: package.sha256,
            name: package.name,
        })
        .collect();
    unpack(cache, &debs, &Silent, &cancel).unwrap()
}

/// An archive of `docker save` with one image that holds one file.
fn archive(folder: &Path) -> PathBuf {
    let mut layer = Tree::new();
    layer.write("hello", 0o644, "hello").unwrap();
    let mut tar = Vec::new();
    write_tar(&layer, &mut tar).unwrap();
    let diff_id = Digest::of(&tar);
    let mut tree = Tree::new();
    tree.write("layer.tar", 0o644, &tar).unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
    );
    tree.write("config.json", 0o644, config).unwrap();
    let saved =
        r#"[{"Config":"config.json","RepoTags":["example.org/mine:1"],"Layers":["layer.tar"]}]"#;
    tree.write("manifest.json", 0o644, saved).unwrap();
    let path = folder.join("mine.tar");
    write_tar(&tree, std::fs::File::create(&path).unwrap()).unwrap();
    path
}

#[test]
#[ignore = "network"]
fn a_payload_is_built_once_and_verifies() {
    // The programs in the user's cache serve: compiling them takes a quarter of an hour.
    let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap();
    let go_on = AtomicBool::new(false);
    let mut programs = vec!["erofs-utils"];
    if Toolchain::find(None).is_err() {
        programs.push("golang-1.26-go/trixie-backports");
    }
    let tools = ToolsTree::materialise(&cache, &packages(&cache, &programs)).unwrap();
    let debs = packages(&cache, images::PACKAGES);
    let key = SigningKey::from_bytes(&[7; 32]);
    let folder = tempfile::tempdir().unwrap();
    let spec = PayloadSpec {
        container_images: vec![archive(folder.path())],
        ..PayloadSpec::default()
    };
    let begin = Instant::now();
    let payload = build(&cache, &spec, &tools, &debs, &key, &Silent, &go_on).unwrap();
    let size = std::fs::metadata(&payload.path).unwrap().len();
    println!(
        "{} {size} bytes in {:?}",
        payload.path.display(),
        begin.elapsed()
    );
    assert!(size <= 200_000_000, "the payload has {size} bytes");

    let opened = open(&payload.path, &[key.verifying_key()]).unwrap();
    let file = std::fs::File::open(&payload.path).unwrap();
    verity::verify(&file, &opened.manifest.hash_area()).unwrap();

    let begin = Instant::now();
    build(&cache, &spec, &tools, &debs, &key, &Silent, &go_on).unwrap();
    println!("again in {:?}", begin.elapsed());

    // The same inputs in another cache give the same bytes.
    let other = Cache::open(folder.path().join("cache")).unwrap();
    let kubernetes = other.root().join("derived/kubernetes");
    std::os::unix::fs::symlink(cache.root().join("derived/kubernetes"), kubernetes).unwrap();
    let again = build(&other, &spec, &tools, &debs, &key, &Silent, &go_on).unwrap();
    let digest = |path| Digest::of_file(path).unwrap().0;
    assert_eq!(digest(&again.path), digest(&payload.path));

    assert!(
        opened
            .manifest
            .images
            .iter()
            .any(|name| name == "example.org/mine:1")
    );
    // kubeadm asks for images by these names, and must find each one.
    let output = std::process::Command::new(payload.kubectl.with_file_name("kubeadm"))
        .args(["config", "images", "list", "--kubernetes-version"])
        .arg(format!("v{}", lifeboat_payload::KUBERNETES))
        .output()
        .unwrap();
    for image in String::from_utf8(output.stdout).unwrap().lines() {
        assert!(
            opened.manifest.images.iter().any(|name| name == image),
            "no {image}"
        );
    }
}
