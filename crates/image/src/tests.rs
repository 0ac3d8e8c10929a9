//! Whole images, from Debian's own packages: the tools of a build and, for the image, a kernel,
//! systemd-boot-efi and busybox-static.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::SystemTime,
};

use lifeboat_archive::{
    Cache, DebFile, Mirrors, Repository, Request, Silent, Tree, UnpackedDeb, Wishes, download,
    resolve, unpack,
};
use lifeboat_sandbox::ToolsTree;

use crate::{Image, ImageInputs, TOOL_PACKAGES, Units, build, testing};

/// Of these only the packages themselves are unpacked, and the one that the kernel's stands for.
const IMAGE: [&str; 3] = [
    "linux-image-cloud-amd64",
    "systemd-boot-efi",
    "busybox-static",
];

struct Inputs {
    cache: Cache,
    tools: ToolsTree,
    base: Tree,
    program: PathBuf,
}

/// Packages with all that they need, of which `wanted` are downloaded and unpacked.
fn packages(cache: &Cache, names: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<UnpackedDeb> {
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let cancel = AtomicBool::new(false);
    let request = Request {
        repositories: Repository::debian("trixie"),
        architecture: "amd64".to_owned(),
        wishes: Wishes {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Wishes::default()
        },
    };
    let now = SystemTime::now();
    let mut set = resolve(cache, &request, &mirrors, &Silent, &cancel, now).unwrap();
    set.packages.retain(|package| wanted(&package.name));
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

/// Makes the inputs with a cache for the image in `folder`; packages are in the user's.
fn inputs(folder: &Path) -> Inputs {
    let shared = testing::cache();
    let tools = packages(&shared, TOOL_PACKAGES, |_| true);
    let tools = ToolsTree::materialise(&shared, &tools).unwrap();
    let mut base = Tree::new();
    let is_image = |name: &str| IMAGE.contains(&name) || name.starts_with("linux-image-");
    for deb in packages(&shared, &IMAGE, is_image) {
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
    base.write(
        "usr/lib/os-release",
        0o644,
        "ID=debian\nPRETTY_NAME=\"Debian 13\"\n",
    )
    .unwrap();
    let status =
        "Package: busybox-static\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
    base.write("var/lib/dpkg/status", 0o644, status).unwrap();
    Inputs {
        cache: Cache::open(folder.join("cache")).unwrap(),
        tools,
        base,
        program,
    }
}

fn image(inputs: &Inputs, files: &Tree) -> Image {
    let payload = inputs.program.with_file_name("payload.raw");
    fs_err::write(&payload, vec![5; 3 << 20]).unwrap();
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
#[ignore = "network"]
fn two_caches_give_the_same_image_and_one_cache_builds_once() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut images = Vec::new();
    for folder in &folders {
        let inputs = inputs(folder.path());
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
    eprintln!(
        "{}",
        crate::inspect(&images[0].folder.join("lifeboat.qcow2")).unwrap()
    );
}
