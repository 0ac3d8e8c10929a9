//! Disks, RAID, LUKS and filesystems.

use std::collections::{HashMap, HashSet};

use super::{Node, Rules, Url, by, itself, path_flaw};

impl Rules<'_> {
    pub(super) fn devices(&mut self, storage: &Node) {
        self.unique(storage, "disks", by("device"), "this disk");
        self.unique(storage, "filesystems", by("device"), "this device");
        self.unique(storage, "luks", by("name"), "a volume of this name");
        self.unique(storage, "raid", by("name"), "an array of this name");
        for disk in storage.list("disks") {
            self.disk(disk);
        }
        for raid in storage.list("raid") {
            self.raid(raid);
        }
        for luks in storage.list("luks") {
            self.luks(luks);
        }
        let disks: HashMap<&str, &Node> = storage
            .list("disks")
            .iter()
            .map(|disk| (disk.text("device").unwrap_or_default(), disk))
            .collect();
        for filesystem in storage.list("filesystems") {
            self.filesystem(filesystem);
            let device = filesystem.text("device").unwrap_or_default();
            let Some(disk) = disks.get(device) else {
                continue;
            };
            if !disk.list("partitions").is_empty() {
                self.warn(
                    filesystem,
                    "device",
                    "the filesystem would overwrite a disk that has partitions",
                );
            } else if !filesystem.is_true("wipeFilesystem") && disk.is_true("wipeTable") {
                self.warn(
                    filesystem,
                    "device",
                    "the disk is wiped (`wipeTable`), so the filesystem is too",
                );
            }
        }
    }

    fn disk(&mut self, disk: &Node) {
        self.unique(disk, "partitions", partition_key, "this partition");
        for partition in disk.list("partitions") {
            self.partition(partition);
        }
        if disk.is_bad("device") {
            return;
        }
        let device = disk.text("device").unwrap_or_default();
        if device.is_empty() {
            self.invalid(disk, "device", "a disk needs its device");
            return;
        }
        if let Some(flaw) = path_flaw(device) {
            self.invalid(disk, "device", flaw);
        }
        self.collisions(disk);
        self.overlaps(disk);
    }

    fn collisions(&mut self, disk: &Node) {
        let mut numbers = HashSet::new();
        let mut labels = HashSet::new();
        for partition in disk.list("partitions") {
            let number = partition.number("number").unwrap_or_default();
            if number != 0 && !numbers.insert(number) {
                self.invalid_at(partition, format!("there is a partition {number} already"));
            }
            if let Some(label) = partition.text("label")
                && !labels.insert(label)
            {
                self.invalid_at(partition, "there is a partition with this label already");
            }
        }
    }

    fn overlaps(&mut self, disk: &Node) {
        let placed: Vec<(&Node, i64, i64)> = disk
            .list("partitions")
            .iter()
            .filter_map(|partition| {
                let start = partition.number("startMiB").filter(|start| *start != 0)?;
                let size = partition.number("sizeMiB")?;
                // A size of 0 fills what is free, which is not known here.
                let end = if size == 0 {
                    start
                } else {
                    start.saturating_add(size).saturating_sub(1)
                };
                Some((partition, start, end))
            })
            .collect();
        // Enough for any real disk; a hostile document has more, and only its first count.
        for (number, (partition, start, end)) in placed.iter().enumerate().take(2000) {
            let other = placed[..number].iter().any(|(_, from, to)| {
                from <= start && start <= to || from <= end && end <= to || start < from && end > to
            });
            if other {
                self.invalid_at(partition, "the partition overlaps another one");
            }
        }
    }

    fn partition(&mut self, partition: &Node) {
        let others = partition.get("label").is_some()
            || partition.filled("typeGuid").is_some()
            || partition.filled("guid").is_some()
            || partition.get("startMiB").is_some()
            || partition.get("sizeMiB").is_some();
        if partition.truth("shouldExist") == Some(false) && others {
            self.invalid_at(
                partition,
                "a partition that should not exist has only a number",
            );
        }
        if partition.number("number").unwrap_or_default() == 0
            && partition.get("label").is_none()
            && !partition.is_bad("number")
        {
            self.invalid_at(
                partition,
                "a partition needs a number from 1 on, or a label",
            );
        }
        if let Some(label) = partition.text("label") {
            if label.len() > 36 {
                self.invalid(
                    partition,
                    "label",
                    "a partition's label has at most 36 characters",
                );
            } else if label.contains(':') {
                self.invalid(
                    partition,
                    "label",
                    "a partition's label may not have a colon: it would be cut there",
                );
            }
        }
        for key in ["guid", "typeGuid"] {
            if let Some(guid) = partition.filled(key)
                && !is_guid(guid)
            {
                self.invalid(
                    partition,
                    key,
                    "must have the form 01234567-89AB-CDEF-EDCB-A98765432101",
                );
            }
        }
    }

    fn raid(&mut self, raid: &Node) {
        self.unique(raid, "devices", itself, "this device");
        for device in raid.list("devices") {
            if let Some(flaw) = device.as_text().and_then(path_flaw) {
                self.invalid_at(device, flaw);
            }
        }
        if raid.list("devices").is_empty() && !raid.is_bad("devices") {
            self.invalid(raid, "devices", "an array needs devices");
        }
        if raid.is_bad("level") {
            return;
        }
        match raid.text("level").unwrap_or_default() {
            "" => self.invalid(raid, "level", "an array needs its level, such as raid1"),
            "linear" | "raid0" | "0" | "stripe" => {
                if raid.number("spares").unwrap_or_default() != 0 {
                    self.invalid(raid, "level", "linear and raid0 arrays have no spares");
                }
            }
            "raid1" | "1" | "mirror" | "raid4" | "4" | "raid5" | "5" | "raid6" | "6" | "raid10"
            | "10" => {}
            _ => self.invalid(
                raid,
                "level",
                "the level is not known; known are linear, raid0, raid1, raid4, raid5, raid6, raid10",
            ),
        }
    }

    fn luks(&mut self, luks: &Node) {
        if luks.text("name").is_some_and(|name| name.contains('/')) {
            self.invalid(luks, "name", "a volume's name may not have a slash");
        }
        if luks.text("label").is_some_and(|label| label.len() > 47) {
            self.invalid(luks, "label", "a volume's label has at most 47 characters");
        }
        if !luks.is_bad("device") {
            match luks.filled("device").map(path_flaw) {
                None => self.invalid(luks, "device", "a volume needs its device"),
                Some(Some(flaw)) => self.invalid(luks, "device", flaw),
                Some(None) => {}
            }
        }
        self.unique(luks, "openOptions", itself, "this option");
        let key_file = luks.below("keyFile");
        self.resource(key_file);
        if let Some(source) = key_file.filled("source")
            && let Some(flaw) = self.url_flaw(source)
        {
            // Ignition's validator names `keys`, which is no key.
            self.invalid(luks, "keys", format!("the key file's source: {flaw}"));
        }
        self.clevis(luks);
        let cex = luks.below("cex").is_true("enabled");
        if cex && clevis_is_present(luks.below("clevis")) {
            self.invalid(luks, "cex", "cex and clevis exclude each other");
        }
        if cex && key_file.filled("source").is_some() {
            self.invalid(luks, "cex", "cex and a key file exclude each other");
        }
    }

    fn clevis(&mut self, luks: &Node) {
        let clevis = luks.below("clevis");
        let custom = clevis.below("custom");
        let others = !clevis.list("tang").is_empty()
            || clevis.is_true("tpm2")
            || clevis.number("threshold").unwrap_or_default() != 0;
        let has_custom = if self.spec == 2 {
            clevis.get("custom").is_some()
        } else {
            custom.filled("pin").is_some()
        };
        if has_custom && others {
            self.invalid_at(
                clevis,
                "a custom clevis configuration excludes tpm2, tang and threshold",
            );
        }
        self.custom(custom);
        self.unique(clevis, "tang", by("url"), "this server");
        for tang in clevis.list("tang") {
            self.tang(tang);
        }
    }

    pub(super) fn tang(&mut self, tang: &Node) {
        if !tang.is_bad("url") {
            match Url::parse(tang.text("url").unwrap_or_default()).map(|url| url.scheme) {
                None => self.invalid(tang, "url", "is not a URL"),
                Some(scheme) if scheme != "http" && scheme != "https" => {
                    self.invalid(tang, "url", "a tang server's URL is http or https");
                }
                Some(_) => {}
            }
        }
        if tang.filled("thumbprint").is_none() && !tang.is_bad("thumbprint") {
            self.invalid(
                tang,
                "thumbprint",
                "the thumbprint of the server's key is needed",
            );
        }
        if let Some(text) = tang.filled("advertisement")
            && super::super::super::json::read(text.as_bytes()).is_err()
        {
            self.invalid(tang, "advertisement", "is not JSON");
        }
    }

    fn custom(&mut self, custom: &Node) {
        let pin = custom.filled("pin");
        let config = custom.filled("config");
        let network = custom.is_true("needsNetwork") && self.spec > 2;
        if pin.is_none() && config.is_none() && !network {
            return;
        }
        match pin {
            None if custom.is_bad("pin") => {}
            None => self.invalid(custom, "pin", "a pin is needed"),
            Some("tpm2" | "tang" | "sss") => {}
            Some(_) if self.spec >= 6 => {}
            Some(_) => self.invalid(
                custom,
                "pin",
                "the pin is not known; known before spec 3.6 are tpm2, tang, sss",
            ),
        }
        if config.is_none() && !custom.is_bad("config") {
            self.invalid(custom, "config", "the pin's configuration is needed");
        }
    }

    fn filesystem(&mut self, filesystem: &Node) {
        if let Some(path) = filesystem.filled("path")
            && let Some(flaw) = path_flaw(path)
        {
            self.invalid(filesystem, "path", flaw);
        }
        if !filesystem.is_bad("device")
            && let Some(flaw) = path_flaw(filesystem.text("device").unwrap_or_default())
            && filesystem.text("format") != Some("virtiofs")
        {
            self.invalid(filesystem, "device", flaw);
        }
        if filesystem.is_bad("format") {
            return;
        }
        let Some(format) = filesystem.filled("format") else {
            let others = ["path", "label", "uuid"]
                .iter()
                .any(|key| filesystem.filled(key).is_some())
                || filesystem.is_true("wipeFilesystem")
                || !filesystem.list("mountOptions").is_empty()
                || !filesystem.list("options").is_empty();
            if others {
                self.invalid(
                    filesystem,
                    "format",
                    "a format is needed where path, label, uuid, wipeFilesystem, options or mountOptions is given",
                );
            }
            if filesystem.filled("label").is_some() {
                self.invalid(filesystem, "label", "a label needs a format");
            }
            return;
        };
        let longest = match format {
            "ext4" => 16,
            "btrfs" => 256,
            "xfs" => 12,
            "swap" => 15,
            "vfat" => 11,
            "none" if self.spec >= 3 => usize::MAX,
            "virtiofs" if self.spec >= 7 => 0,
            _ => {
                let more = if self.spec >= 3 { ", none" } else { "" };
                self.invalid(
                    filesystem,
                    "format",
                    format!(
                        "the format is not known; known are ext4, btrfs, xfs, vfat, swap{more}"
                    ),
                );
                return;
            }
        };
        if filesystem
            .filled("label")
            .is_some_and(|label| label.len() > longest)
        {
            self.invalid(
                filesystem,
                "label",
                format!("a label of {format} has at most {longest} characters"),
            );
        }
    }
}

fn partition_key(partition: &Node) -> Option<String> {
    if partition.is_bad("number") || partition.is_bad("label") {
        return None;
    }
    let number = partition.number("number").unwrap_or_default();
    Some(match partition.text("label") {
        _ if number != 0 => format!("number:{number}"),
        Some(label) => format!("label:{label}"),
        None => String::new(),
    })
}

fn clevis_is_present(clevis: &Node) -> bool {
    clevis.below("custom").filled("pin").is_some()
        || !clevis.list("tang").is_empty()
        || clevis.is_true("tpm2")
        || clevis.number("threshold").unwrap_or_default() != 0
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
