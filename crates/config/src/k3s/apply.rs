//! What each mapped flag does to the plan.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::{
    Argument, Given, Plan,
    component::{self, Refused},
    plan::{Addon, Chosen, ExternalEtcd},
};
use crate::finding::{did_you_mean, nearest, shown};

/// What k3s installs besides and what of it is here.
const PACKAGED: [&str; 7] = [
    "coredns",
    "traefik",
    "servicelb",
    "local-storage",
    "metrics-server",
    "rolebindings",
    "runtimes",
];

impl Plan {
    /// Takes a mapped flag; whether there was one to take.
    pub(super) fn apply(&mut self, given: &Given, chosen: &mut Chosen) -> bool {
        let value = given.value.as_str();
        let text = || Some((given.value.clone(), given.path.clone()));
        match given.flag.name {
            "server" => chosen.url = text(),
            "token" => chosen.token = text(),
            "agent-token" => chosen.agent_token = text(),
            "node-name" => self.name(given),
            "node-label" | "node-taint" => self.label_or_taint(given),
            "kubelet-arg" => self.kubelet_argument(given),
            "image-credential-provider-bin-dir"
            | "image-credential-provider-config"
            | "v"
            | "vmodule" => set(&mut self.kubelet, given.flag.name, value),
            "resolv-conf" => {
                self.kubelet_settings
                    .insert("resolvConf".to_owned(), json!(value));
            }
            "protect-kernel-defaults" => {
                self.kubelet_settings
                    .insert("protectKernelDefaults".to_owned(), json!(true));
            }
            "node-ip" => {
                let addresses = self.addresses(given);
                self.node_ips.extend(addresses);
            }
            "node-external-ip" => {
                let addresses = self.addresses(given);
                let names = addresses.iter().map(ToString::to_string);
                self.cluster.certificate_names.extend(names);
            }
            _ => return self.apply_to_cluster(given),
        }
        true
    }

    fn apply_to_cluster(&mut self, given: &Given) -> bool {
        let value = given.value.as_str();
        let cluster = &mut self.cluster;
        match given.flag.name {
            "bind-address" | "service-node-port-range" => {
                set(&mut cluster.api_server, given.flag.name, value);
            }
            "tls-san" => {
                for name in list(value) {
                    if !cluster.certificate_names.iter().any(|one| one == name) {
                        cluster.certificate_names.push(name.to_owned());
                    }
                }
            }
            "cluster-domain" => cluster.dns_domain = Some(value.to_owned()),
            "advertise-address" => match value.parse() {
                Ok(address) => cluster.advertise_address = Some(address),
                Err(_) => self.bad(given, "is no IP address"),
            },
            "cluster-cidr" => self.cluster.pod_subnet = self.network(given, 24),
            "service-cidr" => self.cluster.service_subnet = self.network(given, 28),
            "cluster-dns" => self.cluster_dns(given),
            "flannel-backend" => self.flannel_backend(given),
            "disable" => self.disable(given),
            "disable-kube-proxy" => cluster.proxy = Addon::Disabled,
            "kube-apiserver-arg"
            | "kube-controller-manager-arg"
            | "kube-scheduler-arg"
            | "etcd-arg" => self.component_argument(given),
            "kube-proxy-arg" => self.proxy_argument(given),
            "etcd-expose-metrics" => set(
                &mut cluster.etcd,
                "listen-metrics-urls",
                "http://0.0.0.0:2381",
            ),
            "datastore-endpoint" => self.datastore(given),
            "datastore-cafile" => self.external_etcd().ca_file = Some(value.to_owned()),
            "datastore-certfile" => self.external_etcd().cert_file = Some(value.to_owned()),
            "datastore-keyfile" => self.external_etcd().key_file = Some(value.to_owned()),
            _ => return false,
        }
        true
    }

