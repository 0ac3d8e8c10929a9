//! The Go modules in `kubernetes/`, as part of this program.

/// A Go module and what is built from it.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Its folder in `kubernetes/`.
    pub name: &'static str,
    /// What a person calls its programs.
    pub what: &'static str,
    /// Its files and their content.
    pub files: &'static [(&'static str, &'static str)],
    /// The packages that are built, each one program.
    pub packages: &'static [&'static str],
    /// More names of programs.
    pub links: &'static [(&'static str, &'static str)],
}

macro_rules! files {
    ($module:literal, $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../kubernetes/", $module, "/", $name)))),*]
    };
}

/// Kubernetes and etcd, all in one program.
pub const CONTROL: Module = Module {
    name: "control",
    what: "Kubernetes and etcd",
    files: files!("control", "go.mod", "go.sum", "main.go", "programs.go"),
    packages: &["."],
    links: &[
        ("etcd", "control"),
        ("kube-apiserver", "control"),
        ("kube-controller-manager", "control"),
        ("kube-proxy", "control"),
        ("kube-scheduler", "control"),
        ("kubeadm", "control"),
        ("kubectl", "control"),
        ("kubelet", "control"),
    ],
};

/// The container runtime, the pod network, cluster DNS, and the writer of containerd's
/// databases.
pub const NODE: Module = Module {
    name: "node",
    what: "containerd, CoreDNS, flannel and CNI plugins",
    files: files!(
        "node",
        "go.mod",
        "go.sum",
        "containerd/main.go",
        "containerd/plugins.go",
        "coredns/main.go",
        "flannel/main.go",
        "flanneld/main.go",
        "store/main.go",
    ),
    packages: &["./...", "tool"],
    links: &[("ctr", "containerd")],
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn list(folder: &Path, under: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                list(&path, under, found);
            } else if !path.to_string_lossy().ends_with("_test.go") {
                found.push(
                    path.strip_prefix(under)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }

    #[test]
    fn every_file_of_the_checkout_is_in_the_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kubernetes");
        for module in [CONTROL, NODE] {
            let mut found = Vec::new();
            let folder = root.join(module.name);
            list(&folder, &folder, &mut found);
            let mut here: Vec<_> = module.files.iter().map(|(name, _)| *name).collect();
            found.sort();
            here.sort_unstable();
            assert_eq!(found, here);
        }
    }
}
