//! A containerd data folder in which all images are unpacked already.
//!
//! In the payload it lies in `containerd/`, laid out as containerd has it: databases, manifests
//! and configurations (no layers: nobody reads those once they are unpacked), and
//! `snapshots/N/fs` with the files. Files that are also in `bin/`, and layers of several images,
//! are hard links.
//!
//! containerd writes to its databases and makes new snapshots beside these, so at first boot
//! [`seed`] copies the small part to the node's state partition and makes each snapshot there
//! a symbolic link into the mounted payload. Paths through the links are all that the overlayfs
//! snapshotter uses, so no mount is needed for them, neither at first boot nor later.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use fs_err as fs;
use lifeboat_archive::{Digest, Inode, InodeId, Kind, Tree, TreeError, TreePath};
use serde_json::json;

use crate::oci::{Image, named};

/// Where the metadata store is, below containerd's data folder.
const METADATA: &str = "io.containerd.metadata.v1.bolt";
const CONTENT: &str = "io.containerd.content.v1.content/blobs/sha256";
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// In containerd's data folder: which payload it was seeded from.
const SEED: &str = "lifeboat-payload";
/// Where the kubelet's containers are, for containerd.
const NAMESPACE: &str = "k8s.io";

/// The store could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Files stand in each other's way.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The databases could not be written.
    #[error("the program that writes containerd's databases cannot be run")]
    Io(#[from] io::Error),
    /// The program that writes them failed.
    #[error("containerd's databases cannot be written: {0}")]
    Program(String),
}

/// Adds `containerd/` for these images to a payload's tree. `writer` is the program of
/// `kubernetes/node/store`. Layers' files whose content is in the tree already become hard
/// links to it.
pub(crate) fn add(tree: &mut Tree, images: &[Image], writer: &Path) -> Result<(), StoreError> {
    let mut snapshots = Vec::new();
    let mut chains: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut known = known_files(tree);
    let mut blobs = BTreeMap::new();
    let mut described = Vec::new();
    for image in images {
        let chain_ids = image.chain_ids();
        for (index, (layer, chain)) in image.layers.iter().zip(&chain_ids).enumerate() {
            if chains.contains_key(chain) {
                continue;
            }
            let id = chains.len() + 1;
            chains.insert(*chain, id);
            let (size, inodes) = layer.usage();
            let parent = index.checked_sub(1).map(|below| named(&chain_ids[below]));
            snapshots.push(json!({
                "id": id,
                "chain_id": named(chain),
                "parent": parent.unwrap_or_default(),
                "size": size,
                "inodes": inodes,
            }));
            let folder = format!("containerd/{SNAPSHOTTER}/snapshots/{id}");
            tree.mkdir(&folder, 0o700)?;
            place(tree, &format!("{folder}/fs"), &layer.tree, &mut known)?;
        }
        describe(image, chain_ids.last(), &mut blobs);
        described.push(description(image));
    }
    tree.mkdir(format!("containerd/{SNAPSHOTTER}/snapshots"), 0o700)?;
    let mut list = Vec::new();
    for (digest, (bytes, labels)) in blobs {
        tree.write(format!("containerd/{CONTENT}/{digest}"), 0o444, bytes)?;
        list.push(json!({ "digest": named(&digest), "size": bytes.len(), "labels": labels }));
    }
    let description = json!({
        "namespace": NAMESPACE,
        "created": 0,
        "images": described,
        "blobs": list,
        "snapshots": snapshots,
    });
    let folder = tempfile::tempdir()?;
    run(writer, folder.path(), &description.to_string())?;
    for (place, name) in [(METADATA, "meta.db"), (SNAPSHOTTER, "metadata.db")] {
        let bytes = fs::read(folder.path().join(name))?;
        tree.write(format!("containerd/{place}/{name}"), 0o644, bytes)?;
    }
    Ok(())
}

/// The database's records about an image's manifest: under its tags, its digest and its id.
fn description(image: &Image) -> serde_json::Value {
    let (bytes, media_type) = match &image.referrer {
        Some(index) => (&index.bytes, &index.media_type),
        None => (&image.manifest, &image.media_type),
    };
    let digest = Digest::of(bytes);
    let mut names = image.names.clone();
    for name in &image.names {
        // A tag is behind the last `:`, unless that is a port's.
        let repository = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        };
        names.push(format!("{repository}@{}", named(&digest)));
    }
    names.push(named(&Digest::of(&image.config)));
    names.sort();
    names.dedup();
    json!({
        "names": names,
        "digest": named(&digest),
        "media_type": media_type,
        "size": bytes.len(),
        "labels": {
            "io.cri-containerd.image": "managed",
            "io.cri-containerd.pinned": "pinned",
        },
    })
}