    fn bad(&mut self, given: &Given, why: &str) {
        let message = format!(
            "--{}: {} {why}; it is left out",
            given.flag.name,
            shown(&given.value)
        );
        self.note(&given.path, "k3s-flag-value", message, None);
    }

    fn name(&mut self, given: &Given) {
        let name = given.value.to_lowercase();
        match name.parse::<crate::Hostname>() {
            Ok(name) => self.node_name = Some(name.as_str().to_owned()),
            Err(refusal) => self.bad(given, &refusal.message),
        }
    }

    fn label_or_taint(&mut self, given: &Given) {
        if given.flag.name == "node-taint" {
            self.taint(&given.path, &given.value);
            return;
        }
        let (key, value) = given.value.split_once('=').unwrap_or((&given.value, ""));
        self.label(&given.path, key, value);
    }

    fn kubelet_argument(&mut self, given: &Given) {
        let argument = argument(&given.value);
        match argument.name.as_str() {
            "register-with-taints" => {
                for taint in list(&argument.value) {
                    self.taint(&given.path, taint);
                }
            }
            "node-labels" => {
                for label in list(&argument.value) {
                    let (key, value) = label.split_once('=').unwrap_or((label, ""));
                    self.label(&given.path, key, value);
                }
            }
            _ => match component::kubelet(&argument.name) {
                Ok(()) => set(&mut self.kubelet, &argument.name, &argument.value),
                Err(refused) => self.refused(given, &argument.name, refused),
            },
        }
    }

    fn component_argument(&mut self, given: &Given) {
        let argument = argument(&given.value);
        if argument.name.is_empty() {
            self.bad(given, "names no argument");
            return;
        }
        let cluster = &mut self.cluster;
        let of = match given.flag.name {
            "kube-apiserver-arg" => &mut cluster.api_server,
            "kube-controller-manager-arg" => &mut cluster.controller_manager,
            "kube-scheduler-arg" => &mut cluster.scheduler,
            _ => &mut cluster.etcd,
        };
        // Some may be given several times: kubeadm hands all of them on.
        of.push(argument);
    }

    fn proxy_argument(&mut self, given: &Given) {
        let argument = argument(&given.value);
        match component::proxy(
            &argument.name,
            &argument.value,
            &mut self.cluster.proxy_settings,
        ) {
            Ok(()) => {}
            Err(refused) => self.refused(given, &argument.name, refused),
        }
    }

    fn refused(&mut self, given: &Given, name: &str, refused: Refused) {
        let flag = given.flag.name;
        let name = shown(name);
        let (message, hint) = match refused {
            Refused::Removed(why) => (
                format!("--{flag}: the argument {name} is gone: {why}; it is left out"),
                None,
            ),
            Refused::Unknown => (
                format!("--{flag}: the argument {name} has no known field; it is left out"),
                Some("set its field in `kubeadm.proxy` (KubeProxyConfiguration)"),
            ),
            Refused::Value => (
                format!(
                    "--{flag}: the argument {name} has a value that its field cannot take; it is left out"
                ),
                None,
            ),
        };
        self.note(&given.path, "k3s-flag-value", message, hint);
    }

