//! The Kubernetes payload: chosen, its signature checked, verified on each read, mounted, and
//! its container images made known to the runtime.

use std::{ffi::CStr, io, path::Path};

use fs_err as fs;
use lifeboat_config::{Cni, Runtime};
use lifeboat_payload::{Manifest, OpenError, VerifiedPayload, VerifyingKey, key, store};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    init::{self, verity::VerityError},
    sys,
};

/// Payloads on the state partition.
const PAYLOADS: &str = "/var/lib/lifeboat/payloads";
/// Names the chosen one, if there are several.
const CHOICE: &str = "/var/lib/lifeboat/payload";
/// Keys that payloads are signed with, in the verified root.
const KEYS: &str = "/usr/lib/lifeboat/keys";
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
    /// All images in its store.
    #[serde(default)]
    pub images: Vec<String>,
}

/// Why a payload is not mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountPayloadError {
    /// The folder holds several and none is chosen.
    #[error("{PAYLOADS} holds {}; name one in {CHOICE}", .0.join(", "))]
    Several(Vec<String>),
    /// The root carries no key.
    #[error("{KEYS} holds no public key, so no payload can be trusted")]
    NoKeys,
    /// Not signed, damaged, or not there.
    #[error("payload `{name}` is refused: {source}")]
    Refused {
        /// Its file name.
        name: String,
        /// Why.
        source: Box<OpenError>,
    },
    /// The manifest names what this version of Lifeboat does not know.
    #[error("payload `{name}`: {what} is not known to this system; update it first")]
    Unknown {
        /// Its file name.
        name: String,
        /// The field and its value.
        what: String,
    },
    /// Its device could not be made.
    #[error("payload `{name}`: {source}")]
    Verity {
        /// Its file name.
        name: String,
        /// Why.
        source: VerityError,
    },
    /// A file or mount could not be had.
    #[error("payload `{name}`: cannot {what}: {source}")]
    Io {
        /// Its file name.
        name: String,
        /// What was done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Mounts the chosen payload. `None` if the node has none.
///
/// # Errors
/// [`MountPayloadError`]; nothing is mounted then.
pub fn mount_chosen() -> Result<Option<Payload>, MountPayloadError> {
    let files = files(Path::new(PAYLOADS));
    let choice = fs::read_to_string(CHOICE).unwrap_or_default();
    let Some(name) = choose(&files, choice.trim())? else {
        return Ok(None);
    };
    let keys = keys(Path::new(KEYS)).map_err(|source| MountPayloadError::Io {
        name: name.clone(),
        what: "read the keys that payloads are signed with",
        source,
    })?;
    if keys.is_empty() {
        return Err(MountPayloadError::NoKeys);
    }
    let path = Path::new(PAYLOADS).join(&name);
    let VerifiedPayload { manifest, .. } =
        lifeboat_payload::open(&path, &keys).map_err(|source| MountPayloadError::Refused {
            name: name.clone(),
            source: Box::new(source),
        })?;
    let payload = understand(&name, &manifest)?;
    let failed = |what| {
        let name = name.clone();
        move |source| MountPayloadError::Io { name, what, source }
    };

    let place = Path::new(MOUNTS).join(&manifest.kubernetes);
    fs::create_dir_all(&place).map_err(failed("make its folder"))?;
    mount_verified(&name, &path, &manifest, &place)?;
    let current = Path::new(MOUNTS).join("current");
    point(&current, &manifest.kubernetes).map_err(failed("make it the current one"))?;
    if payload.runtime == Runtime::Containerd {
        store::seed(&place, &place, Path::new("/var/lib/containerd"))
            .map_err(failed("make its container images known"))?;
    }
    Ok(Some(payload))
}

/// The payload files, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "raw")
        })
        .collect();
    files.sort();
    files
}

