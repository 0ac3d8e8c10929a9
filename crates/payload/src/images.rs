//! The images of a cluster's own pods, made from the programs that were built.

use std::{path::Path, sync::Arc};

use lifeboat_archive::{Inode, Kind, TarError, Tree, TreeError, UnpackedDeb};

use crate::{
    KUBERNETES,
    build::Cni,
    libraries::{LibrariesError, certificates, with_libraries},
    oci::{Image, Layer, Settings, content},
    pause,
};

/// The pause image's name.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.2";
/// `CoreDNS`, under the tag that kubeadm asks for.
const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.14.2";
const ETCD: &str = "registry.k8s.io/etcd:3.6.8-0";
/// flannel's daemon.
pub const FLANNEL: &str = "ghcr.io/flannel-io/flannel:v0.28.10";
/// Debian's packages that parts of the images come from, to be resolved with what they need.
pub const PACKAGES: &[&str] = &["nftables", "ca-certificates"];

const NOBODY: &str = "65532:65532";

/// The images could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A library is missing.
    #[error(transparent)]
    Libraries(#[from] LibrariesError),
    /// Files stand in each other's way.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Content could not be read.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A program could not be read.
    #[error("a program that was built cannot be read")]
    Io(#[from] std::io::Error),
}

/// A program of the host's cache at a path of a tree.
fn add(tree: &mut Tree, path: &str, program: &Path) -> Result<(), ImagesError> {
    let inode = Inode::new(Kind::File(content(program)?), 0o755);
    tree.insert(path.as_bytes(), inode)?;
    Ok(())
}

/// What even a minimal image has: users, name lookup, certificates, a place for files.
fn base(debs: &[UnpackedDeb]) -> Result<Tree, ImagesError> {
    let mut tree = Tree::new();
    tree.mkdir("tmp", 0o1777)?;
    let users = "root:x:0:0:root:/root:/sbin/nologin\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
                 nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin\n";
    tree.write("etc/passwd", 0o644, users)?;
    tree.write(
        "etc/group",
        0o644,
        "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n",
    )?;
    tree.write("etc/nsswitch.conf", 0o644, "hosts: files dns\n")?;
    if let Some(certificates) = certificates(debs)? {
        tree.write("etc/ssl/certs/ca-certificates.crt", 0o644, certificates)?;
    }
    Ok(tree)
}

fn layer(tree: Tree) -> Result<Arc<Layer>, ImagesError> {
    Ok(Arc::new(Layer::new(tree)?))
}

/// flannel's image alone. `node` is the folder of its module's programs.
pub(crate) fn flannel(node: &Path, debs: &[UnpackedDeb]) -> Result<Image, ImagesError> {
    let firewall = layer(with_libraries(debs, &["usr/sbin/nft"])?)?;
    flannel_on(layer(base(debs)?)?, firewall, node)
}

fn flannel_on(base: Arc<Layer>, firewall: Arc<Layer>, node: &Path) -> Result<Image, ImagesError> {
    let mut tree = Tree::new();
    add(&mut tree, "opt/bin/flanneld", &node.join("flanneld"))?;
    let settings = Settings {
        entrypoint: &["/opt/bin/flanneld"],
        user: "",
    };
    Ok(Image::new(
        FLANNEL,
        vec![base, firewall, layer(tree)?],
        settings,
    ))
}

/// All images of a pod network's cluster. `control` and `node` are the folders of the two Go
/// modules' programs.
pub(crate) fn build(
    control: &Path,
    node: &Path,
    debs: &[UnpackedDeb],
    cni: Cni,
) -> Result<Vec<Image>, ImagesError> {
    let base = layer(base(debs)?)?;
    let firewall = layer(with_libraries(debs, &["usr/sbin/nft"])?)?;
    let kubernetes = {
        let mut tree = Tree::new();
        add(&mut tree, "usr/local/bin/control", &control.join("control"))?;
        layer(tree)?
    };
    let named = |name: &str| -> Result<Arc<Layer>, ImagesError> {
        let mut tree = Tree::new();
        tree.symlink(format!("usr/local/bin/{name}"), "control")?;
        layer(tree)
    };

    let mut images = Vec::new();
    for name in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
    ] {
        let mut layers = vec![base.clone(), kubernetes.clone(), named(name)?];
        if name == "kube-proxy" {
            layers.push(firewall.clone());
        }
        let name = format!("registry.k8s.io/{name}:v{KUBERNETES}");
        images.push(Image::new(&name, layers, Settings::default()));
    }
    let layers = vec![base.clone(), kubernetes, named("etcd")?];
    images.push(Image::new(ETCD, layers, Settings::default()));

    let mut tree = Tree::new();
    add(&mut tree, "coredns", &node.join("coredns"))?;
    let settings = Settings {
        entrypoint: &["/coredns"],
        user: NOBODY,
    };
    images.push(Image::new(
        COREDNS,
        vec![base.clone(), layer(tree)?],
        settings,
    ));

    if cni == Cni::Flannel {
        images.push(flannel_on(base, firewall, node)?);
    }

    let mut tree = Tree::new();
    tree.write("pause", 0o755, pause::program())?;
    let settings = Settings {
        entrypoint: &["/pause"],
        user: "65535:65535",
    };
    images.push(Image::new(PAUSE, vec![layer(tree)?], settings));
    Ok(images)
}
