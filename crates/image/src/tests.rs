//! Whole images, from packages in the folder that `LIFEBOAT_TEST_DEBS` names: those of the
//! tools and, for the image, a kernel, systemd-boot-efi and busybox-static.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use lifeboat_archive::{Cache, DebFile, Silent, Tree, UnpackedDeb, unpack};
use lifeboat_sandbox::ToolsTree;

use crate::{Image, ImageInputs, Units, build};

const IMAGE: [&str; 3] = ["linux-image-", "systemd-boot-efi_", "busybox-static_"];

struct Inputs {
    cache: Cache,
    tools: ToolsTree,
    base: Tree,
    program: PathBuf,
}

/// Makes the inputs with a cache in `folder`, or says what is missing.
fn inputs(folder: &Path) -> Option<Inputs> {
    let Some(debs) = std::env::var_os("LIFEBOAT_TEST_DEBS") else {
        eprintln!("skipped: LIFEBOAT_TEST_DEBS names no folder of packages");
        return None;
    };
    let cache = Cache::open(folder.join("cache")).unwrap();
    let mut image = Vec::new();
    let mut tools = Vec::new();
    let mut paths: Vec<_> = fs_err::read_dir(debs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let small = path.metadata().unwrap().len() < 4 << 20;
        if IMAGE.iter().any(|start| name.starts_with(start)) {
            image.push(DebFile::open(path).unwrap());
        } else if small && !name.starts_with("qemu") {
            tools.push(DebFile::open(path).unwrap());
        }
    }
    let unpack = |debs: &[DebFile]| -> Vec<UnpackedDeb> {
        unpack(&cache, debs, &Silent, &AtomicBool::new(false)).unwrap()
    };
    let tools = ToolsTree::materialise(&cache, &unpack(&tools)).unwrap();
    let mut base = Tree::new();
    for deb in unpack(&image) {
        base.merge(b"", &deb.tree).unwrap();
    }
    let busybox = base
        .get("usr/bin/busybox")
        .or(base.get("bin/busybox"))
        .unwrap()
        .clone();
    let lifeboat_archive::Kind::File(content) = busybox.kind else {
        panic!("no busybox")
    };
    let program = folder.join("busybox");
    fs_err::write(&program, content.read().unwrap()).unwrap();
    // The configured packages of a node, and the program that is its init.
    if let Some(tar) = std::env::var_os("LIFEBOAT_TEST_BASE") {
        let mut real = lifeboat_archive::read_tar(Path::new(&tar)).unwrap();
        real.merge(
            b"usr/lib/systemd/boot",
            &below(&base, "usr/lib/systemd/boot"),
        )
        .unwrap();
        if let Some(real_program) = std::env::var_os("LIFEBOAT_TEST_PROGRAM") {
            fs_err::copy(PathBuf::from(real_program), &program).unwrap();
        }
        return Some(Inputs {
            cache,
            tools,
            base: real,
            program,
        });
    }
    base.write(
        "usr/lib/os-release",
        0o644,
        "ID=debian\nPRETTY_NAME=\"Debian 13\"\n",
    )
    .unwrap();
    let status =
        "Package: busybox-static\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
    base.write("var/lib/dpkg/status", 0o644, status).unwrap();
    Some(Inputs {
        cache,
        tools,
        base,
        program,
    })
}

fn below(tree: &Tree, folder: &str) -> Tree {
    let mut part = Tree::new();
    for path in tree.descendants(folder.as_bytes()) {
        part.insert(&path[folder.len() + 1..], tree.get(path).unwrap().clone())
            .unwrap();
    }
    part
}

fn image(inputs: &Inputs, files: &Tree) -> Image {
    let payload = inputs.program.with_file_name("payload.raw");
    if let Some(real) = std::env::var_os("LIFEBOAT_TEST_PAYLOAD") {
        let _ = fs_err::hard_link(PathBuf::from(real), &payload);
    } else {
        fs_err::write(&payload, vec![5; 3 << 20]).unwrap();
    }
    let image = ImageInputs {
        version: "0.1.0",
        base: &inputs.base,
        program: &inputs.program,
        node_files: &Tree::new(),
        files: Some(files),
        payload: Some(("kubernetes-1.36.3-containerd", &payload)),
        components: &[],
        public_keys: &BTreeMap::from([("test.pub".to_owned(), b"key".to_vec())]),
        units: &Units::default(),
        command_line: &["ignore_loglevel".to_owned()],
        sizes: crate::DiskSizes::default(),
        state_size: None,
        time: 1_760_000_000,
    };
    let image = build(&inputs.cache, &image, &inputs.tools, &Silent).unwrap();
    for stage in &image.stages {
        eprintln!("{:>9.3} s  {}", stage.seconds, stage.name);
    }
    image
}

#[test]
#[ignore = "needs packages"]
fn two_caches_give_the_same_image_and_one_cache_builds_once() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut images = Vec::new();
    for folder in &folders {
        let Some(inputs) = inputs(folder.path()) else {
            return;
        };
        let first = image(&inputs, &Tree::new());
        let again = image(&inputs, &Tree::new());
        assert_eq!(first.folder, again.folder);
        for artifact in &first.manifest.artifacts {
            eprintln!("{:>12} {}", artifact.size, artifact.name);
        }
        let mut files = Tree::new();
        files.write("etc/motd", 0o644, "hello").unwrap();
        let changed = image(&inputs, &files);
        assert_ne!(changed.manifest.root_hash, first.manifest.root_hash);
        images.push(first);
    }
    for name in [
        "lifeboat.raw",
        "lifeboat.qcow2",
        "initrd",
        "sbom.spdx.json",
        "manifest.json",
    ] {
        let read =
            |image: &Image| lifeboat_archive::Digest::of_file(&image.folder.join(name)).unwrap();
        assert_eq!(read(&images[0]), read(&images[1]), "{name}");
    }
    if let Some(keep) = std::env::var_os("LIFEBOAT_TEST_KEEP") {
        let keep = PathBuf::from(keep);
        fs_err::create_dir_all(&keep).unwrap();
        for entry in fs_err::read_dir(&images[0].folder).unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), keep.join(entry.file_name())).unwrap();
        }
    }
    eprintln!(
        "{}",
        crate::inspect(&images[0].folder.join("lifeboat.qcow2")).unwrap()
    );
}
