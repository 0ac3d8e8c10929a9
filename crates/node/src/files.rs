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

/// Programs of the payload that are on the path: links into /usr/bin.
const PROGRAMS: [(&str, &str); 6] = [
    (
        "/usr/bin/containerd",
        "/opt/kubernetes/current/bin/containerd",
    ),
    (
        "/usr/bin/containerd-shim-runc-v2",
        "/opt/kubernetes/current/bin/containerd-shim-runc-v2",
    ),
    ("/usr/bin/ctr", "/opt/kubernetes/current/bin/ctr"),
    ("/usr/bin/kubeadm", "/opt/kubernetes/current/bin/kubeadm"),
    ("/usr/bin/kubectl", "/opt/kubernetes/current/bin/kubectl"),
    ("/usr/bin/kubelet", "/opt/kubernetes/current/bin/kubelet"),
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

const FILES: [(&str, &[u8]); 15] = [
    file!(
        "/usr/lib/systemd/system/containerd.service",
        "containerd.service"
    ),
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
const WANTS: [(&str, &str); 10] = [
    (
        "/etc/systemd/system/multi-user.target.wants/containerd.service",
        "/usr/lib/systemd/system/containerd.service",
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
    use super::*;

    #[test]
    fn every_wanted_unit_of_ours_is_there_and_no_path_twice() {
        let files = files();
        for pair in files.windows(2) {
            assert_ne!(pair[0].path, pair[1].path);
        }
        for (_, unit) in WANTS {
            if unit.contains("lifeboat") || unit.contains("kube") || unit.contains("containerd") {
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
}
