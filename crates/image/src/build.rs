//! All stages of an image, each made once for the same inputs.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use fs_err as fs;
use lifeboat_archive::{
    Cache, CacheError, Content, Digest, Inode, Kind, Progress, Tree, TreeError,
};
use lifeboat_sandbox::ToolsTree;

use crate::{
    disk::{self, AssembleError, Disk, DiskSizes, Parts},
    finish::{self, Additions, FinishError, Root, Units},
    identity::Identity,
    initrd::{self, InitrdError, MODULES},
    manifest::{Artifact, Manifest, SCHEMA},
    package::{Component, spdx},
    qcow2,
    root::{self, WriteRootError},
    state::{self, WriteStateError},
    uki::{self, NewSection, WriteUkiError},
};

/// Counts up when a stage makes something else of the same inputs.
const FORMAT: &[u8] = b"image 2";
/// What every node's kernel is told, after the root hash. Huge pages are for programs that ask
/// for them: given to all, the heaps of a node's many Go programs take 100 MB more.
const COMMAND_LINE: &str = "console=tty0 console=ttyS0,115200 systemd.gpt_auto=0 panic=30 \
     transparent_hugepage=madvise quiet";

/// Where on the state partition, which is /var, payloads are.
const PAYLOADS: &str = "lib/lifeboat/payloads";

/// What an image is made of.
#[derive(Debug)]
pub struct ImageInputs<'a> {
    /// The image's version: letters, digits and `._+~-`. It is in the UKI's name.
    pub version: &'a str,
    /// The configured packages.
    pub base: &'a Tree,
    /// The static program that is `lifeboat` on the node and init in its initrd.
    pub program: &'a Path,
    /// Files and links of the node, its units among them.
    pub node_files: &'a Tree,
    /// The user's files.
    pub files: Option<&'a Tree>,
    /// The payload that the disk holds, under its name without `.raw`.
    pub payload: Option<(&'a str, &'a Path)>,
    /// What the payload is made of, for the SBOM.
    pub components: &'a [Component],
    /// Keys by file name, to which payloads must be signed.
    pub public_keys: &'a BTreeMap<String, Vec<u8>>,
    /// Units to enable, disable or mask.
    pub units: &'a Units,
    /// More words for the kernel.
    pub command_line: &'a [String],
    /// Size of the state partition in bytes, at least what it holds; it grows at boot anyway.
    pub state_size: Option<u64>,
    /// Sizes of the other partitions.
    pub sizes: DiskSizes,
    /// The time of all that is made, in seconds since 1970: the newest of the inputs.
    pub time: i64,
}

/// A stage and the time it took.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How long it took, near nothing if it was in the cache.
    pub seconds: f64,
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The folder in the cache with `lifeboat.raw`, `lifeboat.qcow2`, `root.erofs`,
    /// `root.verity`, `lifeboat.efi`, `vmlinuz`, `initrd`, `cmdline`, `manifest.json` and
    /// `sbom.spdx.json`.
    pub folder: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// What took how long.
    pub stages: Vec<Stage>,
}

