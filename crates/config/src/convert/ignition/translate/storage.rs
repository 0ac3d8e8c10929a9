//! Files, directories, links, and what is about disks.

use std::{collections::HashSet, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};

use super::{
    super::{
        super::{
            native::{self, shell_word},
            report::join,
        },
        resource::{Content, Refusal},
    },
    Node, Translator,
};
use crate::definition::formats;

/// The number of `core` and of its group where there is such a user.
const CORE: &str = "1000";

impl Translator<'_> {
    pub(super) fn storage(&mut self, root: &Node) {
        let storage = root.below("storage");
        let users: HashSet<&str> = root
            .below("passwd")
            .list("users")
            .iter()
            .filter_map(|user| user.text("name"))
            .filter(|name| *name != "core")
            .collect();
        let mut directories: Vec<&Node> = storage.list("directories").iter().collect();
        // Ignition makes parents first.
        directories.sort_by_key(|node| depth(node));
        for directory in directories {
            self.directory(directory, &users);
        }
        for file in storage.list("files") {
            self.file(file, &users);
        }
        let mut links: Vec<&Node> = storage.list("links").iter().collect();
        links.sort_by_key(|node| depth(node));
        for link in links {
            self.link(link, &users);
        }
        for tree in storage.list("trees") {
            self.unsupported(
                tree,
                "is a folder beside the document, which is not read; write its files under `storage.files`",
            );
        }
        self.devices(storage);
    }

    /// User and group in one word; says so where a name becomes another.
    fn owner(&mut self, node: &Node, users: &HashSet<&str>) -> String {
        let mut part = |key: &str| {
            let owner = node.below(key);
            if let Some(id) = owner.number("id") {
                return id.to_string();
            }
            match owner.filled("name") {
                Some("core") => {
                    self.translated(
                        owner,
                        "core is written as its number 1000: the node has no user of this name",
                    );
                    CORE.to_owned()
                }
                Some(name) => {
                    if name != "root" && !users.contains(name) {
                        self.translated(owner, format!("{name:?} must be known on the node"));
                    }
                    name.to_owned()
                }
                None => "root".to_owned(),
            }
        };
        let user = part("user");
        let group = part("group");
        format!("{user}:{group}")
    }

    fn directory(&mut self, node: &Node, users: &HashSet<&str>) {
        let path = node.text("path").unwrap_or_default();
        self.translated(node, "becomes a command of `boot_cmd`");
        let mode = self.mode(node, 0o755, true);
        let owner = self.owner(node, users);
        let (user, group) = owner.split_once(':').unwrap_or(("root", "root"));
        if node.is_true("overwrite") {
            self.unsupported(
                node.below("overwrite"),
                "what is there is not deleted: the command runs at each boot",
            );
        }
        let command = format!(
            "install -d -m {mode:04o} -o {} -g {} -- {}",
            shell_word(user),
            shell_word(group),
            shell_word(path)
        );
        self.native
            .push("boot_cmd", command.into(), &node.path, node.place);
    }

    fn link(&mut self, node: &Node, users: &HashSet<&str>) {
        let path = node.text("path").unwrap_or_default();
        let target = node.text("target").unwrap_or_default();
        if node.is_true("hard") {
            self.unsupported(
                node,
                "hard links are not made: the two paths may be on different file systems here; make it a symbolic link",
            );
            return;
        }
        if target.is_empty() {
            self.unsupported(node, "a link without a target is not made");
            return;
        }
        let zone = target.split_once("zoneinfo/").map(|(_, zone)| zone);
        if path == "/etc/localtime"
            && let Some(zone) = zone
        {
            self.translated(node, "becomes `timezone`");
            self.native
                .set("timezone", zone.into(), &node.path, node.place);
            return;
        }
        self.translated(node, "becomes a command of `boot_cmd`");
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let mut command = String::new();
        if !parent.is_empty() {
            command = format!("mkdir -p -- {} && ", shell_word(parent));
        }
        // Writing to a String does not fail.
        let _ = write!(
            command,
            "ln -sfT -- {} {}",
            shell_word(target),
            shell_word(path)
        );
        let owner = self.owner(node, users);
        if owner != "root:root" {
            let _ = write!(
                command,
                " && chown -h -- {} {}",
                shell_word(&owner),
                shell_word(path)
            );
        }
        self.native
            .push("boot_cmd", command.into(), &node.path, node.place);
    }

    fn file(&mut self, node: &Node, users: &HashSet<&str>) {
        let content = match self.content(node) {
            Ok(content) => content,
            Err(refusal) => {
                self.report
                    .unsupported(&refusal.path, refusal.place, refusal.message);
                self.unsupported(node, "the file is not carried over without its contents");
                let mode = self.judge_mode(node, false);
                if let Some(doubt) = mode.and_then(|mode| mode.doubt) {
                    self.unsupported(node.below("mode"), doubt);
                }
                return;
            }
        };
        let path = node.text("path").unwrap_or_default();
        if path == "/etc/hostname"
            && let Content::Bytes(bytes) = &content
            && let Ok(name) = std::str::from_utf8(bytes)
            && formats::check("hostname", name.trim()).is_ok()
        {
            self.translated(node, "becomes `hostname`");
            self.native
                .set("hostname", name.trim().into(), &node.path, node.place);
            return;
        }
        let mode = self.mode(node, 0o644, false);
        let owner = self.owner(node, users);
        let permissions = format!("{mode:04o}");
        let message = match (&content, node.truth("overwrite")) {
            (Content::Nothing, _) => {
                "becomes an empty item of `write_files`; where Ignition would leave the content of a file that is there, it is emptied"
            }
            (_, Some(true)) => "becomes an item of `write_files`",
            (_, _) => {
                "becomes an item of `write_files`; a file that is there is replaced, where Ignition would fail"
            }
        };
        self.translated(node, message);
        let item: Json = match content {
            Content::Nothing => native::file(path, b"", &owner, &permissions),
            Content::Bytes(bytes) => native::file(path, &bytes, &owner, &permissions),
            Content::Packed(bytes) => json!({
                "path": path,
                "encoding": "gzip+base64",
                "content": STANDARD.encode(bytes),
                "owner": owner,
                "permissions": permissions,
            }),
            Content::Fetched { url, sha256 } => json!({
                "path": path,
                "source": {"url": url, "sha256": sha256},
                "owner": owner,
                "permissions": permissions,
            }),
        };
        self.native
            .push("write_files", item, &node.path, node.place);
    }

    /// Contents and what is appended to them, as far as both are in the document.
    fn content(&mut self, node: &Node) -> Result<Content, Refusal> {
        let contents = self.resources.content(node.below("contents"))?;
        let appended = node.list("append");
        if appended.is_empty() {
            return Ok(contents);
        }
        let blame = |message: &str| {
            let append = node.below("append");
            Err(Refusal {
                path: append.path.clone(),
                place: append.place,
                message: message.to_owned(),
            })
        };
        let mut all = match contents {
            Content::Bytes(bytes) => bytes,
            Content::Nothing => {
                return blame(
                    "nothing is appended to files of the image; write the whole file, or a drop-in beside it",
                );
            }
            _ => {
                return blame(
                    "data is appended only to contents that stand unpacked in the document",
                );
            }
        };
        for resource in appended {
            match self.resources.content(resource)? {
                Content::Bytes(bytes) => all.extend(bytes),
                Content::Nothing => {}
                _ => return blame("only data that stands unpacked in the document is appended"),
            }
        }
        Ok(Content::Bytes(all))
    }

    fn devices(&mut self, storage: &Node) {
        for (list, message) in [
            (
                "disks",
                "disks are not partitioned by the node configuration; `install` prepares the disk of the system",
            ),
            (
                "raid",
                "arrays are not made by the node configuration; make it once by mdadm",
            ),
            (
                "luks",
                "volumes are not encrypted by the node configuration; make it once by cryptsetup",
            ),
        ] {
            for item in storage.list(list) {
                self.unsupported(item, message);
            }
        }
        for item in storage.list("filesystems") {
            self.filesystem(item, storage);
        }
    }

    fn filesystem(&mut self, node: &Node, storage: &Node) {
        self.unsupported(
            node,
            "file systems are not made by the node configuration; make it once by mkfs, and mount it by `mounts`",
        );
        let Some(wanted) = node
            .get("withMountUnit")
            .filter(|_| node.is_true("withMountUnit"))
        else {
            return;
        };
        let device = node.text("device").unwrap_or_default();
        let format = node.text("format").unwrap_or_default();
        if format == "swap" {
            self.translated(
                wanted,
                "becomes an item of `swap`; the swap space must be there",
            );
            let item = json!({"device": device});
            self.native.push("swap", item, &wanted.path, wanted.place);
            return;
        }
        let mut options: Vec<&str> = node
            .list("mountOptions")
            .iter()
            .filter_map(Node::as_text)
            .collect();
        let tang = |luks: &&Node| !luks.below("clevis").list("tang").is_empty();
        let on_network = storage.list("luks").iter().filter(tang).any(|luks| {
            let name = luks.text("name").unwrap_or_default();
            device == format!("/dev/mapper/{name}")
                || device == format!("/dev/disk/by-id/dm-name-{name}")
        });
        if on_network {
            options.push("_netdev");
        }
        for key in ["path", "device", "format", "mountOptions"] {
            if let Some(child) = node.get(key) {
                self.translated(child, "");
            }
        }
        self.translated(
            wanted,
            "becomes an item of `mounts`; the file system must be there",
        );
        let item = json!({
            "what": device,
            "where": node.text("path").unwrap_or_default(),
            "type": format,
            "options": options,
        });
        let path = join(&node.path, self.names.name("withMountUnit"));
        self.native.push("mounts", item, &path, wanted.place);
    }
}

fn depth(node: &Node) -> usize {
    node.text("path").unwrap_or_default().matches('/').count()
}
