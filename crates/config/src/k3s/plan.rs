//! What a node becomes: the pure step from k3s' settings to kubeadm's.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde_json::{Map, Value as Json};

use super::{
    Note,
    args::{self, Args, Given},
    flags::{Role, Takes, Verdict, flag_of_variable},
    token::{self, Token},
};
use crate::{
    definition::types::{LabelKey, LabelValue, Taint},
    finding::shown,
};

/// What is planned from.
#[derive(Clone, Copy, Default)]
pub struct Input<'a> {
    /// `server_url`.
    pub server_url: Option<&'a str>,
    /// `token`.
    pub token: Option<&'a str>,
    /// `k3s_args`.
    pub k3s_args: &'a [&'a str],
    /// `labels`.
    pub labels: &'a [(&'a str, &'a str)],
    /// `taints`.
    pub taints: &'a [&'a str],
    /// `environment`.
    pub environment: &'a [(&'a str, &'a str)],
    /// The node's name, if it is known: a `server_url` that names the node itself is where the
    /// cluster begins.
    pub hostname: Option<&'a str>,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything else may hold a secret.
        f.debug_struct("Input")
            .field("server_url", &self.server_url)
            .field("labels", &self.labels)
            .field("taints", &self.taints)
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// An argument of a component, without dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What the node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is the first node of a cluster of its own.
    Init {
        /// `HOST:PORT` by which others reach the cluster, if the configuration names it.
        endpoint: Option<String>,
    },
    /// It joins a cluster as a worker.
    Join(Join),
    /// It cannot do what the configuration says: why. It must not begin a cluster instead.
    Refuse(String),
}

/// How to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// `HOST:PORT` of the API server.
    pub endpoint: String,
    /// The text of the token; see [`token::bootstrap`].
    pub secret: Secret,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The bootstrap token of it. Takes some milliseconds.
    pub fn token(&self) -> Token {
        token::bootstrap(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether an add-on of kubeadm is installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addon {
    /// It is.
    #[default]
    Installed,
    /// It is not.
    Disabled,
}

/// An etcd that is not kubeadm's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// Its URLs.
    pub endpoints: Vec<String>,
    /// Its authority's file.
    pub ca_file: Option<String>,
    /// The client certificate's file.
    pub cert_file: Option<String>,
    /// The key's file.
    pub key_file: Option<String>,
}

/// Settings of the cluster; of use to the node that makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterPlan {
    /// The addresses of pods, an IPv4 network.
    pub pod_subnet: Option<String>,
    /// The addresses of services, an IPv4 network.
    pub service_subnet: Option<String>,
    /// The domain of services.
    pub dns_domain: Option<String>,
    /// Further names in the API server's certificate.
    pub certificate_names: Vec<String>,
    /// The address that the API server advertises.
    pub advertise_address: Option<IpAddr>,
    /// Arguments of the API server.
    pub api_server: Vec<Argument>,
    /// Arguments of the controller manager.
    pub controller_manager: Vec<Argument>,
    /// Arguments of the scheduler.
    pub scheduler: Vec<Argument>,
    /// Arguments of etcd.
    pub etcd: Vec<Argument>,
    /// An etcd elsewhere.
    pub external_etcd: Option<ExternalEtcd>,
    /// `CoreDNS`.
    pub dns: Addon,
    /// kube-proxy.
    pub proxy: Addon,
    /// Fields of `KubeProxyConfiguration`.
    pub proxy_settings: Map<String, Json>,
    /// flannel's backend.
    pub flannel_backend: Option<String>,
    /// The texts of the tokens with which others may join.
    pub secrets: Vec<Secret>,
}

/// What a node becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In k3s' words.
    pub role: Role,
    /// What it does.
    pub action: Action,
    /// Its name, if it is not the host's.
    pub node_name: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Its addresses.
    pub node_ips: Vec<IpAddr>,
    /// Arguments of the kubelet.
    pub kubelet: Vec<Argument>,
    /// Fields of `KubeletConfiguration`.
    pub kubelet_settings: Map<String, Json>,
    /// Settings of the cluster.
    pub cluster: ClusterPlan,
    /// What does not carry over.
    pub notes: Vec<Note>,
}

