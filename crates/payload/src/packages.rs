//! Kubernetes as its own package repository has it, and CRI-O as its.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use fs_err as fs;
use lifeboat_archive::{Cache, CacheError, Content, Digest, Inode, Kind, Tree, UnpackedDeb};

use crate::build::Runtime;

/// Packages of Kubernetes, of one version.
const OF_KUBERNETES: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];
/// More packages of the same repository, with versions of their own.
const BESIDE: [&str; 2] = ["cri-tools", "kubernetes-cni"];
const CRI_O: &str = "cri-o";
/// Where packages have programs, the usual place first.
const FOLDERS: [&str; 5] = [
    "usr/bin",
    "usr/local/bin",
    "usr/libexec/crio",
    "usr/lib/crio",
    "bin",
];
/// Where packages have CNI plugins.
const PLUGINS: [&str; 2] = ["opt/cni/bin", "usr/lib/cni"];
/// Plugins that no pod network here goes without.
const NEEDED_PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];
/// How often a program is tried to be started that a child of another thread still has open.
const TRIES: usize = 1000;

/// Packages that a payload cannot be made of.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file could not be read or written.
    #[error("a program of the packages cannot be taken out")]
    Io(#[from] io::Error),
    /// A program is not there.
    #[error("none of the packages has `{program}`; they are {packages}")]
    Missing {
        /// Its name.
        program: String,
        /// Names and versions of the packages.
        packages: String,
    },
    /// kubelet, kubeadm and kubectl are not of one version.
    #[error("kubeadm, kubectl and kubelet are of different versions: {0}")]
    Mixed(String),
    /// kubeadm did not say which images it wants.
    #[error("`kubeadm config images list` of the packages failed: {0}")]
    Kubeadm(String),
    /// Images of the control plane were not given.
    #[error("Kubernetes {version} needs container images that are not given: {}", missing.join(", "))]
    Images {
        /// Kubernetes' version.
        version: String,
        /// Their names.
        missing: Vec<String>,
    },
}

/// The plain names of the packages that are needed.
pub fn names(runtime: Runtime) -> Vec<&'static str> {
    let runtime = match runtime {
        Runtime::Containerd => None,
        Runtime::CriO => Some(CRI_O),
    };
    OF_KUBERNETES
        .into_iter()
        .chain(BESIDE)
        .chain(runtime)
        .collect()
}

/// The same as wishes for the solver: those of Kubernetes of version `1.minor.patch`, or of the
/// newest patch, and CRI-O of the same minor. Versions before the first release of a minor
/// are never meant.
pub fn wishes(minor: u32, patch: Option<u32>, runtime: Runtime) -> Vec<String> {
    let between = |name: &str, least: &str, below: &str| {
        format!("{name} (>= {least}-0), {name} (<< {below}~)")
    };
    let (first, next) = (format!("1.{minor}.0"), format!("1.{}", minor + 1));
    let wish = |name: &'static str| match (name, patch) {
        _ if BESIDE.contains(&name) => name.to_owned(),
        (CRI_O, _) | (_, None) => between(name, &first, &next),
        (_, Some(patch)) => between(
            name,
            &format!("1.{minor}.{patch}"),
            &format!("1.{minor}.{}", patch + 1),
        ),
    };
    names(runtime).into_iter().map(wish).collect()
}

/// Whether a version of one of [`names`] is what [`wishes`] asks for.
pub fn fits(name: &str, version: &str, minor: u32, patch: Option<u32>) -> bool {
    if BESIDE.contains(&name) {
        return true;
    }
    let mut numbers = upstream(version).split('.').map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok);
    let (major, found, third) = (next(), next(), next());
    let right_patch = match patch {
        Some(patch) if name != CRI_O => third == Some(patch),
        _ => third.is_some(),
    };
    (major, found) == (Some(1), Some(minor)) && right_patch
}

/// The packages, unpacked.
#[derive(Clone, Debug)]
pub struct Packages {
    version: String,
    debs: Vec<UnpackedDeb>,
}

