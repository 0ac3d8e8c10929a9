//! A user's folder, and what the command made of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::SystemTime,
};

use lifeboat_archive::{
    Cache, DebFile, Mirrors, Repository as DebianArchive, Request, Silent, Wishes, download,
    resolve, unpack,
};
use lifeboat_payload::{Manifest, key, open, verity};
use lifeboat_sandbox::ToolsTree;

use crate::repository::Upstream;

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

fn cache() -> Cache {
    Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap()
}

/// The tools tree that the build used last: the newest with a program that reads erofs.
pub fn tools() -> ToolsTree {
    let mut entries = cache().entries_of("tools").unwrap();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    let mut trees = entries
        .iter()
        .filter_map(|entry| ToolsTree::open(&entry.path).ok());
    trees.find(|tree| tree.has("fsck.erofs")).unwrap()
}

/// The payload of this name that this user signed: what it says, and its files. Every block of
/// it is verified.
pub fn read_payload(place: &Place, tools: &ToolsTree, name: &str) -> (Manifest, PathBuf) {
    let key = key::signing_key(&place.path("config")).unwrap();
    let files = cache().entries_of("payload").unwrap().into_iter();
    let (path, opened) = files
        .map(|entry| entry.path.join(format!("{name}.raw")))
        .find_map(|path| Some((path.clone(), open(&path, &[key.verifying_key()]).ok()?)))
        .expect("a payload that this user signed");
    let manifest = opened.manifest;
    let file = fs_err::File::open(&path).unwrap();
    verity::verify(file.file(), &manifest.hash_area()).unwrap();
    let extracted = place.path(name);
    let output = tools
        .command("fsck.erofs")
        .arg(format!("--extract={}", extracted.display()))
        .args(["--no-preserve-owner", "--no-preserve-perms"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (manifest, extracted)
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Reads the store with skopeo of Debian, which has the library that CRI-O has.
pub fn skopeo_agrees(place: &Place, store: &Path, images: &[String]) {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: skopeo reads a store only as root");
        return;
    }
    let skopeo = skopeo();
    let policy = place.path("policy.json");
    fs_err::write(
        &policy,
        r#"{"default": [{"type": "insecureAcceptAnything"}]}"#,
    )
    .unwrap();
    for name in images {
        let output = skopeo
            .command("skopeo")
            .arg("--policy")
            .arg(&policy)
            .arg("inspect")
            .arg(format!(
                "containers-storage:[overlay@{}+{}:overlay.imagestore={}]{name}",
                place.path("graph").display(),
                place.path("run").display(),
                store.display()
            ))
            .env("HOME", place.path("home"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("is not supported over") {
            println!("SKIPPED: the file system here takes no overlay: {said}");
            return;
        }
        assert!(output.status.success(), "{name}: {said}");
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(facts["Layers"].as_array().map(Vec::len), Some(2), "{facts}");
    }
}

fn skopeo() -> ToolsTree {
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let cancel = AtomicBool::new(false);
    let request = Request {
        repositories: DebianArchive::debian("trixie"),
        architecture: "amd64".to_owned(),
        wishes: Wishes {
            names: vec!["skopeo".to_owned()],
            ..Wishes::default()
        },
    };
    let (cache, now) = (cache(), SystemTime::now());
    let set = resolve(&cache, &request, &mirrors, &Silent, &cancel, now).unwrap();
    let files = download(&cache, &set, &mirrors, &Silent, &cancel).unwrap();
    let debs: Vec<DebFile> = files
        .into_iter()
        .map(|(package, path)| DebFile {
            path,
            sha256: package.sha256,
            name: package.name,
        })
        .collect();
    let debs = unpack(&cache, &debs, &Silent, &cancel).unwrap();
    ToolsTree::materialise(&cache, &debs).unwrap()
}