type Blobs<'a> = BTreeMap<Digest, (&'a [u8], BTreeMap<String, String>)>;

/// The content of an image, with the labels that keep all of it from being collected.
fn describe<'a>(image: &'a Image, chain: Option<&Digest>, blobs: &mut Blobs<'a>) {
    let config = Digest::of(&image.config);
    if let Some(index) = &image.referrer {
        let manifest = named(&Digest::of(&image.manifest));
        let reference = [("containerd.io/gc.ref.content.m.0".to_owned(), manifest)];
        blobs.insert(Digest::of(&index.bytes), (&index.bytes, reference.into()));
    }
    let reference = [(
        "containerd.io/gc.ref.content.config".to_owned(),
        named(&config),
    )];
    blobs.insert(
        Digest::of(&image.manifest),
        (&image.manifest, reference.into()),
    );
    let snapshot = chain.map(|chain| {
        (
            "containerd.io/gc.ref.snapshot.overlayfs".to_owned(),
            named(chain),
        )
    });
    blobs.insert(config, (&image.config, snapshot.into_iter().collect()));
}

/// Files of the tree that are a whole file of the cache, by that.
pub(crate) type Known = BTreeMap<(std::path::PathBuf, u64, u64), TreePath>;

fn source(inode: &Inode) -> Option<(std::path::PathBuf, u64, u64)> {
    match &inode.kind {
        Kind::File(lifeboat_archive::Content::Slice { file, offset, size }) => {
            Some((file.to_path_buf(), *offset, *size))
        }
        _ => None,
    }
}

pub(crate) fn known_files(tree: &Tree) -> Known {
    let entries = tree.iter();
    entries
        .filter_map(|(path, _, inode)| Some((source(inode)?, path.to_vec())))
        .collect()
}

/// Puts a layer's tree at a path.
pub(crate) fn place(
    tree: &mut Tree,
    at: &str,
    layer: &Tree,
    known: &mut Known,
) -> Result<(), TreeError> {
    let mut placed: BTreeMap<InodeId, TreePath> = BTreeMap::new();
    for (path, id, inode) in layer.iter() {
        let mut to = at.as_bytes().to_vec();
        if !path.is_empty() {
            to.push(b'/');
            to.extend_from_slice(path);
        }
        let same = source(inode)
            .and_then(|source| known.get(&source))
            .filter(|there| {
                // Owner, mode and attributes belong to the inode, so they must be the same too.
                tree.get(there).is_some_and(|there| there == inode)
            });
        if let Some(there) = placed.get(&id).or(same) {
            let there = there.clone();
            tree.link(&to, &there)?;
            continue;
        }
        // A layer's own links must not be followed while it is placed: `insert` follows
        // folders that are links, and `to` names a path inside the layer's archive, where the
        // reader has followed them already.
        tree.insert(&to, inode.clone())?;
        if inode.kind != Kind::Directory {
            if let Some(source) = source(inode) {
                known.insert(source, to.clone());
            }
            placed.insert(id, to);
        }
    }
    Ok(())
}

fn run(writer: &Path, folder: &Path, description: &str) -> Result<(), StoreError> {
    let mut command = Command::new(writer);
    let mut child = lifeboat_sandbox::end_with_us(&mut command)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(description.as_bytes()),
        None => Ok(()),
    };
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(StoreError::Program(text.trim().to_owned()));
    }
    Ok(written?)
}