fn choose(files: &[String], choice: &str) -> Result<Option<String>, MountPayloadError> {
    match files {
        [] if choice.is_empty() => Ok(None),
        [only] if choice.is_empty() => Ok(Some(only.clone())),
        several if choice.is_empty() => Err(MountPayloadError::Several(several.to_vec())),
        // One that is not there is refused when it is opened.
        _ => Ok(Some(match choice.strip_suffix(".raw") {
            Some(_) => choice.to_owned(),
            None => format!("{choice}.raw"),
        })),
    }
}

/// All keys of a folder; none if it is not there.
fn keys(folder: &Path) -> io::Result<Vec<VerifyingKey>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let mut keys = Vec::new();
    for path in paths {
        keys.extend(key::public_keys(&fs::read_to_string(path)?));
    }
    Ok(keys)
}

fn understand(name: &str, manifest: &Manifest) -> Result<Payload, MountPayloadError> {
    fn known<T: DeserializeOwned>(
        name: &str,
        field: &str,
        value: &str,
    ) -> Result<T, MountPayloadError> {
        serde_json::from_value(value.into()).map_err(|_| MountPayloadError::Unknown {
            name: name.to_owned(),
            what: format!("{field} `{value}`"),
        })
    }
    // It becomes part of paths.
    let version = &manifest.kubernetes;
    if version.is_empty()
        || version.starts_with('.')
        || !version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
    {
        return Err(MountPayloadError::Unknown {
            name: name.to_owned(),
            what: format!("version `{version}`"),
        });
    }
    Ok(Payload {
        name: manifest.name.clone(),
        kubernetes: version.clone(),
        runtime: known(name, "runtime", &manifest.runtime)?,
        cni: known(name, "pod network", &manifest.cni)?,
        pause_image: manifest.sandbox_image.clone(),
        flannel_image: manifest
            .images
            .iter()
            .find(|image| image.contains("flannel"))
            .cloned(),
        images: manifest.images.clone(),
    })
}

/// The payload's file system, each block of it checked when it is read.
fn mount_verified(
    name: &str,
    path: &Path,
    manifest: &Manifest,
    place: &Path,
) -> Result<(), MountPayloadError> {
    let failed = |what| {
        let name = name.to_owned();
        move |source| MountPayloadError::Io { name, what, source }
    };
    let file = fs::File::open(path).map_err(failed("open its file"))?;
    let (device, _keep) =
        sys::attach_loop_device(file.file()).map_err(failed("attach its file to a loop device"))?;
    let verified = init::verity::activate(
        &format!("payload-{}", manifest.kubernetes),
        &device,
        &device,
        manifest.hash_offset,
        &manifest.root_hash.0,
    )
    .map_err(|source| MountPayloadError::Verity {
        name: name.to_owned(),
        source,
    })?;
    mount(
        &verified,
        place,
        "erofs",
        MountFlags::RDONLY | MountFlags::NODEV,
        None::<&CStr>,
    )
    .map_err(|error| failed("mount it (erofs)")(error.into()))
}

/// Makes the link `current` name this version, replacing it as a whole.
fn point(current: &Path, version: &str) -> io::Result<()> {
    if fs::read_link(current).is_ok_and(|target| target == Path::new(version)) {
        return Ok(());
    }
    let new = current.with_file_name(".current.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(version, &new)?;
    fs::rename(&new, current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_payload_is_chosen_or_none() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let chosen = |files: &[&str], choice| choose(&names(files), choice).unwrap();
        assert_eq!(chosen(&[], ""), None);
        assert_eq!(chosen(&["a.raw"], "").as_deref(), Some("a.raw"));
        assert_eq!(chosen(&["a.raw", "b.raw"], "b").as_deref(), Some("b.raw"));
        assert_eq!(chosen(&["a.raw"], "c.raw").as_deref(), Some("c.raw"));
        assert!(matches!(
            choose(&names(&["a.raw", "b.raw"]), ""),
            Err(MountPayloadError::Several(_))
        ));
    }
}
