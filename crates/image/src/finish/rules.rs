//! What goes, what comes, what moves.

use lifeboat_archive::{Kind, Tree, TreeError};

/// The list of packages in a base.
pub(super) const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// Where the list is on a node: /var is writable and outlives an update of the root.
const SYSTEM_IMAGE: &str = "usr/lib/sysimage/dpkg";

/// Paths that no node needs. What is below them goes, too.
const UNNEEDED: &[&str] = &[
    "etc/fstab",
    "etc/hostname",
    "etc/.pwd.lock",
    "etc/ld.so.cache~",
    "initrd.img",
    "initrd.img.old",
    "vmlinuz",
    "vmlinuz.old",
    "usr/share/bug",
    "usr/include",
    "usr/lib/pkgconfig",
    "usr/share/doc-base",
    "usr/share/gtk-doc",
    "usr/share/help",
    "usr/share/info",
    "usr/share/linda",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/pixmaps",
    "usr/share/initramfs-tools",
    "usr/lib/apt/apt.systemd.daily",
    "usr/lib/systemd/boot/efi/addonx64.efi.stub",
];

/// Folders whose content is made anew at run time or means nothing on a node.
const EMPTIED: &[&str] = &[
    "var/backups",
    "var/lib/apt",
    "var/lib/initramfs-tools",
    "var/lib/man-db",
    "var/lib/systemd/deb-systemd-helper-enabled",
    "var/lib/systemd/deb-systemd-helper-masked",
    "var/lib/systemd/deb-systemd-user-helper-enabled",
    "var/lib/ucf",
    "var/log",
    "var/tmp",
    "run",
    "tmp",
    "dev",
    "proc",
    "sys",
];