impl Packages {
    /// Takes what was unpacked; what else is among it is left alone.
    ///
    /// # Errors
    /// [`PackagesError`] if Kubernetes' packages are missing or not of one version.
    pub fn new(debs: Vec<UnpackedDeb>) -> Result<Self, PackagesError> {
        let mut found = Vec::new();
        for name in OF_KUBERNETES {
            let deb = debs.iter().find(|deb| deb.name == name);
            let deb = deb.ok_or_else(|| missing(name, &debs))?;
            found.push((name, upstream(&deb.version)));
        }
        if found.iter().any(|(_, version)| *version != found[0].1) {
            let all: Vec<String> = found
                .iter()
                .map(|(name, version)| format!("{name} {version}"))
                .collect();
            return Err(PackagesError::Mixed(all.join(", ")));
        }
        let version = found[0].1.to_owned();
        Ok(Self { version, debs })
    }

    /// Kubernetes' version without `v`: `1.36.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Digests of the package files, sorted.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.debs.iter().map(|deb| deb.sha256).collect();
        digests.sort();
        digests
    }

    fn find(&self, program: &str) -> Option<&Content> {
        self.debs.iter().find_map(|deb| {
            FOLDERS.iter().find_map(|folder| {
                match &deb.tree.get(format!("{folder}/{program}"))?.kind {
                    Kind::File(content) => Some(content),
                    _ => None,
                }
            })
        })
    }

    fn program(&self, program: &str) -> Result<&Content, PackagesError> {
        self.find(program)
            .ok_or_else(|| missing(program, &self.debs))
    }

    /// Programs for `bin/` by name.
    pub(crate) fn programs(
        &self,
        runtime: Runtime,
    ) -> Result<Vec<(&'static str, &Content)>, PackagesError> {
        let (needed, welcome): (&[&'static str], &[&'static str]) = match runtime {
            Runtime::Containerd => (&[], &["crictl"]),
            // What CRI-O's package does not bring, the operating system has.
            Runtime::CriO => (&["crio", "pinns"], &["conmon", "crictl", "crun"]),
        };
        let mut programs = Vec::new();
        for name in OF_KUBERNETES.iter().chain(needed) {
            programs.push((*name, self.program(name)?));
        }
        for name in welcome {
            programs.extend(self.find(name).map(|content| (*name, content)));
        }
        programs.sort_by_key(|(name, _)| *name);
        Ok(programs)
    }

    /// Puts the CNI plugins into `cni/`.
    pub(crate) fn add_plugins(&self, tree: &mut Tree) -> Result<(), crate::BuildError> {
        for deb in &self.debs {
            for folder in PLUGINS {
                for path in deb.tree.children(folder.as_bytes()) {
                    let Some(inode) = deb.tree.get(path) else {
                        continue;
                    };
                    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                    // Beside them lie a licence and an introduction.
                    if let Kind::File(content) = &inode.kind
                        && inode.mode & 0o111 != 0
                    {
                        let inode = Inode::new(Kind::File(content.clone()), 0o755);
                        tree.insert(&[&b"cni/"[..], name].concat(), inode)?;
                    }
                }
            }
        }
        let lacks = |name: &&&str| tree.get(format!("cni/{name}")).is_none();
        match NEEDED_PLUGINS.iter().find(lacks) {
            Some(name) => Err(missing(name, &self.debs).into()),
            None => Ok(()),
        }
    }

    /// kubeadm and kubectl as files that this machine can run, in one folder.
    pub(crate) fn runnable(&self, cache: &Cache) -> Result<PathBuf, PackagesError> {
        let digests = self.digests();
        let parts = digests.iter().map(|digest| &digest.0[..]);
        let key = Digest::of_parts([&b"programs 1"[..]].into_iter().chain(parts));
        cache.derive("programs", &key, |folder| {
            fs::create_dir(folder)?;
            for name in ["kubeadm", "kubectl"] {
                use fs_err::os::unix::fs::OpenOptionsExt as _;
                let mut file = fs::OpenOptions::new()
                    .create_new(true)
                    .write(true)
                    .mode(0o755)
                    .open(folder.join(name))?;
                io::copy(&mut self.program(name)?.open()?, &mut file)?;
                file.sync_all()?;
            }
            Ok(())
        })
    }

    /// The container images that kubeadm will ask for. `programs` is [`Self::runnable`].
    pub(crate) fn images(&self, programs: &Path) -> Result<Vec<String>, PackagesError> {
        let mut command = Command::new(programs.join("kubeadm"));
        command
            .args(["config", "images", "list", "--kubernetes-version"])
            .arg(format!("v{}", self.version))
            .env_clear()
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null());
        let output = run(&mut command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let images: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        // A program that prints something else is another one.
        let is_image = |line: &String| crate::oci::complete(line).as_ref() == Some(line);
        if output.status.success() && !images.is_empty() && images.iter().all(is_image) {
            return Ok(images);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = format!("{} {text}{said}", output.status);
        Err(PackagesError::Kubeadm(said.trim().to_owned()))
    }
}

