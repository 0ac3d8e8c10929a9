//! Environment variables and web proxies, for services, log-ins and shells.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value as Json;

use super::{
    Facts, POD_SUBNET, RenderedFile, SERVICE_SUBNET, kubeadm, network::static_networks, text,
};
use crate::{NodeConfig, definition::types::system::ProxyUrl};

/// What is reached directly by any node: itself, its link, and the cluster's own names.
const DIRECT: [&str; 6] = [
    "localhost",
    "127.0.0.0/8",
    "::1",
    "169.254.0.0/16",
    "fe80::/10",
    ".svc",
];
/// The networks that nodes have their addresses from, where DHCP gives them (RFC 1918, RFC 4193).
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// The services that use the proxy.
const SERVICES: [&str; 5] = [
    "containerd.service",
    "crio.service",
    "kubelet.service",
    "lifeboat-provision.service",
    "lifeboat-run.service",
];
const PROXY_FILE: &str = "/etc/lifeboat/proxy.env";

/// What is reached without the proxy, in the form of `NO_PROXY`.
fn direct(node: &NodeConfig, facts: Option<&Facts>) -> String {
    let cluster = facts.map(|facts| {
        let plan = kubeadm::plan(node, facts);
        kubeadm::merged_cluster(node, facts, &plan)["networking"].take()
    });
    let cluster = cluster.unwrap_or_default();
    let mut all: Vec<String> = Vec::new();
    let mut add = |entry: &str| {
        if !entry.is_empty() && !all.iter().any(|one| one == entry) {
            all.push(entry.to_owned());
        }
    };
    node.proxy.no_proxy.iter().for_each(|one| add(one.as_str()));
    DIRECT.into_iter().for_each(&mut add);
    for (key, default) in [
        ("podSubnet", POD_SUBNET),
        ("serviceSubnet", SERVICE_SUBNET),
        ("dnsDomain", "cluster.local"),
    ] {
        let wanted = cluster.get(key).and_then(Json::as_str).unwrap_or(default);
        for one in wanted.split(',') {
            let dot = if key == "dnsDomain" { "." } else { "" };
            add(&format!("{dot}{}", one.trim()));
        }
    }
    let networks = static_networks(node);
    if networks.is_empty() {
        PRIVATE.into_iter().for_each(&mut add);
    }
    for network in &networks {
        add(network);
    }
    if let Some(hostname) = &node.hostname {
        add(hostname.as_str());
    }
    if let Some(url) = &node.server_url {
        let rest = url
            .as_str()
            .split_once("://")
            .map_or(url.as_str(), |(_, rest)| rest);
        add(host_of(rest.split('/').next().unwrap_or_default()));
    }
    if let Some(facts) = facts {
        add(&facts.node_name);
        if let Some(address) = facts.advertise_address {
            add(&address.to_string());
        }
        if let Some(endpoint) = &facts.control_plane_endpoint {
            add(host_of(endpoint));
        }
    }
    all.join(",")
}

/// The host of `HOST:PORT`.
fn host_of(endpoint: &str) -> &str {
    match endpoint.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => endpoint.split(':').next().unwrap_or_default(),
    }
}

/// The variables of the proxies, in both spellings, as programs differ in which they read.
fn proxies(node: &NodeConfig, facts: Option<&Facts>) -> BTreeMap<&'static str, String> {
    let mut variables = BTreeMap::new();
    if !node.proxy.is_set() {
        return variables;
    }
    let url = |one: &Option<ProxyUrl>| one.as_ref().map(|url| url.as_str().to_owned());
    for (large, small, value) in [
        ("HTTP_PROXY", "http_proxy", url(&node.proxy.http)),
        ("HTTPS_PROXY", "https_proxy", url(&node.proxy.https)),
        ("NO_PROXY", "no_proxy", Some(direct(node, facts))),
    ] {
        if let Some(value) = value {
            variables.insert(large, value.clone());
            variables.insert(small, value);
        }
    }
    variables
}