/// Plans a node.
pub fn plan(input: &Input<'_>) -> Plan {
    let Args { role, given, notes } = args::parse(input.k3s_args);
    let variables = variables(input, &given);
    let url_is_given =
        input.server_url.is_some() || variables.iter().any(|given| given.flag.name == "server");
    let role = role.unwrap_or(if url_is_given {
        Role::Agent
    } else {
        Role::Server
    });
    let mut plan = Plan {
        role,
        action: Action::Init { endpoint: None },
        node_name: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        node_ips: Vec::new(),
        kubelet: Vec::new(),
        kubelet_settings: Map::new(),
        cluster: ClusterPlan::default(),
        notes,
    };
    let mut chosen = Chosen::default();
    // An argument counts more than a variable, as in k3s; keys of the configuration are such.
    for given in variables.iter().chain(&given) {
        plan.consider(given, &mut chosen);
    }
    for (variable, _) in input.environment {
        if variable.starts_with("K3S_") && flag_of_variable(variable).is_none() {
            plan.notes.push(Note::new(
                format!("environment.{variable}"),
                "k3s-variable-unknown",
                "k3s has no setting by this variable; programs see it, Kubernetes does not",
                None,
            ));
        }
    }
    let (url, url_path) = match (chosen.url, input.server_url) {
        // The key is k3s' variable K3S_URL, over which the argument goes.
        (Some((url, path)), _) if path.starts_with("k3s_args") => (Some(url), path),
        (_, Some(url)) => (Some(url.to_owned()), "server_url".to_owned()),
        (Some((url, path)), None) => (Some(url), path),
        (None, None) => (None, "server_url".to_owned()),
    };
    let (text, token_path) = match (chosen.token, input.token) {
        (Some((text, path)), _) if path.starts_with("k3s_args") => (Some(text), path),
        (_, Some(text)) => (Some(text.to_owned()), "token".to_owned()),
        (Some((text, path)), None) => (Some(text), path),
        (None, None) => (None, "token".to_owned()),
    };
    plan.labels_and_taints(input);
    let secret = plan.secret(text.as_deref(), &token_path);
    plan.action = plan.decide(url.as_deref(), &url_path, secret.as_ref(), input.hostname);
    if let Action::Init { .. } = plan.action {
        let agents = chosen.agent_token;
        let second = agents.and_then(|(text, path)| plan.secret(Some(&text), &path).ok().flatten());
        let both = secret.ok().flatten().into_iter().chain(second);
        plan.cluster.secrets.extend(both);
    }
    plan
}

/// What variables of the configuration give; not those over which an argument goes.
fn variables(input: &Input<'_>, given: &[Given]) -> Vec<Given> {
    let mut found = Vec::new();
    for (variable, value) in input.environment {
        let Some(flag) = flag_of_variable(variable) else {
            continue;
        };
        // Those that are not k3s' own mean what they say to everything else.
        if value.is_empty()
            || !variable.starts_with("K3S_")
            || given.iter().any(|given| given.flag.name == flag.name)
        {
            continue;
        }
        let value = match flag.takes {
            Takes::Nothing => args::boolean(value).unwrap_or("true"),
            _ => value,
        };
        found.push(Given {
            flag,
            value: value.to_owned(),
            path: format!("environment.{variable}"),
        });
    }
    found
}

/// Texts that are decided on at the end, with their paths.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) url: Option<(String, String)>,
    pub(super) token: Option<(String, String)>,
    pub(super) agent_token: Option<(String, String)>,
}

impl Plan {
    pub(super) fn note(
        &mut self,
        path: &str,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let hint = hint.map(str::to_owned);
        self.notes.push(Note::new(path, code, message, hint));
    }

