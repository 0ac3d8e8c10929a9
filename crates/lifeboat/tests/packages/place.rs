//! A user's folder, and what the command made of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lifeboat_archive::Cache;
use lifeboat_payload::{containers_storage, key, open, verity};
use lifeboat_sandbox::ToolsTree;

use crate::repository::{Upstream, VERSION, images, program};

/// A folder with a definition, and the keys of both repositories.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new(upstream: &Upstream, definition: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kubernetes", "crio"] {
            let key = upstream.path(&format!("{name}/Release.key"));
            fs_err::copy(key, folder.path().join(format!("{name}.asc"))).unwrap();
        }
        fs_err::write(folder.path().join("lifeboat.yaml"), definition).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whether the command succeeded, and all that it said but its progress.
    pub fn run(&self, upstream: &Upstream, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
            .args(arguments)
            .args(["--progress", "none"])
            .current_dir(self.folder.path())
            .env("LIFEBOAT_CONFIG", self.path("config"))
            .env("LIFEBOAT_STATE", self.path("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).replace(&upstream.url(), "[UPSTREAM]");
        (output.status.success(), text)
    }

    pub fn refused(&self, upstream: &Upstream) -> String {
        let (success, said) = self.run(upstream, &["lock"]);
        assert!(!success, "{said}");
        assert!(!self.path("lifeboat.lock").exists());
        said
    }
}

/// The tools tree that the build used last.
pub fn tools() -> ToolsTree {
    let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap();
    let entries = cache.entries_of("tools").unwrap();
    let newest = entries.into_iter().max_by_key(|entry| entry.used).unwrap();
    ToolsTree::open(&newest.path).unwrap()
}

/// Reads the payload back.
pub fn check_payload(place: &Place, tools: &ToolsTree) {
    let key = key::signing_key(&place.path("config"))
        .unwrap()
        .verifying_key();
    let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap();
    let name = format!("kubernetes-{VERSION}-crio");
    let files = cache.entries_of("payload").unwrap().into_iter();
    let (path, opened) = files
        .map(|entry| entry.path.join(format!("{name}.raw")))
        .find_map(|path| Some((path.clone(), open(&path, &[key]).ok()?)))
        .expect("a payload that this user signed");
    let manifest = opened.manifest;
    let file = fs_err::File::open(&path).unwrap();
    verity::verify(file.file(), &manifest.hash_area()).unwrap();
    assert_eq!(
        (&*manifest.kubernetes, &*manifest.runtime, &*manifest.cni),
        (VERSION, "cri-o", "bridge")
    );
    assert_eq!(manifest.sandbox_image, "registry.k8s.io/pause:3.10.2");
    let programs = [
        "conmon", "crictl", "crio", "kubeadm", "kubectl", "kubelet", "pinns",
    ];
    assert_eq!(manifest.programs, programs);

    let extracted = place.path("payload");
    let output = tools
        .command("fsck.erofs")
        .arg(format!("--extract={}", extracted.display()))
        .args(["--no-preserve-owner", "--no-preserve-perms"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs_err::read_dir(extracted.join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["bin", "cni", "images"]);
    assert_eq!(names("bin"), programs);
    assert_eq!(
        names("cni"),
        ["bridge", "host-local", "loopback", "macvlan", "portmap"]
    );
    let bytes = |path: &Path| fs_err::read(path).unwrap();
    assert_eq!(bytes(&extracted.join("bin/crio")), program("crio\n"));
    assert_eq!(bytes(&extracted.join("cni/bridge")), program("bridge\n"));

    let store = containers_storage::read(&extracted.join("images")).unwrap();
    assert_eq!(store.images.len(), images().len());
    for name in images() {
        let image = store.images.iter().find(|image| image.names == [&*name]);
        let layers = &image.unwrap().layers;
        assert_eq!(bytes(&layers[0].join("name")), name.as_bytes());
        assert!(layers[1].join("etc/passwd").is_file());
        // The layer that all share is there once.
        assert_eq!(layers[1], store.images[0].layers[1]);
    }
    assert_eq!(names("images/overlay").len(), images().len() + 1 + 1);
}