/// What is reached without the proxies of `environment`, in addition to what it says itself: the
/// kubelet must not ask a proxy for its own API server, nor must anything else of the cluster.
fn bypass(node: &NodeConfig, facts: Option<&Facts>) -> Option<String> {
    let find = |wanted: &str| {
        let mut all = node.environment.iter();
        all.find(|(name, _)| name.as_str().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    };
    ["http_proxy", "https_proxy", "all_proxy"]
        .into_iter()
        .find_map(find)?;
    let own = find("no_proxy").map(|own| format!("{own},"));
    Some(own.unwrap_or_default() + &direct(node, facts))
}

/// The proxies of Kubernetes, the container runtime and the commands of the node. A proxy may
/// hold a password, which everybody could see in a unit; the file is root's.
pub fn proxy_files(node: &NodeConfig, facts: Option<&Facts>) -> Vec<RenderedFile> {
    let variables = proxies(node, facts);
    if variables.is_empty() {
        return Vec::new();
    }
    let mut content = String::new();
    for (name, value) in variables {
        let _ = writeln!(content, "{name}={}", text::environment_value(&value));
    }
    let mut files = vec![RenderedFile::secret(PROXY_FILE, content)];
    files.extend(SERVICES.map(|service| {
        RenderedFile::new(
            format!("/etc/systemd/system/{service}.d/20-proxy.conf"),
            format!("[Service]\nEnvironmentFile={PROXY_FILE}\n"),
        )
    }));
    files
}

/// The variables of `environment`, and the proxies for log-ins. See [`environment_with`].
pub fn environment(node: &NodeConfig) -> Vec<RenderedFile> {
    environment_with(node, None)
}

/// The variables of `environment` and the proxies: for PAM (`/etc/environment`), for log-in
/// shells (`/etc/profile.d`), for users' services (`environment.d`), and for all services of
/// systemd (variables only; proxies are for [`proxy_files`]). Nothing in a value is expanded.
pub(super) fn environment_with(node: &NodeConfig, facts: Option<&Facts>) -> Vec<RenderedFile> {
    let proxy = &node.proxy;
    let secret = [&proxy.http, &proxy.https]
        .into_iter()
        .flatten()
        .any(ProxyUrl::has_credentials);
    let proxies = proxies(node, facts);
    // What the user writes as a variable is stronger than what follows from `proxy`.
    let mut logins: BTreeMap<&str, &str> = proxies
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut own: BTreeMap<&str, &str> = node
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let bypass = bypass(node, facts);
    for name in ["NO_PROXY", "no_proxy"] {
        own.extend(bypass.as_deref().map(|value| (name, value)));
    }
    logins.extend(&own);
    // With a password only what PAM reads as root.
    let shells = if secret { &own } else { &logins };
    let mut files = Vec::new();
    let lines = |variables: &BTreeMap<&str, &str>, line: &dyn Fn(&str, &str) -> String| {
        let lines: Vec<String> = variables
            .iter()
            .map(|(name, value)| line(name, value))
            .collect();
        lines.concat()
    };
    if !logins.is_empty() {
        let content = lines(&logins, &|name, value| {
            format!("{name}={}\n", text::login_value(value))
        });
        files.push(if secret {
            RenderedFile::secret("/etc/environment", content)
        } else {
            RenderedFile::new("/etc/environment", content)
        });
    }
    if !shells.is_empty() {
        let content = lines(shells, &|name, value| {
            format!("export {name}={}\n", text::environment_value(value))
        });
        files.push(RenderedFile::new("/etc/profile.d/90-lifeboat.sh", content));
        let content = lines(shells, &|name, value| {
            // environment.d(5) expands even within single quotes; `$$` is a `$`.
            let value = value.replace('$', "$$");
            format!("{name}={}\n", text::environment_value(&value))
        });
        files.push(RenderedFile::new(
            "/etc/environment.d/90-lifeboat.conf",
            content,
        ));
    }
    if !own.is_empty() {
        let content = lines(&own, &|name, value| {
            let word = text::systemd_word(&format!("{name}={value}"));
            format!("DefaultEnvironment={word}\n")
        });
        files.push(RenderedFile::new(
            "/etc/systemd/system.conf.d/90-lifeboat.conf",
            format!("[Manager]\n{content}"),
        ));
    }
    files
}