    /// Takes a flag, or says why not.
    fn consider(&mut self, given: &Given, chosen: &mut Chosen) {
        let flag = given.flag;
        let name = match given.path.strip_prefix("environment.") {
            Some(variable) => variable.to_owned(),
            None => format!("--{}", flag.name),
        };
        if !flag.roles.has(self.role) {
            let message = format!("{name} has no meaning for `{}`; it is left out", self.role);
            self.note(&given.path, "k3s-flag-role", message, None);
            return;
        }
        if flag.takes == Takes::Nothing && !given.is_on() {
            return; // As it would be without it.
        }
        match flag.verdict {
            Verdict::Mapped(_) => {
                self.apply(given, chosen);
            }
            Verdict::NotNeeded(why) => {
                let message = format!("{name} is not needed: {why}");
                self.note(&given.path, "k3s-flag-not-needed", message, None);
            }
            Verdict::NoEquivalent(why) => {
                let message = format!("{name} does not carry over: {why}");
                self.note(&given.path, "k3s-flag-no-equivalent", message, None);
            }
        }
    }

    /// `labels` and `taints`, which come after the arguments.
    fn labels_and_taints(&mut self, input: &Input<'_>) {
        for (key, value) in input.labels {
            self.label(&format!("labels.{key}"), key, value);
        }
        for (index, taint) in input.taints.iter().enumerate() {
            self.taint(&format!("taints[{index}]"), taint);
        }
    }

    pub(super) fn label(&mut self, path: &str, key: &str, value: &str) {
        match (key.parse::<LabelKey>(), value.parse::<LabelValue>()) {
            (Ok(_), Ok(_)) => {
                self.labels.insert(key.to_owned(), value.to_owned());
            }
            (Err(refusal), _) | (_, Err(refusal)) => {
                self.note(path, "k3s-label", refusal.message, refusal.hint.as_deref());
            }
        }
    }

    pub(super) fn taint(&mut self, path: &str, text: &str) {
        match text.parse::<Taint>() {
            Ok(taint) => {
                // The later one counts, as in the kubelet's own reading.
                let same = |one: &Taint| {
                    let ((key, _, effect), (other, _, its)) = (taint.parts(), one.parts());
                    key == other && effect == its
                };
                self.taints.retain(|one| !same(one));
                self.taints.push(taint);
            }
            Err(refusal) => {
                self.note(path, "k3s-taint", refusal.message, refusal.hint.as_deref());
            }
        }
    }

    /// The secret of a token, with what is to say about it; an error if it cannot be used.
    fn secret(&mut self, text: Option<&str>, path: &str) -> Result<Option<Secret>, String> {
        let Some(text) = text else {
            return Ok(None);
        };
        let (kind, secret) = match token::read(text) {
            Ok(read) => read,
            Err(error) => {
                let hint = "write the secret alone, or a bootstrap token of kubeadm: abcdef.0123456789abcdef";
                self.note(path, "k3s-token", error.to_string(), Some(hint));
                return Err(error.to_string());
            }
        };
        if kind == token::Kind::WithAuthority {
            self.note(
                path,
                "k3s-token-authority",
                "the hash in the token is that of a k3s cluster's authority, which a kubeadm cluster does not have; the secret part is used, and whoever knows it is trusted",
                Some("to check the cluster's authority, give its hash in `kubeadm.discovery_ca_hashes`"),
            );
        }
        if kind != token::Kind::Bootstrap && secret.chars().count() < 16 {
            self.note(
                path,
                "k3s-token-short",
                "the secret is short: whoever reaches the API server can find it by trying",
                Some("use at least 16 random characters, or a bootstrap token of kubeadm"),
            );
        }
        Ok(Some(Secret(secret.to_owned())))
    }

