//! The files that the operating system image of a node has from us: units, settings, links.

/// A file of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Absolute path.
    pub path: &'static str,
    /// What is there.
    pub content: Content,
}

/// Content of an [`ImageFile`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file, mode 0644.
    File(&'static [u8]),
    /// A folder, mode 0755: a mount point or a place for files of the node.
    Folder,
    /// A symbolic link to this target.
    Link(&'static str),
}

/// Programs of the payload that are on the path: links into /usr/bin. Which of them lead
/// somewhere depends on the payload that is mounted, and that may change without the image.
const PROGRAMS: [(&str, &str); 9] = [
    (
        "/usr/bin/containerd",
        "/opt/kubernetes/current/bin/containerd",
    ),
    (
        "/usr/bin/containerd-shim-runc-v2",
        "/opt/kubernetes/current/bin/containerd-shim-runc-v2",
    ),
    ("/usr/bin/crictl", "/opt/kubernetes/current/bin/crictl"),
    ("/usr/bin/crio", "/opt/kubernetes/current/bin/crio"),
    ("/usr/bin/ctr", "/opt/kubernetes/current/bin/ctr"),
    ("/usr/bin/kubeadm", "/opt/kubernetes/current/bin/kubeadm"),
    ("/usr/bin/kubectl", "/opt/kubernetes/current/bin/kubectl"),
    ("/usr/bin/kubelet", "/opt/kubernetes/current/bin/kubelet"),
    ("/usr/bin/pinns", "/opt/kubernetes/current/bin/pinns"),
];

/// Mount points and folders that are there before anything is mounted.
const FOLDERS: [&str; 13] = [
    "/boot", "/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/root", "/run", "/srv", "/sys",
    "/tmp", "/var",
];

macro_rules! file {
    ($path:literal, $name:literal) => {
        (
            $path,
            include_bytes!(concat!("../files/", $name)).as_slice(),
        )
    };
}

const FILES: [(&str, &[u8]); 17] = [
    file!(
        "/usr/lib/systemd/system/containerd.service",
        "containerd.service"
    ),
    file!("/usr/lib/systemd/system/crio.service", "crio.service"),
    file!("/usr/lib/systemd/system/kubelet.service", "kubelet.service"),
    file!("/usr/lib/systemd/system/kubelet.path", "kubelet.path"),
    file!(
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "kubelet-kubeadm.conf"
    ),
    file!(
        "/usr/lib/systemd/system/lifeboat-provision.service",
        "lifeboat-provision.service"
    ),
    file!(
        "/usr/lib/systemd/system/lifeboat-console.service",
        "lifeboat-console.service"
    ),
    file!(
        "/usr/lib/systemd/system/lifeboat-datasource.service",
        "lifeboat-datasource.service"
    ),
    file!(
        "/usr/lib/systemd/system/lifeboat-run.service",
        "lifeboat-run.service"
    ),
    file!(
        "/usr/lib/systemd/system/dbus.socket.d/10-lifeboat.conf",
        "dbus.socket.conf"
    ),
    file!(
        "/usr/lib/systemd/system/systemd-logind.service.d/10-lifeboat.conf",
        "late.conf"
    ),
    file!(
        "/usr/lib/systemd/system-preset/00-lifeboat.preset",
        "lifeboat.preset"
    ),
    file!(
        "/usr/lib/systemd/system.conf.d/10-lifeboat.conf",
        "system.conf"
    ),
    file!(
        "/usr/lib/systemd/journald.conf.d/10-lifeboat.conf",
        "journald.conf"
    ),
    file!(
        "/usr/lib/systemd/resolved.conf.d/10-lifeboat.conf",
        "resolved.conf"
    ),
    file!("/usr/lib/tmpfiles.d/lifeboat.conf", "tmpfiles.conf"),
    file!("/etc/ssh/sshd_config.d/10-lifeboat.conf", "sshd.conf"),
];

/// Units that are wanted by a target.
const WANTS: [(&str, &str); 12] = [
    (
        "/etc/systemd/system/multi-user.target.wants/containerd.service",
        "/usr/lib/systemd/system/containerd.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/crio.service",
        "/usr/lib/systemd/system/crio.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/kubelet.service",
        "/usr/lib/systemd/system/kubelet.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/kubelet.path",
        "/usr/lib/systemd/system/kubelet.path",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/lifeboat-provision.service",
        "/usr/lib/systemd/system/lifeboat-provision.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/lifeboat-console.service",
        "/usr/lib/systemd/system/lifeboat-console.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/lifeboat-datasource.service",
        "/usr/lib/systemd/system/lifeboat-datasource.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/lifeboat-run.service",
        "/usr/lib/systemd/system/lifeboat-run.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "/usr/lib/systemd/system/systemd-networkd.service",
    ),
    (
        "/etc/systemd/system/sockets.target.wants/systemd-networkd.socket",
        "/usr/lib/systemd/system/systemd-networkd.socket",
    ),
    (
        "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
        "/usr/lib/systemd/system/systemd-resolved.service",
    ),
    (
        "/etc/systemd/system/multi-user.target.wants/ssh.service",
        "/usr/lib/systemd/system/ssh.service",
    ),
];

/// Units that have nothing to do on an image that never changes, or on any node: first-boot
/// work that the build has done, measurements without a TPM, package managers.
const MASKED: [&str; 26] = [
    "/etc/systemd/system/apt-daily-upgrade.timer",
    "/etc/systemd/system/apt-daily.timer",
    "/etc/systemd/system/dpkg-db-backup.timer",
    "/etc/systemd/system/dev-hugepages.mount",
    "/etc/systemd/system/kmod-static-nodes.service",
    "/etc/systemd/system/ldconfig.service",
    "/etc/systemd/system/nftables.service",
    "/etc/systemd/system/proc-sys-fs-binfmt_misc.automount",
    "/etc/systemd/system/sshd-keygen.service",
    "/etc/systemd/system/sys-fs-fuse-connections.mount",
    "/etc/systemd/system/sys-kernel-config.mount",
    "/etc/systemd/system/sys-kernel-debug.mount",
    "/etc/systemd/system/sys-kernel-tracing.mount",
    "/etc/systemd/system/systemd-binfmt.service",
    "/etc/systemd/system/systemd-firstboot.service",
    "/etc/systemd/system/systemd-hibernate-clear.service",
    "/etc/systemd/system/systemd-hwdb-update.service",
    "/etc/systemd/system/systemd-journal-catalog-update.service",
    "/etc/systemd/system/systemd-machine-id-commit.service",
    "/etc/systemd/system/systemd-modules-load.service",
    "/etc/systemd/system/systemd-networkd-wait-online.service",
    "/etc/systemd/system/systemd-pcrmachine.service",
    "/etc/systemd/system/systemd-pstore.service",
    "/etc/systemd/system/systemd-sysusers.service",
    "/etc/systemd/system/systemd-update-done.service",
    "/etc/systemd/system/run-lock.mount",
];

/// Generators for what a node does not have; each is a process at the start of systemd.
const GENERATORS: [&str; 9] = [
    "/etc/systemd/system-generators/systemd-cryptsetup-generator",
    "/etc/systemd/system-generators/systemd-fstab-generator",
    "/etc/systemd/system-generators/systemd-gpt-auto-generator",
    "/etc/systemd/system-generators/systemd-hibernate-resume-generator",
    "/etc/systemd/system-generators/systemd-rc-local-generator",
    "/etc/systemd/system-generators/systemd-ssh-generator",
    "/etc/systemd/system-generators/systemd-system-update-generator",
    "/etc/systemd/system-generators/systemd-sysv-generator",
    "/etc/systemd/system-generators/systemd-tpm2-generator",
];

/// All files, in the order of their paths. The image puts them over those of the packages.
pub fn files() -> Vec<ImageFile> {
    let link = |(path, target): (&'static str, &'static str)| ImageFile {
        path,
        content: Content::Link(target),
    };
    let mut files: Vec<ImageFile> = FILES
        .into_iter()
        .map(|(path, bytes)| ImageFile {
            path,
            content: Content::File(bytes),
        })
        .chain(FOLDERS.into_iter().map(|path| ImageFile {
            path,
            content: Content::Folder,
        }))
        .chain(PROGRAMS.into_iter().chain(WANTS).map(link))
        .chain(
            MASKED
                .into_iter()
                .chain(GENERATORS)
                .map(|path| link((path, "/dev/null"))),
        )
        .collect();
    files.sort_by_key(|file| file.path);
    files
}

#[cfg(test)]
mod tests {
    use lifeboat_config::{Cni, NodeConfig, Runtime, render};

    use super::*;

    #[test]
    fn every_wanted_unit_of_ours_is_there_and_no_path_twice() {
        let files = files();
        for pair in files.windows(2) {
            assert_ne!(pair[0].path, pair[1].path);
        }
        for (_, unit) in WANTS {
            if unit.contains("lifeboat")
                || ["kube", "containerd", "crio"]
                    .iter()
                    .any(|name| unit.contains(name))
            {
                assert!(files.iter().any(|file| file.path == unit), "{unit}");
            }
            let name = unit.rsplit('/').next().unwrap();
            assert!(
                !MASKED
                    .iter()
                    .any(|path| path.ends_with(&format!("/{name}")))
            );
        }
    }

    #[test]
    fn the_kubelet_starts_after_either_runtime_and_each_runtime_only_with_its_payload() {
        let files = files();
        let lines = |name: &str| -> Vec<String> {
            let path = format!("/usr/lib/systemd/system/{name}");
            let file = files.iter().find(|file| file.path == path).unwrap();
            let Content::File(bytes) = file.content else {
                panic!("{path} is no file");
            };
            let text = std::str::from_utf8(bytes).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let kubelet = lines("kubelet.service");
        let after = kubelet.iter().find(|line| line.starts_with("After="));
        let after: Vec<&str> = after.unwrap()[6..].split(' ').collect();
        for runtime in [Runtime::Containerd, Runtime::CriO] {
            assert!(after.contains(&runtime.unit()), "{after:?}");
            // The file that is rendered for this runtime and for no other.
            let only = |one| {
                let facts = render::Facts::new("1.36.3", one, Cni::Bridge, "node1");
                let files = render::node_files(&NodeConfig::default(), &facts);
                files.into_iter().map(|file| file.path).collect::<Vec<_>>()
            };
            let other = match runtime {
                Runtime::Containerd => only(Runtime::CriO),
                Runtime::CriO => only(Runtime::Containerd),
            };
            let conditions: Vec<String> = lines(runtime.unit())
                .into_iter()
                .filter_map(|line| Some(line.strip_prefix("ConditionPathExists=")?.to_owned()))
                .collect();
            assert!(
                conditions
                    .iter()
                    .any(|path| only(runtime).contains(path) && !other.contains(path)),
                "{conditions:?}"
            );
            assert!(
                PROGRAMS
                    .iter()
                    .any(|(link, _)| conditions.iter().any(|path| path == link)),
                "{conditions:?}"
            );
        }
    }
}
