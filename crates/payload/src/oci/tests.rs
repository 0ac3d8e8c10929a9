use std::{io::Write as _, path::PathBuf};

use lifeboat_archive::{Cache, Inode};
use proptest::prelude::*;

use super::*;

fn layer(name: &str) -> Arc<Layer> {
    let mut tree = Tree::new();
    tree.write(name, 0o644, name).unwrap();
    Arc::new(Layer::new(tree).unwrap())
}

#[test]
fn documents_of_an_image() {
    let settings = Settings {
        entrypoint: &["/a"],
        user: "65535:65535",
    };
    let image = Image::new("example.org/x:1", vec![layer("a"), layer("b")], settings);
    let pretty = |bytes| {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    insta::assert_snapshot!(pretty(&image.manifest));
    insta::assert_snapshot!(pretty(&image.config));
}

#[test]
fn chain_ids_depend_on_the_layers_below() {
    let image = Image::new("x", vec![layer("a"), layer("b")], Settings::default());
    let chain = image.chain_ids();
    assert_eq!(chain[0], image.layers[0].diff_id);
    let text = format!("sha256:{} sha256:{}", chain[0], image.layers[1].diff_id);
    assert_eq!(chain[1], Digest::of(text));
}

/// A folder with a cache and an archive in it.
struct Place {
    folder: tempfile::TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        Self { folder, cache }
    }

    fn archive(&self, tree: &Tree) -> PathBuf {
        let path = self.folder.path().join("image.tar");
        write_tar(tree, std::fs::File::create(&path).unwrap()).unwrap();
        path
    }

    fn read(&self, path: &std::path::Path) -> Result<Vec<Image>, Reason> {
        let read = |path: &_| read(&self.cache, path, &fingerprint(path)?);
        read(path).map_err(|error| error.reason)
    }
}

fn tar(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).unwrap();
    bytes
}

/// Two layers; the upper one removes a file of the lower and hides a folder.
fn layers() -> [Tree; 2] {
    let mut lower = Tree::new();
    lower.write("bin/tool", 0o4755, "tool").unwrap();
    lower.link(b"bin/same", b"bin/tool").unwrap();
    lower.write("etc/old", 0o644, "old").unwrap();
    lower.write("var/old", 0o644, "old").unwrap();
    let mut upper = Tree::new();
    upper.write("etc/.wh.old", 0, "").unwrap();
    upper.write("var/.wh..wh..opq", 0, "").unwrap();
    upper.write("var/new", 0o644, "new").unwrap();
    [lower, upper]
}

