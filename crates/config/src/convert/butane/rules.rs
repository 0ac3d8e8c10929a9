//! What Butane's own validator looks at, before Ignition's rules.

use std::collections::HashSet;

use super::{
    Node, Report, Variant,
    schema::{Names, spot},
};
use crate::convert::{json, tree::Data};

/// Checks a document whose keys and types were checked.
pub(super) fn check(root: &Node, variant: &Variant, report: &mut Report) {
    let mut rules = Rules { variant, report };
    rules.resources(root);
    rules.storage(root.below("storage"));
    rules.systemd(root.below("systemd"));
    if variant.fcos >= 3 {
        rules.boot_device(root.below("bootDevice"));
        rules.grub(root.below("grub"));
    }
    match variant.name {
        "flatcar" => {
            for luks in root.below("storage").list("luks") {
                rules.filter(luks, "clevis", "clevis is not in Flatcar");
            }
        }
        "r4e" | "fiot" => {
            rules.filter(
                root,
                "kernelArguments",
                "kernel arguments cannot be set in this variant",
            );
            let storage = root.below("storage");
            for key in ["disks", "filesystems", "luks", "raid"] {
                rules.filter(storage, key, "disks cannot be set up in this variant");
            }
        }
        "openshift" => rules.openshift(root),
        _ => {}
    }
}

struct Rules<'a> {
    variant: &'a Variant,
    report: &'a mut Report,
}

