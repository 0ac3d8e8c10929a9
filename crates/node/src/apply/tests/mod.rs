//! Configurations applied to a temporary root.

mod access;
mod files;
mod order;
mod server;
mod system;
mod undo;

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use fs_err as fs;
use lifeboat_config::NodeConfig;
use serde_json::json;

use super::{
    Job, Rancher,
    engine::{Done, Phase, Step},
    fetch::Fetcher,
    kernel::Kernel,
    phase,
    root::Root,
    target::{Mode, Target},
};
use crate::sys;

/// A kernel that notes what is wanted of it.
#[derive(Debug, Default)]
struct Noting {
    name: Mutex<String>,
    loaded: Mutex<Vec<String>>,
    boot: Mutex<Option<PathBuf>>,
}

impl Kernel for Noting {
    fn release(&self) -> String {
        "6.0".to_owned()
    }

    fn host_name(&self) -> String {
        self.name.lock().unwrap().clone()
    }

    fn set_host_name(&self, name: &str) -> io::Result<()> {
        name.clone_into(&mut self.name.lock().unwrap());
        Ok(())
    }

    fn with_boot_partition(&self, work: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
        match &*self.boot.lock().unwrap() {
            Some(folder) => work(folder),
            None => Err(io::Error::other("no boot partition")),
        }
    }

    fn load(&self, file: fs::File, parameters: &str, _: sys::Compression) -> io::Result<()> {
        use std::io::Read as _;
        let mut text = String::new();
        let mut file = file;
        file.read_to_string(&mut text)?;
        if text == "bad" {
            return Err(io::Error::other("Invalid module format"));
        }
        self.loaded
            .lock()
            .unwrap()
            .push(format!("{text} {parameters}").trim().to_owned());
        Ok(())
    }
}

/// A root with what every node has.
struct Node {
    folder: tempfile::TempDir,
    kernel: Noting,
}

impl Node {
    fn new() -> Self {
        let node = Self {
            folder: tempfile::tempdir().unwrap(),
            kernel: Noting::default(),
        };
        node.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nadm:x:3:4::/:/bin/sh\n",
        );
        node.write("etc/group", "root:x:0:\nadm:x:4:\n");
        node.write("etc/shadow", "root:*:1::::::\nadm:*:1::::::\n");
        for setting in [
            "net/ipv4/ip_forward",
            "net/bridge/bridge-nf-call-iptables",
            "net/bridge/bridge-nf-call-ip6tables",
            "fs/inotify/max_user_instances",
            "fs/inotify/max_user_watches",
            "kernel/printk",
            "net/ipv4/conf/eth0.5/forwarding",
        ] {
            node.write(&format!("proc/sys/{setting}"), "0\n");
        }
        for module in ["br_netfilter", "overlay"] {
            node.write(&format!("sys/module/{module}/x"), "");
        }
        node
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        let data = fs::symlink_metadata(self.path(path)).unwrap();
        data.permissions().mode() & 0o7777
    }

    fn target(&self, mode: Mode) -> Target<'_> {
        Target::new(Root::open(self.folder.path()).unwrap(), &self.kernel, mode)
    }

    /// Applies a configuration, and returns what the steps say.
    fn apply(&self, of: Phase, config: &NodeConfig) -> Vec<Done> {
        self.apply_with(of, config, None, Rancher::Absent)
    }

    fn apply_with(
        &self,
        of: Phase,
        config: &NodeConfig,
        fetcher: Option<&Fetcher>,
        rancher: Rancher,
    ) -> Vec<Done> {
        let mut target = self.target(Mode::Apply);
        self.apply_to(&mut target, of, config, fetcher, rancher)
    }

    fn apply_to(
        &self,
        target: &mut Target<'_>,
        of: Phase,
        config: &NodeConfig,
        fetcher: Option<&Fetcher>,
        rancher: Rancher,
    ) -> Vec<Done> {
        let logs = self.path("run/lifeboat/log");
        fs::create_dir_all(&logs).unwrap();
        let job = Job {
            config,
            facts: None,
            hostname: config
                .hostname
                .as_ref()
                .map_or("node1", |name| name.as_str()),
            rancher,
            fetcher,
            logs: &logs,
        };
        phase(of, of.steps(), &job, target, |_, _| {})
    }

    /// Everything below the root: mode, owner and content by path.
    fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        walk(self.folder.path(), self.folder.path(), &mut tree);
        tree
    }
}

fn walk(root: &Path, folder: &Path, tree: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let what = if data.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if data.is_dir() {
            walk(root, &path, tree);
            "folder".to_owned()
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            // The kernel ends its lines itself.
            if name.starts_with("proc/") {
                text.trim_end().to_owned()
            } else {
                text
            }
        };
        let mode = data.permissions().mode();
        tree.insert(
            name,
            format!("{mode:o} {}:{} {what}", data.uid(), data.gid()),
        );
    }
}

/// A configuration, unchecked, as a lenient reader would hand it over.
fn config(json: serde_json::Value) -> NodeConfig {
    serde_json::from_value(json).unwrap()
}

fn failures(done: &[Done], step: Step) -> Vec<String> {
    done.iter()
        .filter(|done| done.step == step)
        .flat_map(|done| done.failures.clone())
        .collect()
}

/// A configuration with something for every step, and no command.
fn full() -> NodeConfig {
    config(json!({
        "hostname": "n1.lan",
        "ssh_authorized_keys": [KEY],
        "password": "plain text",
        "write_files": [
            {"path": "/etc/motd", "content": "hello\n"},
            {"path": "/opt/a/b", "content": "aGVsbG8=", "encoding": "b64", "permissions": "4755"},
        ],
        "modules": ["bonding mode=4 miimon=100"],
        "sysctls": {"kernel.printk": "4 4 1 7", "net.ipv4.conf.eth0.5.forwarding": "1"},
        "dns_nameservers": ["1.1.1.1"],
        "ntp_servers": ["ntp.example.org"],
        "environment": {"HTTP_PROXY": "http://me:secret@proxy:3128"},
    }))
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP/+/fz7+vn49/b19PPy8fDv7u3s6+rp6Ofm5eTj4uHg";

/// The folder of modules, each file with its name in it.
fn modules(node: &Node) {
    let at = |name: &str| format!("usr/lib/modules/6.0/{name}");
    node.write(&at("k/bonding.ko.xz"), "bonding");
    node.write(&at("k/tls.ko"), "tls");
    node.write(&at("k/broken.ko"), "bad");
    node.write(
        &at("modules.dep"),
        "k/bonding.ko.xz: k/tls.ko\nk/tls.ko:\nk/broken.ko:\n",
    );
    node.write(&at("modules.alias"), "alias net-pf-9 tls\n");
    node.write(&at("modules.builtin"), "kernel/fs/ext4/ext4.ko\n");
}
