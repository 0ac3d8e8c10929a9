//! The files of the operating system: network, names, kernel settings, environment.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{RenderedFile, text};
use crate::{Cni, NodeConfig, definition::types::Server};

/// `/etc/hosts`.
pub fn hosts(node_name: &str) -> String {
    let short = node_name.split('.').next().unwrap_or(node_name);
    let names = if short == node_name {
        node_name.to_owned()
    } else {
        format!("{node_name} {short}")
    };
    format!("127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n")
}

/// `/etc/sysctl.d/90-lifeboat.conf`: what Kubernetes wants, then the user's settings. The bridge
/// settings exist only once `br_netfilter` is loaded.
pub fn sysctls(node: &NodeConfig) -> String {
    let mut settings: BTreeMap<String, &str> = [
        ("net.ipv4.ip_forward", "1"),
        ("net.bridge.bridge-nf-call-iptables", "1"),
        ("net.bridge.bridge-nf-call-ip6tables", "1"),
        // Each pod's watchers count for one user; the default of 128 ends with some 50 pods.
        ("fs.inotify.max_user_instances", "8192"),
        ("fs.inotify.max_user_watches", "524288"),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for (key, value) in &node.sysctls {
        settings.insert(sysctl_key(key.as_str()), value.as_str());
    }
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// A setting's name as sysctl.d(5) has it: the first separator says which is meant.
fn sysctl_key(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key[at..].starts_with('/') => key
            .chars()
            .map(|letter| match letter {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// The modules that Kubernetes and the pod network want.
pub(crate) fn wanted_modules(cni: Cni) -> &'static [&'static str] {
    match cni {
        Cni::Flannel => &["br_netfilter", "overlay", "vxlan"],
        Cni::Bridge | Cni::None => &["br_netfilter", "overlay"],
    }
}

/// `/etc/modules-load.d` and `/etc/modprobe.d`: what Kubernetes wants, then the user's modules.
pub fn module_files(node: &NodeConfig, cni: Cni) -> Vec<RenderedFile> {
    let mut load = String::new();
    for name in wanted_modules(cni) {
        let _ = writeln!(load, "{name}");
    }
    let mut options = String::new();
    for module in &node.modules {
        let (name, parameters) = module.parts();
        let _ = writeln!(load, "{name}");
        if !parameters.is_empty() {
            let _ = writeln!(options, "options {name} {parameters}");
        }
    }
    let mut files = vec![RenderedFile::new(
        "/etc/modules-load.d/90-lifeboat.conf",
        load,
    )];
    if !options.is_empty() {
        files.push(RenderedFile::new(
            "/etc/modprobe.d/90-lifeboat.conf",
            options,
        ));
    }
    files
}

/// The files of systemd-networkd and systemd-timesyncd.
///
/// Wired interfaces by DHCP; what belongs to pod networks is left alone. Name and time servers
/// of the configuration take the place of those that the network offers.
pub fn network_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut network = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n".to_owned();
    for address in &node.dns_nameservers {
        let _ = writeln!(network, "DNS={address}");
    }
    let mut leases = String::new();
    if !node.dns_nameservers.is_empty() {
        leases.push_str("UseDNS=no\n");
    }
    if !node.ntp_servers.is_empty() {
        leases.push_str("UseNTP=no\n");
    }
    // A lease by MAC address, as firmware and initrd ask for it, stays the same at each boot.
    let _ = write!(network, "\n[DHCPv4]\nClientIdentifier=mac\n{leases}");
    if !leases.is_empty() {
        let _ = write!(network, "\n[DHCPv6]\n{leases}");
    }
    if !node.dns_nameservers.is_empty() {
        network.push_str("\n[IPv6AcceptRA]\nUseDNS=no\n");
    }
    let unmanaged = "[Match]\nName=cni* cali* cilium* flannel* kube-* lxc* nodelocaldns tunl* veth* vxlan.calico\n\n[Link]\nUnmanaged=yes\n";
    let foreign = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n";
    let mut files = vec![
        RenderedFile::new("/etc/systemd/network/10-pods.network", unmanaged),
        RenderedFile::new("/etc/systemd/network/80-wired.network", network),
        RenderedFile::new("/etc/systemd/networkd.conf.d/90-lifeboat.conf", foreign),
    ];
    if !node.ntp_servers.is_empty() {
        let servers: Vec<&str> = node.ntp_servers.iter().map(Server::as_str).collect();
        files.push(RenderedFile::new(
            "/etc/systemd/timesyncd.conf.d/90-lifeboat.conf",
            format!("[Time]\nNTP={}\n", servers.join(" ")),
        ));
    }
    files
}

/// `/etc/environment` for log-ins and shells, and the same for systemd's services.
pub fn environment(node: &NodeConfig) -> Vec<RenderedFile> {
    if node.environment.is_empty() {
        return Vec::new();
    }
    let mut shells = String::new();
    let mut services = String::from("[Manager]\n");
    for (name, value) in &node.environment {
        let (name, value) = (name.as_str(), value.as_str());
        let _ = writeln!(shells, "{name}={}", text::environment_value(value));
        let word = text::systemd_word(&format!("{name}={value}"));
        let _ = writeln!(services, "DefaultEnvironment={word}");
    }
    vec![
        RenderedFile::new("/etc/environment", shells),
        RenderedFile::new("/etc/systemd/system.conf.d/90-lifeboat.conf", services),
    ]
}