impl Rules<'_> {
    fn invalid(&mut self, node: &Node, key: &str, message: &str) {
        let (path, place) = spot(node, key, Names::Snake);
        self.report.invalid(&path, place, message);
    }

    fn warn(&mut self, node: &Node, key: &str, message: &str) {
        let (path, place) = spot(node, key, Names::Snake);
        self.report.unsupported(&path, place, message);
    }

    /// A key that a variant forbids.
    fn filter(&mut self, parent: &Node, key: &str, message: &str) {
        if parent.get(key).is_some_and(Node::is_filled) {
            self.invalid(parent, key, message);
        }
    }

    fn resources(&mut self, root: &Node) {
        let config = root.below("ignition").below("config");
        for resource in config.list("merge").iter().chain(config.get("replace")) {
            self.resource(resource);
            if let Some(inline) = resource.text("inline")
                && json::read(inline.as_bytes()).is_err()
            {
                self.invalid(
                    resource,
                    "inline",
                    "must be an Ignition document, but is not JSON",
                );
            }
        }
        let tls = root.below("ignition").below("security").below("tls");
        for resource in tls.list("certificateAuthorities") {
            self.resource(resource);
        }
        let storage = root.below("storage");
        for file in storage.list("files") {
            for resource in file.list("append").iter().chain(file.get("contents")) {
                self.resource(resource);
            }
        }
        for luks in storage.list("luks") {
            self.resource(luks.below("keyFile"));
        }
    }

    fn resource(&mut self, resource: &Node) {
        let given: Vec<&str> = ["local", "inline", "source"]
            .into_iter()
            .filter(|key| resource.get(key).is_some())
            .collect();
        if let [_, .., last] = given.as_slice() {
            // The first version names the other one of the two that it has.
            let blamed = if self.variant.spec == 0 {
                "inline"
            } else {
                last
            };
            self.invalid(
                resource,
                blamed,
                "only one of inline, local and source may be given",
            );
        }
    }

    fn storage(&mut self, storage: &Node) {
        for filesystem in storage.list("filesystems") {
            self.mount_unit(filesystem);
        }
        for tree in storage.list("trees") {
            if tree.filled("local").is_none() && !tree.is_bad("local") {
                self.report
                    .invalid(&tree.path, tree.place, "a tree needs its folder: `local`");
            }
        }
        if matches!(self.variant.name, "fcos" | "openshift") {
            for disk in storage.list("disks") {
                self.disk(disk);
            }
        }
    }

    fn mount_unit(&mut self, filesystem: &Node) {
        if !filesystem.is_true("withMountUnit") {
            return;
        }
        let format = filesystem.filled("format");
        let path = filesystem.filled("path");
        if format.is_none() && !filesystem.is_bad("format") {
            self.invalid(
                filesystem,
                "format",
                "a mount unit needs the format of the file system",
            );
        }
        let needs_path = self.variant.spec < 3 || format.is_some_and(|format| format != "swap");
        if needs_path && path.is_none() && !filesystem.is_bad("path") {
            self.invalid(filesystem, "path", "a mount unit needs a path");
        }
        let allowed = |path: &str| {
            ["/etc", "/var"].iter().any(|folder| {
                path.strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        if self.variant.name == "fcos"
            && self.variant.fcos >= 6
            && filesystem.text("path").is_some_and(|path| !allowed(path))
        {
            self.invalid(
                filesystem,
                "path",
                "with a mount unit the path must be below /etc or /var",
            );
        }
    }

    fn disk(&mut self, disk: &Node) {
        let partitions = disk.list("partitions");
        for partition in partitions {
            let number = partition.number("number").unwrap_or_default();
            let Some(label) = partition.text("label") else {
                continue;
            };
            let reused = disk.text("device") != Some("/dev/disk/by-id/coreos-boot-disk")
                && !disk.is_true("wipeTable")
                && number == 0;
            if reused && self.variant.name == "fcos" && self.variant.fcos >= 6 {
                self.warn(
                    partition,
                    "number",
                    "a partition is not found again by its label; give its number",
                );
            }
            let expected = match label {
                "BIOS-BOOT" | "PowerPC-PReP-boot" => 1,
                "EFI-SYSTEM" => 2,
                "boot" => 3,
                "root" => 4,
                _ => continue,
            };
            if number != expected && !disk.is_true("wipeTable") {
                self.warn(
                    partition,
                    "label",
                    "the label is reserved for a partition of another number; a new one is made",
                );
            }
            if label == "root" {
                self.root_partition(partition, partitions);
            }
        }
    }

    fn root_partition(&mut self, root: &Node, partitions: &[Node]) {
        let size = root.number("sizeMiB").unwrap_or_default();
        let others = partitions
            .iter()
            .filter(|other| other.path != root.path)
            .any(|other| other.number("startMiB").unwrap_or_default() == 0);
        if size == 0 && others {
            self.warn(
                root,
                "label",
                "root fills what is free, but a partition that finds its own place follows it",
            );
        } else if size != 0 && size < 8192 {
            self.warn(root, "sizeMiB", "root should have 8 GiB");
        }
    }

    fn systemd(&mut self, systemd: &Node) {
        for unit in systemd.list("units") {
            self.one_source(unit);
            for dropin in unit.list("dropins") {
                self.one_source(dropin);
            }
        }
        for quadlet in systemd.list("quadlets") {
            let name = quadlet.text("name").unwrap_or_default();
            let known = [
                "container",
                "volume",
                "network",
                "kube",
                "image",
                "build",
                "pod",
                "artifact",
            ];
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            if !known.contains(&extension) && !quadlet.is_bad("name") {
                self.invalid(
                    quadlet,
                    "name",
                    "a quadlet's name ends in .container, .volume, .network, .kube, .image, .build, .pod or .artifact",
                );
                continue;
            }
            self.one_source(quadlet);
        }
    }

    fn one_source(&mut self, node: &Node) {
        if node.get("contents").is_some() && node.get("contentsLocal").is_some() {
            self.invalid(
                node,
                "contentsLocal",
                "only one of contents and contents_local may be given",
            );
        }
    }

    fn boot_device(&mut self, device: &Node) {
        let level = self.variant.fcos;
        let mirror = device.below("mirror");
        let devices = mirror.list("devices");
        let layout = device.text("layout");
        if !devices.is_empty() && layout.is_none() && !device.is_bad("layout") {
            let message = "`layout` should be given with `mirror`";
            if level >= 7 {
                self.invalid(device, "mirror", message);
            } else {
                self.warn(device, "mirror", message);
            }
        }
        if devices.len() == 1 {
            self.invalid(mirror, "devices", "a mirror needs two devices or more");
        }
        let mut seen = HashSet::new();
        for item in devices {
            if !seen.insert(item.as_text()) {
                self.report.invalid(
                    &item.path,
                    item.place,
                    "this disk is there already; remove one",
                );
            }
            if !item.as_text().is_some_and(|path| path.starts_with('/')) {
                self.report.invalid(
                    &item.path,
                    item.place,
                    "must be the absolute path of a disk",
                );
            }
        }
        let luks = device.below("luks");
        let mut servers = HashSet::new();
        for tang in luks.list("tang") {
            self.tang(tang);
            if let Some(url) = tang.filled("url")
                && !servers.insert(url)
            {
                let message = "this tang server is there already; remove one";
                self.report.invalid(&tang.path, tang.place, message);
            }
        }
        if let Some(layout) = layout {
            self.layout(device, layout, luks, !devices.is_empty());
        }
        if luks.below("cex").is_true("enabled") {
            match layout {
                None => self.invalid(luks, "cex", "cex needs a layout of s390x"),
                Some(layout) if !layout.starts_with("s390x") => {
                    self.invalid(device, "layout", "cex needs a layout of s390x");
                }
                Some(_) => {}
            }
            if !luks.list("tang").is_empty() || luks.is_true("tpm2") {
                self.invalid(device, "luks", "cex and clevis exclude each other");
            }
        }
        let method = luks.list("tang").iter().any(Node::is_filled)
            || luks.is_true("tpm2")
            || luks.below("cex").is_true("enabled");
        if level >= 7 && luks.filled("device").is_some() && !method {
            let message = "a method of encryption is needed: tang, tpm2 or cex";
            self.invalid(device, "luks", message);
            // Butane's validator names `luks` below `luks`, which is no key.
            self.invalid(luks, "luks", message);
        }
    }

    fn tang(&mut self, tang: &Node) {
        let url = tang.text("url").unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") && !tang.is_bad("url") {
            self.invalid(tang, "url", "a tang server's URL is http or https");
        }
        if tang.filled("thumbprint").is_none() && !tang.is_bad("thumbprint") {
            self.invalid(
                tang,
                "thumbprint",
                "the thumbprint of the server's key is needed",
            );
        }
        if let Some(text) = tang.filled("advertisement")
            && json::read(text.as_bytes()).is_err()
        {
            self.invalid(tang, "advertisement", "is not JSON");
        }
    }

    fn layout(&mut self, device: &Node, layout: &str, luks: &Node, mirrored: bool) {
        if self.variant.fcos < 6 {
            if !matches!(layout, "aarch64" | "ppc64le" | "x86_64") {
                self.invalid(device, "layout", "must be one of aarch64, ppc64le, x86_64");
            }
            return;
        }
        let disk = luks.filled("device");
        let named = |prefix: &str| {
            disk.and_then(|disk| disk.rsplit_once(prefix))
                .is_some_and(|(_, rest)| {
                    rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_lowercase())
                })
        };
        let prefix = match layout {
            "aarch64" | "ppc64le" | "x86_64" | "s390x-virt" => None,
            "s390x-eckd" => Some("/dev/dasd"),
            "s390x-zfcp" => Some("/dev/sd"),
            _ => {
                self.invalid(
                    device,
                    "layout",
                    "must be one of aarch64, ppc64le, s390x-eckd, s390x-virt, s390x-zfcp, x86_64",
                );
                None
            }
        };
        if let Some(prefix) = prefix
            && !named(prefix)
        {
            self.invalid(
                device,
                "layout",
                &format!("this layout needs `luks.device`, {prefix}a or such"),
            );
        }
        if layout.starts_with("s390x") && mirrored {
            self.invalid(device, "layout", "a mirror is not possible on s390x");
        }
    }

    fn grub(&mut self, grub: &Node) {
        for user in grub.list("users") {
            for key in ["name", "passwordHash"] {
                if user.filled(key).is_none() && !user.is_bad(key) {
                    self.invalid(user, key, "is needed");
                }
            }
        }
    }

    fn openshift(&mut self, root: &Node) {
        let minor = self.variant.minor;
        let metadata = root.below("metadata");
        let at = if root.get("metadata").is_some() {
            metadata.clone()
        } else {
            Node::new("metadata", root.place, Data::Map(Vec::new()))
        };
        if !root.is_bad("metadata") {
            if at.filled("name").is_none() && !at.is_bad("name") {
                self.invalid(&at, "name", "the name of the MachineConfig is needed");
            }
            if at
                .below("labels")
                .filled("machineconfiguration.openshift.io/role")
                .is_none()
                && !at.is_bad("labels")
            {
                self.invalid(
                    &at,
                    "labels",
                    "the label machineconfiguration.openshift.io/role is needed",
                );
            }
        }
        if self.variant.fcos >= 4 {
            self.filter(
                root.below("grub"),
                "users",
                "appending to files is not supported in this spec version",
            );
        }
        let openshift = root.below("openshift");
        if openshift
            .text("kernelType")
            .is_some_and(|kind| !matches!(kind, "" | "default" | "realtime"))
        {
            self.invalid(
                openshift,
                "kernelType",
                "must be empty, default or realtime",
            );
        }
        if minor >= 14 {
            self.filter(
                root,
                "kernelArguments",
                "kernel arguments stand in openshift.kernel_arguments",
            );
        }
        self.machine_users(root.below("passwd"));
        self.machine_storage(root.below("storage"));
        self.machine_cex(root);
    }

    fn machine_users(&mut self, passwd: &Node) {
        self.filter(passwd, "groups", "groups cannot be set in this variant");
        for user in passwd.list("users") {
            for (key, node) in user.entries() {
                let known = match key.as_str() {
                    "name" | "sshAuthorizedKeys" | "sshAuthorizedKeysLocal" => true,
                    "passwordHash" => self.variant.minor >= 13,
                    _ => {
                        node.data == Data::Null
                            || matches!(&node.data, Data::List(items) if items.is_empty())
                    }
                };
                if !known {
                    self.report.invalid(
                        &node.path,
                        node.place,
                        "only name, ssh_authorized_keys and (from 4.13.0 on) password_hash can be set in this variant",
                    );
                }
            }
            if user.text("name") != Some("core") && !user.is_bad("name") {
                self.invalid(
                    user,
                    "name",
                    "only the user core is possible in this variant",
                );
            }
        }
    }

    fn machine_storage(&mut self, storage: &Node) {
        self.filter(
            storage,
            "directories",
            "directories cannot be set in this variant",
        );
        self.filter(storage, "links", "links cannot be set in this variant");
        for file in storage.list("files") {
            self.filter(file, "append", "nothing can be appended in this variant");
            let contents = file.below("contents");
            self.filter(
                contents,
                "httpHeaders",
                "headers are not possible in this variant",
            );
            if self.variant.minor < 10 && contents.filled("compression").is_some() {
                self.invalid(
                    contents,
                    "compression",
                    "compression is not possible before 4.10.0",
                );
            }
            if contents
                .text("source")
                .is_some_and(|source| !source.to_ascii_lowercase().starts_with("data:"))
            {
                self.invalid(
                    contents,
                    "source",
                    "the source must be a data URL in this variant",
                );
            }
            if self.variant.minor >= 10
                && file.number("mode").is_some_and(|mode| mode & !0o777 != 0)
            {
                self.invalid(
                    file,
                    "mode",
                    "special bits are not possible in this variant",
                );
            }
        }
        for filesystem in storage.list("filesystems") {
            match filesystem.text("format") {
                Some("btrfs") => {
                    self.invalid(filesystem, "format", "btrfs is not in this variant");
                }
                Some("none") if self.variant.minor >= 14 => {
                    self.invalid(
                        filesystem,
                        "format",
                        "the format none is not in this variant",
                    );
                }
                _ => {}
            }
        }
    }

    fn machine_cex(&mut self, root: &Node) {
        if self.variant.minor < 19 {
            return;
        }
        let cex = root
            .below("bootDevice")
            .below("luks")
            .below("cex")
            .is_true("enabled")
            || root.below("storage").list("luks").iter().any(|luks| {
                luks.text("name") == Some("root") && luks.below("cex").is_true("enabled")
            });
        let openshift = root.below("openshift");
        let argument = openshift
            .list("kernelArguments")
            .iter()
            .any(|item| item.as_text() == Some("rd.luks.key=/etc/luks/cex.key"));
        if cex && !argument {
            let (path, place) = match root.get("openshift") {
                Some(openshift) => spot(openshift, "kernelArguments", Names::Snake),
                None => ("openshift.kernel_arguments".to_owned(), root.place),
            };
            self.report.invalid(
                &path,
                place,
                "with cex, rd.luks.key=/etc/luks/cex.key must be a kernel argument",
            );
        }
    }
}