/// Folders on which the init mounts, with their modes. Their content comes from elsewhere.
const MOUNT_POINTS: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("efi", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// Mount points whose content no boot could show; that of the others is on the state partition.
const COVERED: &[&str] = &["dev", "efi", "media", "mnt", "proc", "run", "sys", "tmp"];

/// Programs that come with the payload.
const PAYLOAD_PROGRAMS: &[&str] = &[
    "kubelet",
    "kubeadm",
    "kubectl",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "crun",
];

/// Folders of kernel modules for hardware that nodes do not have; all of it is only in the
/// kernel for metal.
const MODULES: &[&str] = &[
    "drivers/gpu/drm/amd",
    "drivers/gpu/drm/gma500",
    "drivers/gpu/drm/i915",
    "drivers/gpu/drm/nouveau",
    "drivers/gpu/drm/radeon",
    "drivers/gpu/drm/xe",
    "drivers/iio",
    "drivers/infiniband/hw/qib",
    "drivers/input/joystick",
    "drivers/isdn",
    "drivers/media",
    "drivers/net/arcnet",
    "drivers/net/can",
    "drivers/net/hamradio",
    "drivers/net/wireless",
    "drivers/pcmcia",
    "drivers/staging",
    "net/bluetooth",
    "net/mac80211",
    "net/wireless",
    "sound",
];

/// Removes what no node needs, and the kernel, which goes into the UKI.
pub(super) fn prune(tree: &mut Tree, kernel: &str) {
    for path in UNNEEDED {
        tree.remove(path);
    }
    for folder in EMPTIED {
        remove_below(tree, folder);
    }
    // kubeadm reads the kernel's configuration there.
    let config = format!("boot/config-{kernel}");
    let boot: Vec<Vec<u8>> = tree.children(b"boot").map(<[u8]>::to_vec).collect();
    for path in boot.iter().filter(|path| **path != config.as_bytes()) {
        tree.remove(path);
    }
    for folder in MODULES {
        tree.remove(format!("usr/lib/modules/{kernel}/kernel/{folder}"));
    }
    // Licences ask to be kept with the programs; the rest of the documentation does not.
    let of = |path: &[u8], end: &[u8]| path.ends_with(end);
    let mut gone: Vec<Vec<u8>> = Vec::new();
    for path in tree.descendants(b"usr/share/doc") {
        let is_folder = tree
            .get(path)
            .is_some_and(|inode| inode.kind == Kind::Directory);
        if !is_folder && !of(path, b"/copyright") {
            gone.push(path.to_vec());
        }
    }
    for path in tree.descendants(b"var/cache") {
        if tree
            .get(path)
            .is_some_and(|inode| inode.kind != Kind::Directory)
        {
            gone.push(path.to_vec());
        }
    }
    // Made by a package's script when it was installed: each node must have its own.
    for path in tree.children(b"etc/ssh") {
        if path.starts_with(b"etc/ssh/ssh_host_") {
            gone.push(path.to_vec());
        }
    }
    // The sources of hwdb.bin, which the package's script has made of them.
    if tree.get("usr/lib/udev/hwdb.bin").is_some() {
        gone.extend(tree.children(b"usr/lib/udev/hwdb.d").map(<[u8]>::to_vec));
    }
    let static_libraries = tree.descendants(b"usr/lib/x86_64-linux-gnu");
    gone.extend(
        static_libraries
            .filter(|path| of(path, b".a"))
            .map(<[u8]>::to_vec),
    );
    for path in tree.descendants(b"usr/lib/locale") {
        // What `C.UTF-8` needs is a folder of its own.
        if of(path, b"/locale-archive") {
            gone.push(path.to_vec());
        }
    }
    for path in gone {
        tree.remove(path);
    }
}

/// Moves what tells which packages are installed to where it is read-only, with a link.
pub(super) fn move_package_database(tree: &mut Tree) -> Result<(), TreeError> {
    let keep = |path: &[u8]| {
        path.ends_with(b"/status") || path.ends_with(b".list") || path.ends_with(b".md5sums")
    };
    let paths: Vec<Vec<u8>> = tree
        .descendants(b"var/lib/dpkg")
        .filter(|path| keep(path))
        .map(<[u8]>::to_vec)
        .collect();
    for path in paths {
        if let Some(inode) = tree.get(&path).cloned()
            && let Some(rest) = path.strip_prefix(b"var/lib/dpkg")
        {
            tree.insert(&[SYSTEM_IMAGE.as_bytes(), rest].concat(), inode)?;
        }
    }
    tree.remove("var/lib/dpkg");
    tree.symlink("var/lib/dpkg", format!("/{SYSTEM_IMAGE}"))
}

/// Writes what a first boot would find out or make.
pub(super) fn settle(tree: &mut Tree) -> Result<(), TreeError> {
    // An empty file is no first boot, and is what the init puts the node's own id over.
    // Source: machine-id(5), "Initialization".
    tree.write("etc/machine-id", 0o444, "")?;
    tree.remove("var/lib/dbus/machine-id");
    // Source: systemd-update-done.service(8).
    tree.write("etc/.updated", 0o644, "")?;
    tree.symlink("etc/mtab", "../proc/self/mounts")?;
    // The catalogue is made by a package's script under /var, and only read afterwards.
    let catalog = "var/lib/systemd/catalog/database";
    if let Some(inode) = tree.get(catalog).cloned() {
        tree.remove("var/lib/systemd/catalog");
        tree.insert(b"usr/lib/sysimage/catalog/database", inode)?;
        tree.symlink("var/lib/systemd/catalog", "/usr/lib/sysimage/catalog")?;
    }
    // One that comes as a package stays what it is.
    let missing = |name: &&&str| tree.get(format!("usr/bin/{name}")).is_none();
    let names: Vec<_> = PAYLOAD_PROGRAMS.iter().filter(missing).collect();
    for name in names {
        tree.symlink(
            format!("usr/bin/{name}"),
            format!("/opt/kubernetes/current/bin/{name}"),
        )?;
    }
    tree.symlink(
        "etc/systemd/system/default.target",
        "/usr/lib/systemd/system/multi-user.target",
    )
}

/// Empties the folders on which something is mounted.
pub(super) fn mount_points(tree: &mut Tree) -> Result<(), TreeError> {
    for (path, mode) in MOUNT_POINTS {
        remove_below(tree, path);
        tree.mkdir(path, *mode)?;
    }
    Ok(())
}

/// A path among the user's files that nobody would ever see.
pub(super) fn lost(files: &Tree) -> Option<Vec<u8>> {
    let paths = |folder: &&str| {
        files
            .descendants(folder.as_bytes())
            .next()
            .map(<[u8]>::to_vec)
    };
    COVERED.iter().find_map(paths)
}

fn remove_below(tree: &mut Tree, folder: &str) {
    let below: Vec<Vec<u8>> = tree
        .children(folder.as_bytes())
        .map(<[u8]>::to_vec)
        .collect();
    for path in below {
        tree.remove(path);
    }
}
