//! Builds a whole payload and looks into it from outside.

use std::{path::PathBuf, sync::atomic::AtomicBool, time::Instant};

use lifeboat_archive::{Cache, DebFile, Silent, unpack};
use lifeboat_payload::{PayloadSpec, SigningKey, build, open, verity};
use lifeboat_sandbox::ToolsTree;

/// Package files of the tools tree and of the payload, which somebody downloaded.
fn packages() -> Option<Vec<DebFile>> {
    let folder = PathBuf::from(std::env::var_os("LIFEBOAT_TEST_DEBS")?);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut debs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    debs.sort();
    Some(
        debs.into_iter()
            .map(|deb| DebFile::open(deb).unwrap())
            .collect(),
    )
}

#[test]
#[ignore = "compiles Kubernetes: 15 minutes from cold caches"]
fn a_payload_is_built_once_and_verifies() {
    let Some(debs) = packages() else {
        println!("SKIPPED: LIFEBOAT_TEST_DEBS names no folder of package files");
        return;
    };
    let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap();
    let go_on = AtomicBool::new(false);
    let debs = unpack(&cache, &debs, &Silent, &go_on).unwrap();
    let tools = ToolsTree::materialise(&cache, &debs).unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let spec = PayloadSpec::default();
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