fn config(diff_ids: &[String], architecture: &str) -> Vec<u8> {
    let config = json!({
        "architecture": architecture, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    config.to_string().into_bytes()
}

/// The files of an OCI layout with one image, its layers stored by `store`.
fn layout(name: &str, architecture: &str, store: fn(&[u8]) -> Vec<u8>) -> Tree {
    let mut tree = Tree::new();
    let mut blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        tree.write(format!("blobs/sha256/{digest}"), 0o644, bytes)
            .unwrap();
        json!({ "digest": named(&digest), "size": bytes.len() })
    };
    let tars = layers().map(|layer| tar(&layer));
    let diff_ids = tars.each_ref().map(|tar| named(&Digest::of(tar)));
    let descriptors = tars.each_ref().map(|tar| blob(&store(tar)));
    let config = blob(&config(&diff_ids, architecture));
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": descriptors });
    let mut entry = blob(manifest.to_string().as_bytes());
    entry["mediaType"] = json!(MANIFEST);
    if !name.is_empty() {
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    }
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    tree.write("index.json", 0o644, index.to_string()).unwrap();
    tree
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn check(image: &Image) {
    assert_eq!(image.layers.len(), 2);
    let [lower, upper] = [0, 1].map(|index| &image.layers[index].tree);
    assert_eq!(lower.id("bin/same"), lower.id("bin/tool"));
    assert_eq!(lower.get("bin/tool").unwrap().mode, 0o4755);
    let removed = Inode::new(Kind::CharDevice { major: 0, minor: 0 }, 0);
    assert_eq!(upper.get("etc/old").unwrap(), &removed);
    assert!(upper.get("etc/.wh.old").is_none() && upper.get("var/.wh..wh..opq").is_none());
    let attributes = &upper.get("var").unwrap().xattrs;
    assert_eq!(
        attributes.get(&b"trusted.overlay.opaque"[..]).unwrap(),
        b"y"
    );
    assert!(upper.get("var/new").is_some());
}

#[test]
fn archives_and_folders_with_every_compression_are_read() {
    for store in [<[u8]>::to_vec, gzip, zstd] {
        let place = Place::new();
        let tree = layout("example.org/tool:1", "amd64", store);
        let images = place.read(&place.archive(&tree)).unwrap();
        assert_eq!(images[0].names, ["example.org/tool:1"]);
        check(&images[0]);

        let folder = place.folder.path().join("layout");
        std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        for (path, _, inode) in tree.iter() {
            if let Kind::File(content) = &inode.kind {
                let to = folder.join(std::str::from_utf8(path).unwrap());
                std::fs::write(to, content.read().unwrap()).unwrap();
            }
        }
        let same = place.read(&folder).unwrap();
        check(&same[0]);
        assert_eq!(same[0].manifest, images[0].manifest);
    }
}

#[test]
fn a_compressed_archive_is_read() {
    let place = Place::new();
    let tree = layout("tool:1", "amd64", gzip);
    let path = place.folder.path().join("image.tar.gz");
    std::fs::write(&path, gzip(&tar(&tree))).unwrap();
    let images = place.read(&path).unwrap();
    assert_eq!(images[0].names, ["docker.io/library/tool:1"]);
    check(&images[0]);
}

#[test]
fn an_archive_of_docker_save_is_read() {
    let place = Place::new();
    let tars = layers().map(|layer| tar(&layer));
    let diff_ids = tars.each_ref().map(|tar| named(&Digest::of(tar)));
    let mut tree = Tree::new();
    tree.write("a/layer.tar", 0o644, &tars[0]).unwrap();
    tree.write("b/real.tar", 0o644, &tars[1]).unwrap();
    tree.symlink("b/layer.tar", "../b/real.tar").unwrap();
    tree.write("c.json", 0o644, config(&diff_ids, "amd64"))
        .unwrap();
    let saved = json!([{
        "Config": "c.json", "RepoTags": ["tool:1", "tool:2"],
        "Layers": ["a/layer.tar", "b/layer.tar"],
    }]);
    tree.write("manifest.json", 0o644, saved.to_string())
        .unwrap();
    let images = place.read(&place.archive(&tree)).unwrap();
    assert_eq!(
        images[0].names,
        ["docker.io/library/tool:1", "docker.io/library/tool:2"]
    );
    check(&images[0]);
}

#[test]
fn an_index_for_several_platforms_is_kept() {
    let place = Place::new();
    let mut tree = layout("example.org/tool:1", "amd64", gzip);
    let Kind::File(content) = &tree.get("index.json").unwrap().kind else {
        panic!("index.json is no file");
    };
    let inner: Value = serde_json::from_slice(&content.read().unwrap()).unwrap();
    let mut ours = inner["manifests"][0].clone();
    ours["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let mut other = ours.clone();
    other["platform"]["architecture"] = json!("arm64");
    other["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    let index = json!({ "schemaVersion": 2, "manifests": [other, ours] }).to_string();
    let digest = Digest::of(&index);
    tree.write(format!("blobs/sha256/{digest}"), 0o644, &index)
        .unwrap();
    let outer = json!({ "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": named(&digest),
        "annotations": { "io.containerd.image.name": "example.org/tool:1" },
    }] });
    tree.write("index.json", 0o644, outer.to_string()).unwrap();
    let images = place.read(&place.archive(&tree)).unwrap();
    check(&images[0]);
    assert_eq!(images[0].referrer.as_ref().unwrap().bytes, index.as_bytes());
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let place = Place::new();
    let refused = |tree: &Tree| place.read(&place.archive(tree)).unwrap_err().to_string();
    let mut messages = vec![refused(&Tree::new())];
    messages.push(refused(&layout("", "amd64", gzip)));
    messages.push(refused(&layout("UPPER", "amd64", gzip)));
    messages.push(refused(&layout("tool", "arm64", gzip)));
    messages.push(refused(&layout("tool", "amd64", |_| {
        gzip(&tar(&Tree::new()))
    })));
    let mut tree = layout("tool", "amd64", gzip);
    let blob = tree.children(b"blobs/sha256").next().unwrap().to_vec();
    tree.write(blob, 0o644, "changed").unwrap();
    messages.push(refused(&tree));
    let mut tree = layout("tool", "amd64", gzip);
    let blob = tree.children(b"blobs/sha256").next().unwrap().to_vec();
    tree.remove(blob);
    messages.push(refused(&tree));
    let mut tree = Tree::new();
    tree.write("index.json", 0o644, "{").unwrap();
    messages.push(refused(&tree));
    let path = place.folder.path().join("text");
    std::fs::write(&path, "no archive").unwrap();
    messages.push(place.read(&path).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_archive_is_refused_or_whole(at: prop::sample::Index, bit in 0..8u8, cut: bool) {
        let place = Place::new();
        let path = place.archive(&layout("example.org/tool:1", "amd64", gzip));
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        std::fs::write(&path, bytes).unwrap();
        // What is taken has the layers that its configuration names.
        for image in place.read(&path).unwrap_or_default() {
            let config: Value = serde_json::from_slice(&image.config).unwrap();
            let named = config["rootfs"]["diff_ids"].as_array().unwrap().len();
            prop_assert_eq!(image.layers.len(), named);
        }
    }

    #[test]
    fn any_index_is_read_without_a_panic(text: String, config: String) {
        let place = Place::new();
        let mut tree = Tree::new();
        tree.write("index.json", 0o644, &text).unwrap();
        let _ = place.read(&place.archive(&tree));
        let saved = json!([{ "Config": "config.json", "RepoTags": [text], "Layers": ["l"] }]);
        let mut tree = Tree::new();
        tree.write("manifest.json", 0o644, saved.to_string()).unwrap();
        tree.write("config.json", 0o644, &config).unwrap();
        tree.write("l", 0o644, "no archive").unwrap();
        prop_assert!(place.read(&place.archive(&tree)).is_err());
    }
}
