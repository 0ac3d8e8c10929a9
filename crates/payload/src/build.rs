//! Builds a payload: programs, images, store, file system, hash tree, signature.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use ed25519_dalek::SigningKey;
use fs_err as fs;
use lifeboat_archive::{Cache, CacheError, Digest, Progress, TreeError, UnpackedDeb};
use lifeboat_sandbox::ToolsTree;

use crate::{
    KUBERNETES,
    contents::{self, Contents},
    erofs::{self, ErofsError},
    go::{self, GoError, Module, Toolchain},
    images::ImagesError,
    manifest::{self, Description, Manifest, OpenError},
    oci::{self, Image, ReadImagesError},
    packages::{Packages, PackagesError},
    store::StoreError,
};

/// Counts up when a payload's layout changes, so that old ones in caches are not taken.
const FORMAT: &[u8] = b"payload 1";

/// The container runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// containerd 2.
    #[default]
    Containerd,
    /// CRI-O, which comes in packages only.
    CriO,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
        })
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
    /// None: the user brings one. The reference plugins are there, as every network expects.
    None,
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flannel => "flannel",
            Self::Bridge => "bridge",
            Self::None => "none",
        })
    }
}

/// Where Kubernetes comes from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// Built from the pinned Go modules.
    #[default]
    Modules,
    /// Taken from packages.
    Packages(Packages),
}

/// What a payload is to hold.
#[derive(Clone, Debug, Default)]
pub struct PayloadSpec {
    /// Where Kubernetes comes from.
    pub source: Source,
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
        let runtime = match self.runtime {
            Runtime::Containerd => "containerd",
            Runtime::CriO => "crio",
        };
        format!("kubernetes-{}-{runtime}", self.version())
    }

    /// Kubernetes' version without `v`.
    pub fn version(&self) -> &str {
        match &self.source {
            Source::Modules => KUBERNETES,
            Source::Packages(packages) => packages.version(),
        }
    }

    /// The Go modules that have to be built for it.
    fn modules(&self) -> Vec<&'static Module> {
        let mut modules = Vec::new();
        if matches!(self.source, Source::Modules) {
            modules.push(&go::CONTROL);
        }
        // containerd and flannel are in no package of Kubernetes or Debian that would do.
        if !modules.is_empty() || self.runtime == Runtime::Containerd || self.cni == Cni::Flannel {
            modules.push(&go::NODE);
        }
        modules
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
    /// The packages do not hold what is needed.
    #[error(transparent)]
    Packages(#[from] PackagesError),
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

/// Builds a payload, or finds it in the cache. `debs` are
/// [`crate::images::PACKAGES`] with all that they depend on; none are needed where no Go module
/// is.
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
    let wanted = spec.modules();
    let modules = Modules {
        toolchain: match wanted[..] {
            [] => None,
            _ => Some(Toolchain::find(Some(tools))?),
        },
        cache,
        tools,
        progress,
        cancel,
    };
    let mut keys = Vec::new();
    for module in wanted {
        modules.build(module)?;
        keys.extend(modules.toolchain.iter().map(|one| go::key(one, module)));
    }
    let fingerprints = spec
        .container_images
        .iter()
        .map(|path| oci::fingerprint(path))
        .collect::<Result<Vec<_>, _>>()?;
    let digest = payload_key(spec, keys, tools, debs, key, &fingerprints);
    let name = spec.name();
    let folder = cache.derive("payload", &digest, |folder| -> Result<(), BuildError> {
        progress.start("assembling the Kubernetes payload", 0);
        let user = user_images(cache, spec, &fingerprints);
        let result = user
            .and_then(|user| contents::assemble(spec, &modules, debs, user))
            .and_then(|contents| make(folder, spec, tools, key, contents));
        progress.finish();
        result
    })?;
    let path = folder.join(format!("{name}.raw"));
    let manifest = manifest::open(&path, &[key.verifying_key()])?.manifest;
    let programs = match &spec.source {
        Source::Modules => modules.build(&go::CONTROL)?,
        Source::Packages(packages) => packages.runnable(cache)?,
    };
    Ok(Payload {
        path,
        manifest,
        kubectl: programs.join("kubectl"),
    })
}

/// Builds Go modules, or finds them in the cache.
pub(crate) struct Modules<'a> {
    toolchain: Option<Toolchain>,
    pub(crate) cache: &'a Cache,
    tools: &'a ToolsTree,
    progress: &'a dyn Progress,
    cancel: &'a AtomicBool,
}

impl Modules<'_> {
    /// The folder of a module's programs.
    pub(crate) fn build(&self, module: &Module) -> Result<PathBuf, GoError> {
        let found;
        let toolchain = if let Some(toolchain) = &self.toolchain {
            toolchain
        } else {
            found = Toolchain::find(Some(self.tools))?;
            &found
        };
        go::build(self.cache, toolchain, module, self.progress, self.cancel)
    }
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
    modules: Vec<Digest>,
    tools: &ToolsTree,
    debs: &[UnpackedDeb],
    key: &SigningKey,
    fingerprints: &[Digest],
) -> Digest {
    let name = format!("{} {}", spec.name(), spec.cni);
    // The folder in the cache is called by the digest of the tools' packages.
    let tools_name = tools.path().file_name().unwrap_or_default();
    let mut digests = modules;
    digests.push(Digest::of(tools_name.as_encoded_bytes()));
    digests.push(Digest(key.verifying_key().to_bytes()));
    let mut debs: Vec<Digest> = debs.iter().map(|deb| deb.sha256).collect();
    debs.sort();
    digests.extend(debs);
    digests.extend_from_slice(fingerprints);
    let mut parts = vec![FORMAT, name.as_bytes()];
    if let Source::Packages(packages) = &spec.source {
        parts.push(b"packages");
        digests.extend(packages.digests());
    }
    let digests = digests.iter().map(|digest| &digest.0[..]);
    Digest::of_parts(parts.into_iter().chain(digests))
}

fn make(
    folder: &Path,
    spec: &PayloadSpec,
    tools: &ToolsTree,
    key: &SigningKey,
    contents: Contents,
) -> Result<(), BuildError> {
    fs::create_dir(folder)?;
    let name = spec.name();
    let path = folder.join(format!("{name}.raw"));
    erofs::write(tools, &contents.tree, &path, &name)?;
    let file = fs::File::options().read(true).write(true).open(&path)?;
    let description = Description {
        name,
        kubernetes: spec.version().to_owned(),
        runtime: spec.runtime.to_string(),
        cni: spec.cni.to_string(),
        sandbox_image: contents.sandbox_image,
        images: contents.images,
        programs: contents.programs,
    };
    manifest::seal(file.file(), description, key)?;
    file.sync_all()?;
    Ok(())
}
