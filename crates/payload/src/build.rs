//! Builds a payload: programs, images, store, file system, hash tree, signature.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use ed25519_dalek::SigningKey;
use fs_err as fs;
use lifeboat_archive::{
    Cache, CacheError, Digest, Inode, Kind, Progress, Tree, TreeError, UnpackedDeb,
};
use lifeboat_sandbox::ToolsTree;

use crate::{
    KUBERNETES,
    erofs::{self, ErofsError},
    go::{self, GoError, Toolchain},
    images::{self, ImagesError},
    manifest::{self, Description, Manifest, OpenError},
    oci::{self, Image, ReadImagesError, content},
    store::{self, StoreError},
};

/// Counts up when a payload's layout changes, so that old ones in caches are not taken.
const FORMAT: &[u8] = b"payload 1";

/// The container runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// containerd 2.
    #[default]
    Containerd,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("containerd")
    }
}

/// The pod network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cni {
    /// flannel, for one node or many.
    #[default]
    Flannel,
    /// A bridge, for a single node.
    Bridge,
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flannel => "flannel",
            Self::Bridge => "bridge",
        })
    }
}

/// What a payload is to hold.
#[derive(Clone, Debug, Default)]
pub struct PayloadSpec {
    /// The container runtime.
    pub runtime: Runtime,
    /// The pod network.
    pub cni: Cni,
    /// More images, as OCI layouts (folders or archives) or archives of `docker save`.
    pub container_images: Vec<PathBuf>,
}

impl PayloadSpec {
    /// The payload's name, `kubernetes-1.36.3-containerd`.
    pub fn name(&self) -> String {
        format!("kubernetes-{KUBERNETES}-{}", self.runtime)
    }
}

/// A payload that is in the cache.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
    /// kubectl of the payload's version, which runs on the machine that built it.
    pub kubectl: PathBuf,
}

