//! The files of the operating system: names, kernel settings and modules, locale, time zone.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{RenderedFile, RenderedLink};
use crate::{Cni, NodeConfig};

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

/// The locale, where Debian and systemd look for it.
pub fn locale_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let Some(locale) = &node.locale else {
        return Vec::new();
    };
    ["/etc/locale.conf", "/etc/default/locale"]
        .map(|path| RenderedFile::new(path, format!("LANG={locale}\n")))
        .into()
}

/// The time zone: the link `/etc/localtime`.
pub fn timezone_link(node: &NodeConfig) -> Option<RenderedLink> {
    let zone = node.timezone.as_ref()?;
    Some(RenderedLink::new(
        "/etc/localtime",
        format!("/usr/share/zoneinfo/{zone}"),
    ))
}