/// Makes containerd's data folder on a node from a mounted payload. A folder of the same payload
/// is left as it is; one of another payload is made anew, as its databases speak of snapshots
/// that are not there any more (containers and pulled images of it are lost: nothing runs yet
/// when a node boots, and the kubelet makes its pods again). Call it before containerd starts.
///
/// * `payload` is where the payload is mounted now (`/sysroot/opt/kubernetes/1.36.3`).
/// * `mounted_at` is where containerd will see it (`/opt/kubernetes/1.36.3`).
/// * `containerd` is the folder to make (`/sysroot/var/lib/containerd`).
///
/// The folder appears whole or not at all, whatever is interrupted. Returns whether it was made.
///
/// # Errors
/// If the payload cannot be read or the folder not be written.
pub fn seed(payload: &Path, mounted_at: &Path, containerd: &Path) -> io::Result<bool> {
    let store = payload.join("containerd");
    let identity = Digest::of_file(&store.join(METADATA).join("meta.db"))?.0;
    let identity = format!("{} {identity}\n", mounted_at.display());
    match fs::read_to_string(containerd.join(SEED)) {
        Ok(seeded) if seeded == identity => return Ok(false),
        _ => {}
    }
    let mut name = containerd.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = containerd.with_file_name(name);
    remove(&unfinished)?;
    private_folder(&unfinished)?;
    for part in [METADATA, CONTENT] {
        copy(&store.join(part), &unfinished.join(part))?;
    }
    let snapshots = unfinished.join(SNAPSHOTTER).join("snapshots");
    private_folder(&snapshots)?;
    let database = Path::new(SNAPSHOTTER).join("metadata.db");
    copy_file(&store.join(&database), &unfinished.join(&database))?;
    let target = mounted_at
        .join("containerd")
        .join(SNAPSHOTTER)
        .join("snapshots");
    for entry in fs::read_dir(store.join(SNAPSHOTTER).join("snapshots"))? {
        let name = entry?.file_name();
        symlink(target.join(&name), snapshots.join(&name))?;
    }
    fs::write(unfinished.join(SEED), identity)?;
    sync(&unfinished)?;
    remove(containerd)?;
    fs::rename(&unfinished, containerd)?;
    containerd.parent().map_or(Ok(()), sync)?;
    Ok(true)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy_file(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::File::open(to)?.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::oci::{Layer, Settings};

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A payload's folder with the parts that matter to [`seed`].
    fn payload(folder: &Path) -> PathBuf {
        let payload = folder.join("payload");
        let store = payload.join("containerd");
        write(store.join(METADATA).join("meta.db"), "meta");
        write(store.join(CONTENT).join("abc"), "manifest");
        write(store.join(SNAPSHOTTER).join("metadata.db"), "snapshots");
        for id in ["1", "2"] {
            write(
                store
                    .join(SNAPSHOTTER)
                    .join("snapshots")
                    .join(id)
                    .join("fs/file"),
                id,
            );
        }
        payload
    }

    #[test]
    fn a_seeded_folder_reads_from_the_payload_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let payload = payload(folder.path());
        let containerd = folder.path().join("containerd");
        // What a killed boot left, and what a package made.
        write(folder.path().join("containerd.new/half"), "");
        fs::create_dir(&containerd).unwrap();
        assert!(seed(&payload, &payload, &containerd).unwrap());
        let file = containerd.join(SNAPSHOTTER).join("snapshots/2/fs/file");
        assert_eq!(fs::read_to_string(file).unwrap(), "2");
        write(containerd.join("of-containerd"), "");
        assert!(!seed(&payload, &payload, &containerd).unwrap());
        assert!(containerd.join("of-containerd").exists());
        assert!(!folder.path().join("containerd.new").exists());

        fs::write(
            payload.join("containerd").join(METADATA).join("meta.db"),
            "other",
        )
        .unwrap();
        assert!(seed(&payload, &payload, &containerd).unwrap());
        assert!(!containerd.join("of-containerd").exists());
    }

    #[test]
    fn layers_and_programs_are_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "program").unwrap();
        let inode = || Inode::new(Kind::File(crate::oci::content(&program).unwrap()), 0o755);
        let layer = |paths: &[&str]| {
            let mut tree = Tree::new();
            for path in paths {
                tree.insert(path.as_bytes(), inode()).unwrap();
            }
            std::sync::Arc::new(Layer::new(tree).unwrap())
        };
        let shared = layer(&["shared"]);
        let images = [("one", &["a"][..]), ("two", &["b", "c"])].map(|(name, paths)| {
            let layers = vec![shared.clone(), layer(paths)];
            Image::new(name, layers, Settings::default())
        });
        let mut tree = Tree::new();
        tree.insert(b"bin/program", inode()).unwrap();
        // In place of the writer of databases: it copies the description.
        let writer = folder.path().join("writer");
        write(
            writer.clone(),
            "#!/bin/sh\ntee $1/meta.db >$1/metadata.db\n",
        );
        fs::set_permissions(&writer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        add(&mut tree, &images, &writer).unwrap();
        let id = tree.id("bin/program");
        let snapshots = format!("containerd/{SNAPSHOTTER}/snapshots");
        for path in ["1/fs/shared", "2/fs/a", "3/fs/b", "3/fs/c"] {
            assert_eq!(tree.id(format!("{snapshots}/{path}")), id, "{path}");
        }
        assert!(tree.get(format!("{snapshots}/4")).is_none());
        let database = tree.get(format!("containerd/{METADATA}/meta.db")).unwrap();
        let Kind::File(content) = &database.kind else {
            panic!("meta.db is no file");
        };
        let text: serde_json::Value = serde_json::from_slice(&content.read().unwrap()).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&text).unwrap());
    }
}