/// The payload could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The programs could not be built.
    #[error(transparent)]
    Go(#[from] GoError),
    /// The container images could not be made.
    #[error("the cluster's container images cannot be made")]
    Images(#[from] ImagesError),
    /// An image of the user's could not be read.
    #[error(transparent)]
    UserImages(#[from] ReadImagesError),
    /// Two archives have an image of the same name.
    #[error("the container image `{name}` comes twice, the second time from `{}`", path.display())]
    Twice {
        /// The image.
        name: String,
        /// The later archive.
        path: PathBuf,
    },
    /// containerd's folder could not be made.
    #[error("the payload's image store cannot be made")]
    Store(#[from] StoreError),
    /// Files stand in each other's way.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The file system could not be made.
    #[error("the payload's file system cannot be made")]
    Erofs(#[from] ErofsError),
    /// The file could not be written.
    #[error("the payload cannot be written")]
    Io(#[from] io::Error),
    /// The payload in the cache is damaged.
    #[error("the payload in the cache is damaged; `lifeboat cache clean` removes it")]
    Open(#[from] OpenError),
}

/// Programs of `bin/`, each a file of one of the two folders.
const CONTAINERD: &[&str] = &["containerd", "containerd-shim-runc-v2"];
/// Names of `bin/control`.
const CONTROL: &[&str] = &["kubeadm", "kubectl", "kubelet"];
const PLUGINS: &[&str] = &[
    "bridge",
    "firewall",
    "flannel",
    "host-local",
    "loopback",
    "portmap",
];

/// Builds a payload, or finds it in the cache. `debs` are [`images::PACKAGES`] with all that they
/// depend on.
///
/// # Errors
/// [`BuildError`], with the step that failed.
pub fn build(
    cache: &Cache,
    spec: &PayloadSpec,
    tools: &ToolsTree,
    debs: &[UnpackedDeb],
    key: &SigningKey,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<Payload, BuildError> {
    let toolchain = Toolchain::find(Some(tools))?;
    let control = go::build(cache, &toolchain, &go::CONTROL, progress, cancel)?;
    let node = go::build(cache, &toolchain, &go::NODE, progress, cancel)?;
    let fingerprints = spec
        .container_images
        .iter()
        .map(|path| oci::fingerprint(path))
        .collect::<Result<Vec<_>, _>>()?;
    let digest = payload_key(spec, &toolchain, tools, debs, key, &fingerprints);
    let name = spec.name();
    let folder = cache.derive("payload", &digest, |folder| -> Result<(), BuildError> {
        progress.start("assembling the Kubernetes payload", 0);
        let programs = Programs {
            control: &control,
            node: &node,
        };
        let user = user_images(cache, spec, &fingerprints);
        let result = user.and_then(|user| make(folder, spec, tools, debs, key, &programs, user));
        progress.finish();
        result
    })?;
    let path = folder.join(format!("{name}.raw"));
    let manifest = manifest::open(&path, &[key.verifying_key()])?.manifest;
    let kubectl = control.join("kubectl");
    Ok(Payload {
        path,
        manifest,
        kubectl,
    })
}

/// Folders of programs that were built.
struct Programs<'a> {
    control: &'a Path,
    node: &'a Path,
}

/// The user's images, each with the archive that it is from.
fn user_images(
    cache: &Cache,
    spec: &PayloadSpec,
    fingerprints: &[Digest],
) -> Result<Vec<(PathBuf, Image)>, BuildError> {
    let mut images = Vec::new();
    for (path, fingerprint) in spec.container_images.iter().zip(fingerprints) {
        let read = oci::read(cache, path, fingerprint)?;
        images.extend(read.into_iter().map(|image| (path.clone(), image)));
    }
    Ok(images)
}

fn payload_key(
    spec: &PayloadSpec,
    toolchain: &Toolchain,
    tools: &ToolsTree,
    debs: &[UnpackedDeb],
    key: &SigningKey,
    fingerprints: &[Digest],
) -> Digest {
    let name = format!("{} {}", spec.name(), spec.cni);
    // The folder in the cache is called by the digest of the tools' packages.
    let tools_name = tools.path().file_name().unwrap_or_default();
    let mut digests = vec![
        go::key(toolchain, &go::CONTROL),
        go::key(toolchain, &go::NODE),
        Digest::of(tools_name.as_encoded_bytes()),
        Digest(key.verifying_key().to_bytes()),
    ];
    let mut debs: Vec<Digest> = debs.iter().map(|deb| deb.sha256).collect();
    debs.sort();
    digests.extend(debs);
    digests.extend_from_slice(fingerprints);
    let parts = [FORMAT, name.as_bytes()];
    let digests = digests.iter().map(|digest| &digest.0[..]);
    Digest::of_parts(parts.into_iter().chain(digests))
}

fn make(
    folder: &Path,
    spec: &PayloadSpec,
    tools: &ToolsTree,
    debs: &[UnpackedDeb],
    key: &SigningKey,
    programs: &Programs<'_>,
    user: Vec<(PathBuf, Image)>,
) -> Result<(), BuildError> {
    let Programs { control, node } = programs;
    let mut images = images::build(control, node, debs, spec.cni)?;
    for (path, image) in user {
        let taken = |name: &&String| images.iter().any(|image| image.names.contains(name));
        if let Some(name) = image.names.iter().find(taken) {
            let name = name.clone();
            return Err(BuildError::Twice { name, path });
        }
        images.push(image);
    }
    let mut tree = Tree::new();
    let mut add = |path: String, program: PathBuf| -> Result<(), BuildError> {
        let inode = Inode::new(Kind::File(content(&program)?), 0o755);
        tree.insert(path.as_bytes(), inode)?;
        Ok(())
    };
    add("bin/control".to_owned(), control.join("control"))?;
    for name in CONTAINERD {
        add(format!("bin/{name}"), node.join(name))?;
    }
    for name in PLUGINS {
        add(format!("cni/{name}"), node.join(name))?;
    }
    let links = CONTROL.iter().map(|name| (*name, "control"));
    for (name, target) in links.chain([("ctr", "containerd")]) {
        tree.symlink(format!("bin/{name}"), target)?;
    }
    store::add(&mut tree, &images, &node.join("store"))?;

    fs::create_dir(folder)?;
    let name = spec.name();
    let path = folder.join(format!("{name}.raw"));
    erofs::write(tools, &tree, &path, &name)?;
    let mut programs: Vec<String> = [CONTROL, CONTAINERD, &["ctr"]]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
    programs.sort();
    let file = fs::File::options().read(true).write(true).open(&path)?;
    let description = Description {
        name,
        kubernetes: KUBERNETES.to_owned(),
        runtime: spec.runtime.to_string(),
        cni: spec.cni.to_string(),
        sandbox_image: images::PAUSE.to_owned(),
        images: images.into_iter().flat_map(|image| image.names).collect(),
        programs,
    };
    manifest::seal(file.file(), description, key)?;
    file.sync_all()?;
    Ok(())
}
