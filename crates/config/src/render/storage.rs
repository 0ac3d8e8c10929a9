//! Mounts and swap space, as units of systemd.

use std::fmt::Write as _;

use super::{RenderedFile, RenderedLink, network::Ini, text};
use crate::{
    NodeConfig,
    definition::{
        system::{MountConfig, SwapConfig},
        types::units::FileSystem,
    },
    unit,
};

const FOLDER: &str = "/etc/systemd/system";
/// What may write to a mounted folder once it runs.
const KUBERNETES: &str =
    "containerd.service crio.service kubelet.service lifeboat-provision.service";
const ONLINE: &str = "lifeboat-online.service";

/// Waits for an address: nothing else on a node does, as Kubernetes waits by itself.
const ONLINE_UNIT: &str = "\
[Unit]
Description=An address, for file systems in the network
DefaultDependencies=no
Conflicts=shutdown.target
After=systemd-networkd.service
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=60
";

/// The path that udev gives a device of this tag; a path or name as it is.
fn device_path(source: &str) -> String {
    let folders = [
        ("UUID=", "uuid"),
        ("LABEL=", "label"),
        ("PARTUUID=", "partuuid"),
        ("PARTLABEL=", "partlabel"),
        ("ID=", "id"),
    ];
    for (tag, folder) in folders {
        if let Some(value) = source.strip_prefix(tag) {
            let value = value.trim_matches('"');
            return format!("/dev/disk/by-{folder}/{}", udev_name(value));
        }
    }
    source.to_owned()
}

/// A label as udev has it in the names of links.
fn udev_name(text: &str) -> String {
    let mut name = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter) || !letter.is_ascii() {
            name.push(letter);
        } else {
            let _ = write!(name, "\\x{:02x}", u32::from(letter));
        }
    }
    name
}

fn options(mount: &MountConfig) -> Vec<&str> {
    let all = mount.options.iter().flat_map(|one| one.as_str().split(','));
    all.filter(|one| !one.is_empty()).collect()
}

fn in_network(mount: &MountConfig) -> bool {
    const KINDS: [&str; 9] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "ocfs2",
    ];
    let kind = mount.kind.as_ref().map(FileSystem::as_str);
    kind.is_some_and(|kind| KINDS.contains(&kind)) || options(mount).contains(&"_netdev")
}

/// The units of `mounts`. A file system that is missing keeps nothing but itself from starting;
/// Kubernetes waits until each is mounted or has failed.
pub fn mount_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    for mount in &node.mounts {
        let name = unit::name_of_path(mount.place.as_str());
        files.push(RenderedFile::new(
            format!("{FOLDER}/{name}.mount"),
            mount_unit(mount),
        ));
        let device = device_path(mount.what.as_str());
        if device.starts_with("/dev/") && !in_network(mount) {
            files.push(device_timeout(&device));
        }
    }
    if node.mounts.iter().any(in_network) {
        files.push(RenderedFile::new(format!("{FOLDER}/{ONLINE}"), ONLINE_UNIT));
    }
    files.dedup_by(|one, other| one.path == other.path);
    files
}

/// A disk that is there is found in seconds; the default is to wait a minute and a half.
fn device_timeout(device: &str) -> RenderedFile {
    RenderedFile::new(
        format!(
            "{FOLDER}/{}.device.d/50-lifeboat.conf",
            unit::name_of_path(device)
        ),
        "[Unit]\nJobRunningTimeoutSec=30s\n",
    )
}

fn mount_unit(mount: &MountConfig) -> String {
    let device = device_path(mount.what.as_str());
    let mut file = Ini::default();
    file.section("Unit");
    if in_network(mount) {
        file.set("Wants", ONLINE).set("After", ONLINE);
    } else if device.starts_with("/dev/") {
        let kind = mount.kind.as_ref().map_or("", |kind| kind.as_str());
        if matches!(kind, "" | "ext2" | "ext3" | "ext4" | "vfat") {
            let check = format!("systemd-fsck@{}.service", unit::name_of_path(&device));
            let check = text::unit_value(&check);
            file.set("Wants", &check).set("After", &check);
        }
    }
    file.set("Before", KUBERNETES);
    let mut all = options(mount);
    // Without it systemd waits for this mount before it starts anything.
    if !all.contains(&"nofail") {
        all.push("nofail");
    }
    all.retain(|one| !matches!(*one, "noauto" | "auto"));
    file.section("Mount")
        .set("What", text::unit_value(&device))
        .set("Where", text::unit_value(mount.place.as_str()))
        .maybe("Type", mount.kind.as_ref())
        .set("Options", text::unit_value(&all.join(",")));
    file.text()
}

