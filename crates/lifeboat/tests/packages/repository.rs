//! The package repositories of Kubernetes and CRI-O in small, and the images that go with them.

use std::path::Path;

use lifeboat_archive::{Digest, Tree, write_tar};
use serde_json::json;

use crate::support::{Package, Repository, Server, Signer};

/// The patch that there is; no real one will ever be called so.
pub const VERSION: &str = "1.36.77";

/// Images as kubeadm names them.
pub fn images() -> Vec<String> {
    let mut images: Vec<String> = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
    ]
    .map(|name| format!("registry.k8s.io/{name}:v{VERSION}"))
    .to_vec();
    for name in ["coredns/coredns:v1.14.2", "pause:3.10.2", "etcd:3.6.8-0"] {
        images.push(format!("registry.k8s.io/{name}"));
    }
    images
}

/// A static program for x86-64 Linux that writes this text and ends.
pub fn program(text: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let size = u32::try_from(text.len()).unwrap();
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1: write
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1: stdout
    code.extend([0x48, 0x8d, 0x35, 16, 0, 0, 0]); // lea rsi, [rip + 16]: the text
    code.push(0xba); // mov edx, size
    code.extend(size.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 231, 0, 0, 0]); // mov eax, 231: exit_group
    code.extend([0x31, 0xff, 0x0f, 0x05]); // xor edi, edi; syscall
    code.extend(text.as_bytes());
    let headers = 64 + 56;
    let whole = (headers + code.len()) as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    for word in [BASE + headers as u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        elf.extend(word.to_le_bytes());
    }
    for word in [0, BASE, BASE, whole, whole, 0x1000_u64] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

fn package(name: &str, version: &str, programs: &[(&str, &str)]) -> Package {
    let mut package = Package::new(name, version);
    package.architecture = "amd64".to_owned();
    for (path, says) in programs {
        package = package.file(path, 0o755, &program(says));
    }
    package
}

/// The two repositories in folders of one server, signed by two keys.
pub struct Upstream {
    folder: tempfile::TempDir,
    server: Server,
}

impl Upstream {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let images = images().join("\n") + "\n";
        let mut packages = vec![
            package("cri-tools", "1.36.0-1.1", &[("usr/bin/crictl", "crictl\n")]),
            package(
                "kubernetes-cni",
                "1.9.1-1.1",
                &[
                    ("opt/cni/bin/bridge", "bridge\n"),
                    ("opt/cni/bin/host-local", "host-local\n"),
                    ("opt/cni/bin/loopback", "loopback\n"),
                    ("opt/cni/bin/macvlan", "macvlan\n"),
                    ("opt/cni/bin/portmap", "portmap\n"),
                ],
            )
            .file("opt/cni/bin/LICENSE", 0o644, b"text"),
        ];
        // Also what must not be taken: an older patch, a later minor before its release.
        for version in ["1.36.76", VERSION, "1.37.0~rc.0"] {
            let of = |name: &str, says: &str| {
                let path = format!("usr/bin/{name}");
                package(name, &format!("{version}-1.1"), &[(&path, says)])
            };
            packages.extend([
                of("kubeadm", &images),
                of("kubectl", "kubectl\n"),
                of("kubelet", "kubelet\n").field(
                    "Depends: iptables (>= 1.4.21), mount, util-linux, kubernetes-cni (>= 1.2.0)",
                ),
            ]);
        }
        let crio = package(
            "cri-o",
            "1.36.5-1.1",
            &[
                ("usr/bin/crio", "crio\n"),
                ("usr/bin/pinns", "pinns\n"),
                ("usr/libexec/crio/conmon", "conmon\n"),
            ],
        )
        .field("Depends: iptables");
        for (name, packages, seed) in [("kubernetes", packages, 1), ("crio", vec![crio], 2)] {
            let signer = Signer::new(seed);
            let place = root.join(name);
            fs_err::create_dir(&place).unwrap();
            Repository::new(packages).write_flat(&place, &signer);
            fs_err::write(place.join("Release.key"), signer.public()).unwrap();
        }
        let server = Server::new(root);
        Self { folder, server }
    }

    /// Where a repository's files are.
    pub fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// Where the server is.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A definition of Kubernetes from both, whose keys lie beside it.
    pub fn definition(&self, kubernetes: &str, more: &str) -> String {
        let url = self.url();
        format!(
            "image:\n  kubernetes: \"{kubernetes}\"\n  cni: bridge\n  kubernetes_source:\n    \
             packages:\n      - url: {url}/kubernetes/\n        key: kubernetes.asc\n      \
             - url: {url}/crio/\n        key: crio.asc\n{more}"
        )
    }
}

/// Writes an archive (as of `docker save`) of images that share a layer. Each has its own name
/// in the file `name`.
pub fn write_images(to: &Path, names: &[String]) {
    let layer = |path: &str, text: &str| {
        let mut tree = Tree::new();
        tree.write(path, 0o644, text).unwrap();
        let mut tar = Vec::new();
        write_tar(&tree, &mut tar).unwrap();
        (Digest::of(&tar), tar)
    };
    let (base, tar) = layer("etc/passwd", "root:x:0:0::/:/bin/false\n");
    let mut archive = Tree::new();
    archive.write("base.tar", 0o644, tar).unwrap();
    let mut list = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let (own, tar) = layer("name", name);
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{base}"), format!("sha256:{own}")]},
        });
        archive.write(format!("{index}.tar"), 0o644, tar).unwrap();
        let file = format!("{index}.json");
        archive.write(&file, 0o644, config.to_string()).unwrap();
        list.push(json!({
            "Config": file, "RepoTags": [name], "Layers": ["base.tar", format!("{index}.tar")],
        }));
    }
    let list = serde_json::Value::from(list).to_string();
    archive.write("manifest.json", 0o644, list).unwrap();
    write_tar(&archive, fs_err::File::create(to).unwrap().into_file()).unwrap();
}
