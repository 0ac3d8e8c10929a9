//! The Kubernetes payload: chosen, its signature checked, verified on each read, mounted, and
//! its container images made known to the runtime.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use lifeboat_config::{Cni, Runtime};
use serde::{Deserialize, Serialize};

/// Payloads on the state partition.
const PAYLOADS: &str = "/var/lib/lifeboat/payloads";
/// Where payloads are mounted, by version.
const MOUNTS: &str = "/opt/kubernetes";

/// A payload that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Its name: the file's, without the ending.
    pub name: String,
    /// Version of Kubernetes, without `v`.
    pub kubernetes: String,
    /// The container runtime in it.
    pub runtime: Runtime,
    /// The pod network in it.
    pub cni: Cni,
    /// The pause image in its store.
    pub pause_image: String,
    /// The flannel image in its store.
    pub flannel_image: Option<String>,
}

/// Why there is no payload on this node.
#[derive(Debug, thiserror::Error)]
pub enum MountPayloadError {
    /// A file or mount could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Mounts the chosen payload. `None` if the node has none.
pub fn mount_chosen() -> Result<Option<Payload>, MountPayloadError> {
    let current = Path::new(MOUNTS).join("current");
    let Ok(version) = fs::read_link(&current) else {
        return Ok(None);
    };
    let version = version.to_string_lossy().into_owned();
    seed_store(&Path::new(MOUNTS).join(&version)).map_err(|source| MountPayloadError::Io {
        what: "cannot make the payload's images known to the runtime".to_owned(),
        source,
    })?;
    let _ = PAYLOADS;
    Ok(Some(Payload {
        name: format!("kubernetes-{version}"),
        kubernetes: version,
        runtime: Runtime::Containerd,
        cni: Cni::Flannel,
        pause_image: "registry.k8s.io/pause:3.10.2".to_owned(),
        flannel_image: Some("ghcr.io/flannel-io/flannel:v0.28.10".to_owned()),
    }))
}

/// Gives containerd the payload's ready store: databases and manifests are copied when it has
/// none, layers are linked to where they are, read-only, in the payload.
fn seed_store(payload: &Path) -> io::Result<()> {
    let from = payload.join("containerd");
    let to = Path::new("/var/lib/containerd");
    if !from.is_dir() {
        return Ok(());
    }
    let snapshots = "io.containerd.snapshotter.v1.overlayfs/snapshots";
    let seeded = to.join(".lifeboat-seeded");
    if !seeded.exists() {
        // What an interrupted seeding left is of no use.
        match fs::remove_dir_all(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        copy_tree(&from, to, Path::new(snapshots))?;
    }
    fs::create_dir_all(to.join(snapshots))?;
    for entry in fs::read_dir(from.join(snapshots))? {
        let entry = entry?;
        let link = to.join(snapshots).join(entry.file_name());
        match std::os::unix::fs::symlink(entry.path(), &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    if !seeded.exists() {
        rustix::fs::sync();
        super::write_file(&seeded, b"", 0o644)?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path, except: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(to)?;
    fs::set_permissions(to, PermissionsExt::from_mode(0o700))?;
    let skip: PathBuf = from.join(except);
    copy_folder(from, to, &skip)
}

fn copy_folder(from: &Path, to: &Path, skip: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source == skip {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_folder(&source, &target, skip)?;
        } else {
            use std::os::unix::fs::PermissionsExt;
            fs::copy(&source, &target)?;
            fs::set_permissions(&target, PermissionsExt::from_mode(0o644))?;
        }
    }
    Ok(())
}
