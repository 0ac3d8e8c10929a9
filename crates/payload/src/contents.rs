//! What goes into a payload's file system, by where Kubernetes comes from.

use std::path::{Path, PathBuf};

use lifeboat_archive::{Inode, Kind, Tree, UnpackedDeb};

use crate::{
    build::{BuildError, Cni, Modules, PayloadSpec, Runtime, Source},
    containers_storage, go, images,
    oci::{Image, content},
    packages::{Packages, PackagesError},
    store,
};

/// Programs of `bin/`, each a file of one of the two modules' folders.
const CONTAINERD: [&str; 2] = ["containerd", "containerd-shim-runc-v2"];
/// Names of `bin/control`.
const CONTROL: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];
const PLUGINS: [&str; 6] = [
    "bridge",
    "firewall",
    "flannel",
    "host-local",
    "loopback",
    "portmap",
];
/// Where CRI-O's image store is.
const STORE: &str = "images";

/// The file system and what the manifest says of it.
pub(crate) struct Contents {
    pub(crate) tree: Tree,
    pub(crate) images: Vec<String>,
    pub(crate) programs: Vec<String>,
    pub(crate) sandbox_image: String,
}

/// Assembles it. `user` are the user's images, each with the archive that it is from.
pub(crate) fn assemble(
    spec: &PayloadSpec,
    modules: &Modules<'_>,
    debs: &[UnpackedDeb],
    user: Vec<(PathBuf, Image)>,
) -> Result<Contents, BuildError> {
    let mut tree = Tree::new();
    let (images, mut programs, sandbox_image) = match &spec.source {
        Source::Modules if spec.runtime == Runtime::CriO => {
            return Err(PackagesError::Missing {
                program: "crio".to_owned(),
                packages: "none, as Kubernetes is built from Go modules".to_owned(),
            }
            .into());
        }
        Source::Modules => {
            let (images, programs) = of_modules(&mut tree, spec, modules, debs)?;
            (images, programs, Some(images::PAUSE.to_owned()))
        }
        Source::Packages(packages) => of_packages(&mut tree, spec, packages, modules, debs)?,
    };
    let (wanted, mut images) = images;
    for (path, image) in user {
        let taken = |name: &&String| images.iter().any(|image| image.names.contains(name));
        if let Some(name) = image.names.iter().find(taken) {
            let name = name.clone();
            return Err(BuildError::Twice { name, path });
        }
        images.push(image);
    }
    let there = |name: &&String| !images.iter().any(|image| image.names.contains(name));
    let missing: Vec<String> = wanted.iter().filter(there).cloned().collect();
    if !missing.is_empty() {
        return Err(PackagesError::Images {
            version: spec.version().to_owned(),
            missing,
        }
        .into());
    }

    match spec.runtime {
        Runtime::Containerd => {
            let node = modules.build(&go::NODE)?;
            for name in CONTAINERD {
                add(&mut tree, &format!("bin/{name}"), &node.join(name))?;
                programs.push(name.to_owned());
            }
            tree.symlink("bin/ctr", "containerd")?;
            programs.push("ctr".to_owned());
            store::add(&mut tree, &images, &node.join("store"))?;
        }
        Runtime::CriO => containers_storage::add(&mut tree, STORE, &images)?,
    }
    programs.sort();
    Ok(Contents {
        tree,
        images: images.into_iter().flat_map(|image| image.names).collect(),
        programs,
        sandbox_image: sandbox_image.unwrap_or_else(|| images::PAUSE.to_owned()),
    })
}

/// A program of the host's cache at a path of the payload.
fn add(tree: &mut Tree, path: &str, program: &Path) -> Result<(), BuildError> {
    let inode = Inode::new(Kind::File(content(program)?), 0o755);
    tree.insert(path.as_bytes(), inode)?;
    Ok(())
}

/// Names of images that must be there, and images that are made here.
type Images = (Vec<String>, Vec<Image>);

fn of_modules(
    tree: &mut Tree,
    spec: &PayloadSpec,
    modules: &Modules<'_>,
    debs: &[UnpackedDeb],
) -> Result<(Images, Vec<String>), BuildError> {
    let control = modules.build(&go::CONTROL)?;
    let node = modules.build(&go::NODE)?;
    add(tree, "bin/control", &control.join("control"))?;
    for name in CONTROL {
        tree.symlink(format!("bin/{name}"), "control")?;
    }
    for name in PLUGINS {
        add(tree, &format!("cni/{name}"), &node.join(name))?;
    }
    let images = images::build(&control, &node, debs, spec.cni)?;
    Ok((
        (Vec::new(), images),
        CONTROL.into_iter().map(str::to_owned).collect(),
    ))
}

/// The same, and the pause image that kubeadm names.
fn of_packages(
    tree: &mut Tree,
    spec: &PayloadSpec,
    packages: &Packages,
    modules: &Modules<'_>,
    debs: &[UnpackedDeb],
) -> Result<(Images, Vec<String>, Option<String>), BuildError> {
    let mut programs = Vec::new();
    for (name, program) in packages.programs(spec.runtime)? {
        let inode = Inode::new(Kind::File(program.clone()), 0o755);
        tree.insert(format!("bin/{name}").as_bytes(), inode)?;
        programs.push(name.to_owned());
    }
    packages.add_plugins(tree)?;
    let mut images = Vec::new();
    if spec.cni == Cni::Flannel {
        let node = modules.build(&go::NODE)?;
        if tree.get("cni/flannel").is_none() {
            add(tree, "cni/flannel", &node.join("flannel"))?;
        }
        images.push(images::flannel(&node, debs)?);
    }
    let wanted = packages.images(&packages.runnable(modules.cache)?)?;
    let pause = wanted.iter().find(|name| name.contains("/pause:")).cloned();
    Ok(((wanted, images), programs, pause))
}