fn run(command: &mut Command) -> io::Result<Output> {
    let mut tries = 0;
    loop {
        match command.output() {
            // Another thread's child, between fork and exec, has the new file open.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < TRIES => {
                tries += 1;
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

/// Without epoch and the package's own revision: `1.36.3` of `1.36.3-1.1`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

fn missing(program: &str, debs: &[UnpackedDeb]) -> PackagesError {
    let packages: Vec<String> = debs
        .iter()
        .map(|deb| format!("{} {}", deb.name, deb.version))
        .collect();
    PackagesError::Missing {
        program: program.to_owned(),
        packages: packages.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::Version;

    use super::*;

    #[test]
    fn only_releases_of_the_wanted_version_fit_a_wish() {
        let fits = |wish: &str, version: &str| {
            let version: Version = version.parse().unwrap();
            wish.split(", ").all(|part| {
                let bound: Version = part
                    .rsplit_once(' ')
                    .unwrap()
                    .1
                    .trim_end_matches(')')
                    .parse()
                    .unwrap();
                if part.contains(">=") {
                    version >= bound
                } else {
                    version < bound
                }
            })
        };
        let minor = wishes(36, None, Runtime::CriO);
        let patch = wishes(36, Some(3), Runtime::CriO);
        assert_eq!(
            minor[0], "kubeadm (>= 1.36.0-0), kubeadm (<< 1.37~)",
            "{minor:?}"
        );
        for (version, of_minor, of_patch) in [
            ("1.36.0-1.1", true, false),
            ("1.36.3-1.1", true, true),
            ("1.36.3", true, true),
            ("1.36.30-1.1", true, false),
            ("1.36.0~rc.1-1.1", false, false),
            ("1.37.0~alpha.1-1.1", false, false),
            ("1.35.9-1.1", false, false),
        ] {
            assert_eq!(fits(&minor[0], version), of_minor, "{version}");
            assert_eq!(fits(&patch[0], version), of_patch, "{version}");
            let said = |patch| super::fits("kubeadm", version, 36, patch);
            assert_eq!(
                (said(None), said(Some(3))),
                (of_minor, of_patch),
                "{version}"
            );
            // CRI-O's patches are its own.
            let crio = patch.last().unwrap();
            assert_eq!(fits(crio, version), of_minor, "{version}");
        }
        assert!(
            !wishes(36, None, Runtime::Containerd)
                .concat()
                .contains("cri-o")
        );
    }

    #[test]
    fn the_version_is_that_of_the_program() {
        for (version, program) in [
            ("1.36.3-1.1", "1.36.3"),
            ("1:1.36.3-150500.2.1", "1.36.3"),
            ("1.36.3", "1.36.3"),
        ] {
            assert_eq!(upstream(version), program);
        }
    }
}
