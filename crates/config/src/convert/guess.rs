//! Which format a file most likely has.

use super::Format;

/// How much of a file is looked at.
const HEAD: usize = 64 << 10;

/// The format that a file's content speaks for.
///
/// ```
/// use lifeboat_config::convert::{Format, guess};
/// assert_eq!(guess(b"#cloud-config\nhostname: x\n"), Some(Format::CloudInit));
/// assert_eq!(guess(b"{\"ignition\": {}}"), Some(Format::Ignition));
/// assert_eq!(guess(b"hello"), None);
/// ```
pub fn guess(bytes: &[u8]) -> Option<Format> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]);
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first == "#cloud-config" || first.starts_with("## template:") {
        return Some(Format::CloudInit);
    }
    let is_header = |name: &str| {
        first
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    if is_header("Content-Type:") || is_header("MIME-Version:") || is_header("From ") {
        return Some(Format::CloudInit);
    }
    if text.trim_start().starts_with('{') {
        let spec_1 = text.contains("\"ignitionVersion\"");
        if spec_1 || text.contains("\"ignition\"") {
            return Some(Format::Ignition);
        }
    }
    if text.starts_with("#!") {
        let flags = |line: &str| line.starts_with("# combustion:");
        // A script without flags may be combustion's too; k3OS and cloud-init run scripts as well.
        return text.lines().any(flags).then_some(Format::Combustion);
    }
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#', '-']))
        .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        .collect();
    let has = |key: &str| keys.contains(&key);
    if text.contains("kubeadm.k8s.io/") || text.contains("kubelet.config.k8s.io/") {
        Some(Format::Kubeadm)
    } else if has("variant") || ["etcd", "locksmith", "flannel"].iter().any(|key| has(key)) {
        Some(Format::Butane)
    } else if [
        "k3os",
        "ssh_authorized_keys",
        "boot_cmd",
        "run_cmd",
        "init_cmd",
    ]
    .iter()
    .any(|key| has(key))
    {
        Some(Format::K3os)
    } else {
        None
    }
}