/// What pulls the units of `mounts` in at boot; those with `noauto` are mounted by hand.
pub fn mount_links(node: &NodeConfig) -> Vec<RenderedLink> {
    let started = node
        .mounts
        .iter()
        .filter(|mount| !options(mount).contains(&"noauto"));
    started
        .map(|mount| {
            let name = format!("{}.mount", unit::name_of_path(mount.place.as_str()));
            let target = if in_network(mount) {
                "multi-user.target"
            } else {
                "local-fs.target"
            };
            wanted(target, &name)
        })
        .collect()
}

fn wanted(target: &str, unit: &str) -> RenderedLink {
    RenderedLink::new(
        format!("{FOLDER}/{target}.wants/{unit}"),
        format!("{FOLDER}/{unit}"),
    )
}

/// What is used as swap space.
fn swap_source(swap: &SwapConfig) -> Option<String> {
    let path = swap.path.as_ref().map(|path| path.as_str().to_owned());
    path.or_else(|| swap.device.as_ref().map(|one| device_path(one.as_str())))
}

/// The units of `swap`; a file is made by a unit of its own, once.
pub fn swap_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    for swap in &node.swap {
        let Some(source) = swap_source(swap) else {
            continue;
        };
        let name = unit::name_of_path(&source);
        let maker = format!("lifeboat-mkswap-{name}.service");
        let mut file = Ini::default();
        // Not a part of swap.target, which would hold up everything while a disk is missing.
        file.section("Unit")
            .set("DefaultDependencies", "no")
            .set("Conflicts", "umount.target")
            .set("Before", format_args!("umount.target {KUBERNETES}"));
        if swap.path.is_some() {
            file.set("Requires", &maker).set("After", &maker);
        }
        file.section("Swap")
            .set("What", text::unit_value(&source))
            .maybe("Priority", swap.priority);
        files.push(RenderedFile::new(
            format!("{FOLDER}/{name}.swap"),
            file.text(),
        ));
        match (&swap.path, swap.size) {
            (Some(path), Some(size)) => files.push(RenderedFile::new(
                format!("{FOLDER}/{maker}"),
                maker_unit(path.as_str(), size.bytes()),
            )),
            _ => files.push(device_timeout(&source)),
        }
    }
    files
}

/// Makes a swap file; one that was cut short by a loss of power is made again.
fn maker_unit(path: &str, bytes: u64) -> String {
    let (whole, new) = (
        text::exec_word(path),
        text::exec_word(&format!("{path}.new")),
    );
    let mut file = Ini::default();
    file.section("Unit")
        .set("Description", "A file of swap space")
        .set("DefaultDependencies", "no")
        .set(
            "ConditionPathExists",
            format_args!("!{}", text::unit_value(path)),
        )
        .set("Conflicts", "shutdown.target")
        .set("Before", "shutdown.target");
    file.section("Service")
        .set("Type", "oneshot")
        .set("UMask", "0077")
        .set("ExecStart", format_args!("-/usr/bin/rm -f {new}"))
        .set(
            "ExecStart",
            format_args!("/usr/sbin/mkswap --size {bytes} --file {new}"),
        )
        .set("ExecStart", format_args!("/usr/bin/mv {new} {whole}"));
    file.text()
}

/// What pulls the units of `swap` in at boot.
pub fn swap_links(node: &NodeConfig) -> Vec<RenderedLink> {
    let sources = node.swap.iter().filter_map(swap_source);
    sources
        .map(|source| {
            let name = format!("{}.swap", unit::name_of_path(&source));
            wanted("multi-user.target", &name)
        })
        .collect()
}