    fn addresses(&mut self, given: &Given) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for text in list(&given.value) {
            match text.parse() {
                Ok(address) => found.push(address),
                Err(_) => self.bad(given, "holds something that is no IP address"),
            }
        }
        found
    }

    /// The IPv4 network of a list.
    fn network(&mut self, given: &Given, longest: u8) -> Option<String> {
        let mut networks = Vec::new();
        for text in list(&given.value) {
            match ipv4_network(text) {
                Some((address, prefix)) if prefix <= longest => {
                    networks.push(format!("{address}/{prefix}"));
                }
                Some(_) => {
                    let why = format!("is too small a network; /{longest} is the smallest");
                    self.bad(given, &why);
                }
                None if text.contains(':') => self.note(
                    &given.path,
                    "k3s-flag-value",
                    format!("--{}: IPv6 networks are not set up by this version; its IPv4 network is taken", given.flag.name),
                    None,
                ),
                None => self.bad(given, "is no IPv4 network such as 10.42.0.0/16"),
            }
        }
        let first = networks.first().cloned();
        if networks.len() > 1 {
            self.bad(given, "holds several IPv4 networks; the first is taken");
        }
        first
    }

    fn cluster_dns(&mut self, given: &Given) {
        let subnet = self.cluster.service_subnet.as_deref();
        let expected = tenth(subnet.unwrap_or(crate::render::SERVICE_SUBNET));
        let wrong = list(&given.value)
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .any(|address| Some(address) != expected.map(IpAddr::V4) && address.is_ipv4());
        if let (true, Some(expected)) = (wrong, expected) {
            let message = format!(
                "--cluster-dns: CoreDNS has the tenth address of the service network, {expected}; it is left out"
            );
            let hint = "give --service-cidr before it";
            self.note(&given.path, "k3s-flag-value", message, Some(hint));
        }
    }

    fn flannel_backend(&mut self, given: &Given) {
        match given.value.as_str() {
            backend @ ("vxlan" | "host-gw" | "wireguard-native") => {
                self.cluster.flannel_backend = Some(backend.to_owned());
            }
            "none" => self.note(
                &given.path,
                "k3s-flag-no-equivalent",
                "--flannel-backend=none does not carry over: the pod network is part of the image",
                Some("build the image with `image: {cni: none}`"),
            ),
            _ => self.bad(
                given,
                "is not a backend here: vxlan, host-gw or wireguard-native",
            ),
        }
    }

    fn disable(&mut self, given: &Given) {
        for name in list(&given.value) {
            if name == "coredns" {
                self.cluster.dns = Addon::Disabled;
            } else if !PACKAGED.contains(&name) {
                let near = did_you_mean(nearest(name, PACKAGED));
                let message = format!("--disable: k3s has no component {}{near}", shown(name));
                self.note(&given.path, "k3s-flag-value", message, None);
            }
        }
    }

    fn external_etcd(&mut self) -> &mut ExternalEtcd {
        self.cluster
            .external_etcd
            .get_or_insert_with(ExternalEtcd::default)
    }

    fn datastore(&mut self, given: &Given) {
        let endpoints: Vec<String> = list(&given.value).map(str::to_owned).collect();
        let etcd = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if endpoints.is_empty() || !endpoints.iter().all(etcd) {
            // It may hold a password.
            self.note(
                &given.path,
                "k3s-flag-no-equivalent",
                "--datastore-endpoint does not carry over: kubeadm knows no database but etcd, and this is no list of its URLs",
                Some("leave it out: the first control plane has an etcd of its own"),
            );
            return;
        }
        self.external_etcd().endpoints = endpoints;
    }
}

/// The items of a list with commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// `NAME=VALUE` with or without dashes; without a value it is `true`.
fn argument(text: &str) -> Argument {
    let text = text.trim_start_matches('-');
    let (name, value) = text.split_once('=').unwrap_or((text, "true"));
    Argument {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// Sets an argument that is given once.
fn set(arguments: &mut Vec<Argument>, name: &str, value: &str) {
    arguments.retain(|one| one.name != name);
    arguments.push(Argument {
        name: name.to_owned(),
        value: value.to_owned(),
    });
}

/// An IPv4 network, the bits of its hosts cleared.
pub(crate) fn ipv4_network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix: u8 = prefix
        .parse()
        .ok()
        .filter(|prefix| (1..=32).contains(prefix))?;
    let mask = u32::MAX << (32 - u32::from(prefix));
    Some((Ipv4Addr::from_bits(address.to_bits() & mask), prefix))
}

/// The tenth address of a network.
fn tenth(network: &str) -> Option<Ipv4Addr> {
    let (address, _) = ipv4_network(network)?;
    Some(Ipv4Addr::from_bits(address.to_bits().wrapping_add(10)))
}