/// An image that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The version cannot be part of a file name.
    #[error("`{0}` cannot be an image's version: take letters, digits and `._+~-`, at most 64")]
    Version(String),
    /// The requested state partition is too small.
    #[error("the state partition needs {needed} bytes, {size} were asked for")]
    StateSize {
        /// What it needs.
        needed: u64,
        /// What was asked for.
        size: u64,
    },
    /// The tree of the root.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The root file system.
    #[error(transparent)]
    Root(#[from] WriteRootError),
    /// The initrd.
    #[error(transparent)]
    Initrd(#[from] InitrdError),
    /// The UKI.
    #[error(transparent)]
    Uki(#[from] WriteUkiError),
    /// The state partition.
    #[error(transparent)]
    State(#[from] WriteStateError),
    /// The disk.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Paths that clash.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file.
    #[error("the image cannot be built")]
    Io(#[from] io::Error),
    /// A description that is not JSON.
    #[error("the description of the image cannot be written or read")]
    Json(#[from] serde_json::Error),
}

/// Builds an image. What is in the cache already is not made again; same inputs, same bytes.
///
/// # Errors
/// [`BuildError`] names the stage and why it failed.
pub fn build(
    cache: &Cache,
    inputs: &ImageInputs<'_>,
    tools: &ToolsTree,
    progress: &dyn Progress,
) -> Result<Image, BuildError> {
    check_version(inputs.version)?;
    let mut builder = Builder {
        cache,
        inputs,
        tools,
        progress,
        identity: Identity::new(cache.root()),
        stages: Vec::new(),
    };
    let additions = Additions {
        version: inputs.version,
        program: Content::file(inputs.program)?,
        node_files: inputs.node_files,
        files: inputs.files,
        public_keys: inputs.public_keys,
        units: inputs.units,
        time: inputs.time,
    };
    let root = builder.timed("tree", |_| Ok(finish::finish(inputs.base, &additions)?))?;
    let tree_key = builder.timed("identity", |this| Ok(this.identity.tree(&root.tree)?))?;
    let slot = builder.timed("root", |this| this.root(&root, &tree_key))?;
    let initrd = builder.timed("initrd", |this| this.initrd(&root))?;
    let uki = builder.timed("uki", |this| this.uki(&root, &slot, &initrd))?;
    let (state, state_size) = builder.timed("state", Builder::state)?;
    let folder = builder.timed("disk", |this| {
        this.disk(&root, &slot, &initrd, &uki, &state, state_size)
    })?;
    let manifest = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
    Ok(Image {
        folder,
        manifest,
        stages: builder.stages,
    })
}

/// A version is part of file names, labels and a boot entry. Source: Boot Loader Specification,
/// "Type #2", and "Boot Counting", which has `+` for itself at the end.
fn check_version(version: &str) -> Result<(), BuildError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte) || byte == b'+';
    let counts = version.rsplit_once('+').is_some_and(|(_, tail)| {
        !tail.is_empty()
            && tail
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
    });
    if version.is_empty() || version.len() > 64 || !version.bytes().all(valid) || counts {
        return Err(BuildError::Version(version.to_owned()));
    }
    Ok(())
}

struct Builder<'a> {
    cache: &'a Cache,
    inputs: &'a ImageInputs<'a>,
    tools: &'a ToolsTree,
    progress: &'a dyn Progress,
    identity: Identity,
    stages: Vec<Stage>,
}

/// A root file system with its hash tree.
struct Slot {
    folder: PathBuf,
    hash: Digest,
}

impl Builder<'_> {
    fn timed<T>(
        &mut self,
        name: &'static str,
        stage: impl FnOnce(&Self) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        self.progress.start(&format!("image: {name}"), 0);
        let start = Instant::now();
        let done = stage(self);
        self.progress.finish();
        self.stages.push(Stage {
            name,
            seconds: start.elapsed().as_secs_f64(),
        });
        done
    }

    /// Which tools make the file systems.
    fn tools_key(&self) -> Digest {
        let root = self.tools.path();
        let inside = root.strip_prefix(self.cache.root()).unwrap_or(root);
        Digest::of(inside.as_os_str().as_encoded_bytes())
    }

    fn root(&self, root: &Root, tree_key: &Digest) -> Result<Slot, BuildError> {
        let time = self.inputs.time;
        let key = Digest::of_parts([
            FORMAT,
            &tree_key.0,
            &self.tools_key().0,
            &time.to_le_bytes(),
        ]);
        let folder = self
            .cache
            .derive("root", &key, |path| -> Result<(), BuildError> {
                Ok(root::write(self.tools, &root.tree, time, path)?)
            })?;
        let hash = fs::read_to_string(folder.join(root::HASH))?;
        let hash = hash.trim().parse().map_err(io::Error::other)?;
        Ok(Slot { folder, hash })
    }

    fn initrd(&self, root: &Root) -> Result<PathBuf, BuildError> {
        let program = Content::file(self.inputs.program)?;
        let folder = format!("usr/lib/modules/{}", root.kernel);
        let mut modules = Tree::new();
        for path in root.tree.descendants(folder.as_bytes()) {
            if let Some(inode) = root.tree.get(path) {
                modules.insert(path, inode.clone())?;
            }
        }
        let key = Digest::of_parts([
            FORMAT,
            &self.identity.tree(&modules)?.0,
            &self.identity.content(&program)?.0,
            format!("{MODULES:?}").as_bytes(),
        ]);
        self.cache.derive("initrd", &key, |path| {
            let tree = initrd::tree(&root.tree, &root.kernel, MODULES, program)?;
            Ok(initrd::write(&tree, path)?)
        })
    }

    fn command_line(&self, slot: &Slot) -> String {
        let mut words = vec![format!("roothash={}", slot.hash), COMMAND_LINE.to_owned()];
        words.extend(self.inputs.command_line.iter().cloned());
        words.join(" ")
    }

    fn uki(&self, root: &Root, slot: &Slot, initrd: &Path) -> Result<PathBuf, BuildError> {
        let command_line = self.command_line(slot);
        let key = Digest::of_parts([
            FORMAT,
            &self.identity.content(&root.stub)?.0,
            &self.identity.content(&root.vmlinuz)?.0,
            &self.identity.file(initrd)?.0,
            command_line.as_bytes(),
            &root.os_release,
            root.kernel.as_bytes(),
        ]);
        self.cache.derive("uki", &key, |path| {
            let file = uki::write(
                &root.stub.read()?,
                &[
                    NewSection {
                        name: ".osrel",
                        data: &root.os_release,
                    },
                    NewSection {
                        name: ".cmdline",
                        data: command_line.as_bytes(),
                    },
                    NewSection {
                        name: ".uname",
                        data: root.kernel.as_bytes(),
                    },
                    NewSection {
                        name: ".initrd",
                        data: &fs::read(initrd)?,
                    },
                    NewSection {
                        name: ".linux",
                        data: &root.vmlinuz.read()?,
                    },
                ],
            )?;
            Ok(fs::write(path, file)?)
        })
    }

    fn state(&self) -> Result<(PathBuf, u64), BuildError> {
        let time = self.inputs.time;
        let dated = |kind, mode| {
            let mut inode = Inode::new(kind, mode);
            inode.mtime = time;
            inode
        };
        let mut tree = Tree::new();
        for (end, _) in PAYLOADS.match_indices('/').chain([(PAYLOADS.len(), "")]) {
            tree.insert(&PAYLOADS.as_bytes()[..end], dated(Kind::Directory, 0o755))?;
        }
        if let Some((name, path)) = self.inputs.payload {
            let payload = dated(Kind::File(Content::file(path)?), 0o644);
            tree.insert(format!("{PAYLOADS}/{name}.raw").as_bytes(), payload)?;
        }
        let needed = state::size(&tree);
        let size = self
            .inputs
            .state_size
            .unwrap_or(needed)
            .next_multiple_of(1 << 20);
        if size < needed {
            return Err(BuildError::StateSize { needed, size });
        }
        let key = Digest::of_parts([
            FORMAT,
            &self.identity.tree(&tree)?.0,
            &self.tools_key().0,
            &time.to_le_bytes(),
            &size.to_le_bytes(),
        ]);
        let path = self
            .cache
            .derive("state", &key, |path| -> Result<(), BuildError> {
                Ok(state::write(self.tools, &tree, time, size, path)?)
            })?;
        Ok((path, size))
    }

    fn disk(
        &self,
        root: &Root,
        slot: &Slot,
        initrd: &Path,
        uki: &Path,
        state: &Path,
        state_size: u64,
    ) -> Result<PathBuf, BuildError> {
        let inputs = self.inputs;
        let command_line = self.command_line(slot);
        let components = serde_json::to_vec(inputs.components)?;
        let key = Digest::of_parts([
            FORMAT,
            &slot.hash.0,
            &self.identity.file(uki)?.0,
            &self.identity.file(state)?.0,
            &self.identity.content(&root.loader)?.0,
            inputs.version.as_bytes(),
            &components,
            &inputs.time.to_le_bytes(),
            &inputs.sizes.esp.to_le_bytes(),
            &inputs.sizes.slot.to_le_bytes(),
            inputs.payload.map_or("", |(name, _)| name).as_bytes(),
        ]);
        self.cache.derive("disk", &key, |folder| {
            fs::create_dir(folder)?;
            let erofs = slot.folder.join(root::EROFS);
            let verity = slot.folder.join(root::VERITY);
            let assembled = disk::assemble(&Parts {
                version: inputs.version,
                root_hash: slot.hash,
                erofs: &erofs,
                verity: &verity,
                uki,
                loader: root.loader.clone(),
                state,
                state_size,
                sizes: inputs.sizes,
                time: inputs.time,
            })?;
            for (path, name) in [
                (&*erofs, root::EROFS),
                (&*verity, root::VERITY),
                (uki, "lifeboat.efi"),
                (initrd, "initrd"),
            ] {
                fs::hard_link(path, folder.join(name))?;
            }
            fs::write(folder.join("vmlinuz"), root.vmlinuz.read()?)?;
            fs::write(folder.join("cmdline"), format!("{command_line}\n"))?;
            let sbom = spdx(
                inputs.version,
                &slot.hash,
                inputs.time,
                &root.packages,
                inputs.components,
            );
            fs::write(folder.join("sbom.spdx.json"), json(&sbom)?)?;
            let mut artifacts = write_disks(&assembled, folder)?;
            // Nearly all of it is holes, which are not worth the time to hash them.
            let name = "lifeboat.raw".to_owned();
            artifacts.push(Artifact {
                name,
                size: assembled.size,
                sha256: None,
            });
            let manifest = Manifest {
                schema: SCHEMA.to_owned(),
                version: inputs.version.to_owned(),
                kernel: root.kernel.clone(),
                root_hash: slot.hash,
                command_line: command_line.clone(),
                payload: inputs.payload.map(|(name, _)| name.to_owned()),
                artifacts,
                packages: root.packages.clone(),
            };
            Ok(fs::write(folder.join("manifest.json"), json(&manifest)?)?)
        })
    }
}

/// Writes both kinds of disk at once, and hashes what is there while the disk still works.
fn write_disks(disk: &Disk, folder: &Path) -> Result<Vec<Artifact>, BuildError> {
    std::thread::scope(|scope| {
        let raw = folder.join("lifeboat.raw");
        let raw = scope.spawn(move || disk.extents.write_raw(&raw, disk.size));
        qcow2::write(&disk.extents, disk.size, &folder.join("lifeboat.qcow2"))?;
        let mut artifacts = Vec::new();
        for name in [
            root::EROFS,
            root::VERITY,
            "lifeboat.efi",
            "initrd",
            "vmlinuz",
            "lifeboat.qcow2",
        ] {
            let (sha256, size) = Digest::of_file(&folder.join(name))?;
            artifacts.push(Artifact {
                name: name.to_owned(),
                size,
                sha256: Some(sha256),
            });
        }
        raw.join()
            .unwrap_or_else(|_| Err(io::Error::other("writing the raw disk failed")))?;
        Ok(artifacts)
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}
