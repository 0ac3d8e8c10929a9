//! Where a node's configuration comes from.

use std::path::Path;

use fs_err as fs;
pub use lifeboat_config::layers::SourceState as Source;
use lifeboat_config::{Hostname, NodeConfig, definition::types::SshKey};

use crate::{apply::Rancher, sources};

/// What the sources of a node say.
#[derive(Debug, Default)]
pub struct Found {
    /// The configuration.
    pub config: NodeConfig,
    /// Its sources, low to high.
    pub sources: Vec<Source>,
    /// Whether something of it is from a configuration of k3OS, whose users log in as its user.
    pub rancher: Rancher,
}

/// What the machine's maker hands in below any configuration, by QEMU's `fw_cfg`: a name for a node
/// that is given none, and keys of root beside those that it is given
/// (systemd.system-credentials(7)).
const NAME: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/lifeboat/hostname/raw";
const KEYS: &str =
    "/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/ssh.authorized_keys.root/raw";

/// The name that the machine has outside.
pub fn machine_name() -> Option<String> {
    let text = fs::read_to_string(NAME).ok()?;
    text.trim()
        .parse::<Hostname>()
        .ok()
        .map(|name| name.to_string())
}

/// Adds keys that are not there; lines that are none are left out.
fn add_keys(keys: &mut Vec<SshKey>, text: &str) {
    for key in text.lines().filter_map(|line| line.trim().parse().ok()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
}

/// Reads all sources of this node. What cannot be used is left out and named; without any
/// source a node has the defaults.
pub fn read() -> Found {
    match sources::read(Path::new("/"), None) {
        Ok(inputs) => {
            let made = inputs.effective();
            let k3os = made.origins.values().flatten();
            let rancher = if k3os.into_iter().any(|origin| is_of_k3os(&origin.source)) {
                Rancher::Wanted
            } else {
                Rancher::Absent
            };
            let mut config = made.node;
            add_keys(
                &mut config.ssh_authorized_keys,
                &fs::read_to_string(KEYS).unwrap_or_default(),
            );
            Found {
                config,
                sources: made.sources,
                rancher,
            }
        }
        Err(error) => {
            let source = Source {
                name: "/".to_owned(),
                used: false,
                problems: vec![error.to_string()],
            };
            Found {
                sources: vec![source],
                ..Found::default()
            }
        }
    }
}

/// Whether a source is one that only k3OS has. What clouds hand in is read by both.
fn is_of_k3os(source: &str) -> bool {
    source == "cmdline" || source.starts_with("k3os/") || source.starts_with("var/lib/rancher/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_machine_stand_beside_those_of_the_configuration() {
        let key = |name: &str| {
            format!(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdLJzsL7tLHcWIhtF2fIl5rxJZEm3tqXWq0hVhX1nHk {name}"
            )
        };
        let mut keys: Vec<SshKey> = vec![key("a").parse().unwrap()];
        add_keys(
            &mut keys,
            &format!("{}\n\nnonsense\n{}\n", key("b"), key("a")),
        );
        let found: Vec<_> = keys.iter().map(SshKey::as_str).collect();
        assert_eq!(found, [key("a"), key("b")]);
    }
}