    fn decide(
        &mut self,
        url: Option<&str>,
        path: &str,
        secret: Result<&Option<Secret>, &String>,
        hostname: Option<&str>,
    ) -> Action {
        let Some(url) = url.filter(|url| !url.trim().is_empty()) else {
            if self.role == Role::Agent {
                let why = "a worker needs `server_url`, the cluster to join";
                self.note(path, "k3s-server-url", why, None);
                return Action::Refuse(why.to_owned());
            }
            return Action::Init { endpoint: None };
        };
        let endpoint = match endpoint(url) {
            Ok(endpoint) => endpoint,
            Err(why) => {
                let message = format!("{} {why}", shown(url));
                let hint = "write the API server's address as https://HOST:6443";
                self.note(path, "k3s-server-url", message.clone(), Some(hint));
                return Action::Refuse(format!("server_url: {message}"));
            }
        };
        if endpoint.port_is_default {
            self.note(
                path,
                "k3s-server-url",
                "no port is named: 6443 is taken, that of an API server of kubeadm",
                None,
            );
        }
        let text = endpoint.text();
        if self.role == Role::Server {
            if self.is_own(&endpoint.host, hostname) {
                return Action::Init {
                    endpoint: Some(text),
                };
            }
            let why = "a further control plane cannot join by this version; a node with `server` and a `server_url` of another node does nothing";
            let hint = "leave `server` out of `k3s_args` to join as a worker, or `server_url` to begin a cluster";
            self.note(path, "k3s-server-url", why, Some(hint));
            return Action::Refuse(why.to_owned());
        }
        match secret {
            Ok(Some(secret)) => Action::Join(Join {
                endpoint: text,
                secret: secret.clone(),
            }),
            Ok(None) => {
                let why = "a node joins a cluster with its `token`, and there is none";
                self.note("token", "k3s-token", why, None);
                Action::Refuse(why.to_owned())
            }
            Err(why) => Action::Refuse(why.clone()),
        }
    }

    /// Whether a host is this node.
    fn is_own(&self, host: &str, hostname: Option<&str>) -> bool {
        let names = [self.node_name.as_deref(), hostname];
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
        let by_name = names.into_iter().flatten().any(|name| {
            let whole = name.eq_ignore_ascii_case(host);
            // One of them may have the domain.
            whole || ((!name.contains('.') || !host.contains('.')) && short(name) == short(host))
        });
        let address = host.parse::<IpAddr>().ok();
        let own = address.is_some_and(|address| {
            let advertised = self.cluster.advertise_address;
            address.is_loopback() || self.node_ips.contains(&address) || advertised == Some(address)
        });
        by_name && address.is_none() || own || host.eq_ignore_ascii_case("localhost")
    }
}

struct Endpoint {
    host: String,
    port: u16,
    port_is_default: bool,
}

impl Endpoint {
    fn text(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Host and port of a URL.
fn endpoint(url: &str) -> Result<Endpoint, &'static str> {
    let url = url.trim();
    let scheme = url
        .get(..8)
        .filter(|one| one.eq_ignore_ascii_case("https://"));
    let rest = match scheme {
        Some(scheme) => &url[scheme.len()..],
        None => return Err("is not the https:// address of an API server"),
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !path.trim_matches('/').is_empty() {
        return Err("names more than a host and a port");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has no ] after its address")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("holds no IPv6 address within []");
            }
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or("has no : before its port")?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !(host.bytes().all(is_name) || host.contains(':')) {
        return Err("names no host");
    }
    let (port, port_is_default) = match port {
        None => (6443, true),
        Some(port) => match port.parse() {
            Ok(port @ 1..) => (port, false),
            _ => return Err("has no valid port"),
        },
    };
    Ok(Endpoint {
        host: host.to_owned(),
        port,
        port_is_default,
    })
}

/// Whether each flag that is said to be mapped is one that is taken.
#[cfg(test)]
pub(super) fn takes(name: &str) -> bool {
    let flag = super::flag(name).expect("a flag of the table");
    let mut plan = plan(&Input::default());
    let given = Given {
        flag,
        value: "true".to_owned(),
        path: "k3s_args[0]".to_owned(),
    };
    plan.apply(&given, &mut Chosen::default())
}
