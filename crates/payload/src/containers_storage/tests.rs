use std::{path::Path, sync::Arc};

use fs_err as fs;
use lifeboat_archive::{Digest, Inode, Kind, Tree};

use super::{ReadStoreError, add, format::file_name, read};
use crate::oci::{Image, Layer, Referrer, Settings, content};

fn layer(files: &[(&str, &str)]) -> Arc<Layer> {
    let mut tree = Tree::new();
    for (path, text) in files {
        tree.write(path, 0o644, text).unwrap();
    }
    Arc::new(Layer::new(tree).unwrap())
}

/// Two images that share their lowest layer, the second of them under two names.
fn images() -> Vec<Image> {
    let base = layer(&[("etc/passwd", "root\n")]);
    let image = |name: &str, more: &[Arc<Layer>]| {
        let layers = [std::slice::from_ref(&base), more].concat();
        Image::new(name, layers, Settings::default())
    };
    let (middle, top) = (layer(&[("middle", "m")]), layer(&[("top", "t")]));
    let mut second = image("example.org/two:1", &[middle, top]);
    second.referrer = Some(Referrer {
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        bytes: b"{}".to_vec(),
    });
    let again = Image {
        names: vec!["example.org/again:1".to_owned()],
        ..second.clone()
    };
    vec![image("example.org/one:1", &[]), second, again]
}

/// Writes a tree of folders, files and links to the disk.
fn write(tree: &Tree, root: &Path) {
    for (path, _, inode) in tree.iter() {
        let path = root.join(std::str::from_utf8(path).unwrap());
        match &inode.kind {
            Kind::Directory => fs::create_dir_all(path).unwrap(),
            Kind::File(content) => fs::write(path, content.read().unwrap()).unwrap(),
            Kind::Symlink(target) => {
                let target = std::str::from_utf8(target).unwrap();
                std::os::unix::fs::symlink(target, path).unwrap();
            }
            other => panic!("{other:?} in a store"),
        }
    }
}

fn store() -> tempfile::TempDir {
    let mut tree = Tree::new();
    add(&mut tree, "images", &images()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(&tree, folder.path());
    folder
}

#[test]
fn images_that_are_written_are_read_with_their_layers() {
    let folder = store();
    let root = folder.path().join("images");
    let store = read(&root).unwrap();
    let find = |name: &str| {
        let mut images = store.images.iter();
        images
            .find(|image| image.names.iter().any(|other| other == name))
            .unwrap()
    };
    let (one, two) = (find("example.org/one:1"), find("example.org/two:1"));
    assert_eq!(store.images.len(), 2);
    assert_eq!(two.names, ["example.org/again:1", "example.org/two:1"]);
    assert_eq!(one.id, Digest::of(&images()[0].config));
    assert_eq!((one.layers.len(), two.layers.len()), (1, 3));
    assert_eq!(one.layers[0], two.layers[2]);
    for (layer, file) in two.layers.iter().zip(["top", "middle", "etc/passwd"]) {
        assert!(layer.join(file).is_file(), "{file}");
    }
}

/// The ids and names that containers-image would have given: computed by hand from its rules,
/// as a store that only its own reader understands is of no use.
#[test]
fn names_in_the_store_are_those_of_the_library() {
    let folder = store();
    let root = folder.path().join("images");
    let images = images();
    let first = images[1].layers[0].diff_id.to_string();
    let second = images[1].layers[1].diff_id.to_string();
    let second = Digest::of(format!("{first}+{second}")).to_string();
    for id in [&first, &second] {
        assert!(root.join("overlay").join(id).join("diff").is_dir());
    }
    let link = fs::read_to_string(root.join("overlay").join(&first).join("link")).unwrap();
    assert_eq!(link.len(), 26);
    let lower = root.join("overlay").join(&second).join("lower");
    assert_eq!(fs::read_to_string(lower).unwrap(), format!("l/{link}"));

    // storage.makeBigDataBaseName
    assert_eq!(file_name("manifest"), "manifest");
    assert_eq!(file_name("sha256:ab"), "=c2hhMjU2OmFi");
    let text = fs::read_to_string(root.join("overlay-images/images.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = list[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "digest",
            "names",
            "layer",
            "metadata",
            "big-data-names",
            "big-data-sizes",
            "big-data-digests",
            "created"
        ]
    );
    let text = fs::read_to_string(root.join("overlay-layers/layers.json")).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list[0]["diff-digest"], format!("sha256:{first}"));
    assert_eq!(list[0]["diff-size"], images[0].layers[0].size);
    assert!(list[0].get("parent").is_none());
    assert_eq!(list[1]["parent"], first);
}

#[test]
fn a_program_of_the_payload_in_a_layer_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, "program").unwrap();
    let inode = || Inode::new(Kind::File(content(&program).unwrap()), 0o755);
    let mut files = Tree::new();
    files.insert(b"usr/bin/program", inode()).unwrap();
    let layers = vec![Arc::new(Layer::new(files).unwrap())];
    let image = Image::new("example.org/one:1", layers, Settings::default());
    let mut tree = Tree::new();
    tree.insert(b"bin/program", inode()).unwrap();
    add(&mut tree, "images", std::slice::from_ref(&image)).unwrap();
    let path = format!(
        "images/overlay/{}/diff/usr/bin/program",
        image.layers[0].diff_id
    );
    assert_eq!(tree.id(path), tree.id("bin/program"));
}

#[test]
fn a_store_that_does_not_fit_together_is_refused() {
    let base = images()[0].layers[0].diff_id.to_string();
    let config = Digest::of(&images()[0].config).to_string();
    let document = file_name(&format!("sha256:{config}"));
    for (path, text) in [
        (format!("overlay/{base}/link"), "ABC"),
        (format!("overlay/{base}/lower"), "l/ABC"),
        (format!("overlay-images/{config}/manifest"), "other"),
        (format!("overlay-images/{config}/{document}"), "other"),
        ("overlay-layers/layers.json".to_owned(), "[]"),
        ("overlay-layers/layers.json".to_owned(), "{"),
    ] {
        let folder = store();
        let root = folder.path().join("images");
        fs::write(root.join(&path), text).unwrap();
        assert!(read(&root).is_err(), "{path}");
    }
    let folder = store();
    let root = folder.path().join("images");
    fs::remove_file(root.join("overlay-images/images.lock")).unwrap();
    assert!(matches!(read(&root), Err(ReadStoreError::Io(_))));
}
