//! Arguments of the kubelet and of kube-proxy.

use serde_json::{Map, Value as Json, json};

/// Why an argument is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Kubernetes has it no more: since when and why.
    Removed(&'static str),
    /// It has no field that is known here.
    Unknown,
    /// Its value is none of its field.
    Value,
}

/// Arguments with which the kubelet would not start any more.
const GONE: [(&str, &str); 17] = [
    ("allow-privileged", "since 1.15, every container may be"),
    ("cadvisor-port", "since 1.12"),
    ("cni-bin-dir", "since 1.24, the runtime has the setting"),
    ("cni-cache-dir", "since 1.24, the runtime has the setting"),
    ("cni-conf-dir", "since 1.24, the runtime has the setting"),
    ("container-runtime", "since 1.27, there is one kind only"),
    ("docker-endpoint", "since 1.24"),
    ("dynamic-config-dir", "since 1.24"),
    ("experimental-bootstrap-kubeconfig", "since 1.10"),
    ("image-pull-progress-deadline", "since 1.24"),
    ("keep-terminated-pod-volumes", "since 1.31"),
    ("master-service-namespace", "since 1.27"),
    ("network-plugin", "since 1.24, the runtime has the setting"),
    (
        "network-plugin-mtu",
        "since 1.24, the runtime has the setting",
    ),
    (
        "non-masquerade-cidr",
        "since 1.24, the pod network has the setting",
    ),
    (
        "pod-infra-container-image",
        "since 1.35, the runtime has the setting",
    ),
    ("seccomp-default-profile", "it never was one"),
];

/// Whether the kubelet takes an argument.
pub(super) fn kubelet(name: &str) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(Refused::Unknown);
    }
    match GONE.iter().find(|(gone, _)| *gone == name) {
        Some((_, why)) => Err(Refused::Removed(why)),
        None => Ok(()),
    }
}

/// What a field of `KubeProxyConfiguration` holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Truth,
    Texts,
    Truths,
}

/// kube-proxy's arguments and their fields (kubeproxy.config.k8s.io/v1alpha1).
const PROXY: [(&str, &str, Kind); 31] = [
    ("proxy-mode", "mode", Kind::Text),
    ("bind-address", "bindAddress", Kind::Text),
    ("bind-address-hard-fail", "bindAddressHardFail", Kind::Truth),
    ("healthz-bind-address", "healthzBindAddress", Kind::Text),
    ("metrics-bind-address", "metricsBindAddress", Kind::Text),
    ("hostname-override", "hostnameOverride", Kind::Text),
    ("cluster-cidr", "clusterCIDR", Kind::Text),
    ("profiling", "enableProfiling", Kind::Truth),
    ("feature-gates", "featureGates", Kind::Truths),
    ("oom-score-adj", "oomScoreAdj", Kind::Number),
    ("config-sync-period", "configSyncPeriod", Kind::Text),
    ("nodeport-addresses", "nodePortAddresses", Kind::Texts),
    (
        "show-hidden-metrics-for-version",
        "showHiddenMetricsForVersion",
        Kind::Text,
    ),
    ("detect-local-mode", "detectLocalMode", Kind::Text),
    ("kube-api-qps", "clientConnection.qps", Kind::Number),
    ("kube-api-burst", "clientConnection.burst", Kind::Number),
    ("masquerade-all", "iptables.masqueradeAll", Kind::Truth),
    (
        "iptables-masquerade-bit",
        "iptables.masqueradeBit",
        Kind::Number,
    ),
    (
        "iptables-localhost-nodeports",
        "iptables.localhostNodePorts",
        Kind::Truth,
    ),
    ("iptables-sync-period", "iptables.syncPeriod", Kind::Text),
    (
        "iptables-min-sync-period",
        "iptables.minSyncPeriod",
        Kind::Text,
    ),
    ("ipvs-scheduler", "ipvs.scheduler", Kind::Text),
    ("ipvs-strict-arp", "ipvs.strictARP", Kind::Truth),
    ("ipvs-sync-period", "ipvs.syncPeriod", Kind::Text),
    ("ipvs-exclude-cidrs", "ipvs.excludeCIDRs", Kind::Texts),
    (
        "conntrack-max-per-core",
        "conntrack.maxPerCore",
        Kind::Number,
    ),
    ("conntrack-min", "conntrack.min", Kind::Number),
    (
        "conntrack-tcp-timeout-established",
        "conntrack.tcpEstablishedTimeout",
        Kind::Text,
    ),
    (
        "conntrack-tcp-timeout-close-wait",
        "conntrack.tcpCloseWaitTimeout",
        Kind::Text,
    ),
    ("v", "logging.verbosity", Kind::Number),
    ("logging-format", "logging.format", Kind::Text),
];

/// Puts an argument of kube-proxy into its field.
pub(super) fn proxy(
    name: &str,
    value: &str,
    settings: &mut Map<String, Json>,
) -> Result<(), Refused> {
    let Some((_, field, kind)) = PROXY.iter().find(|(argument, _, _)| *argument == name) else {
        return Err(Refused::Unknown);
    };
    let value = match kind {
        Kind::Text => json!(value),
        Kind::Number => json!(value.parse::<i64>().map_err(|_| Refused::Value)?),
        Kind::Truth => json!(value.parse::<bool>().map_err(|_| Refused::Value)?),
        Kind::Texts => value.split(',').map(str::trim).collect(),
        Kind::Truths => {
            let mut map = Map::new();
            for item in value.split(',') {
                let (name, truth) = item.split_once('=').ok_or(Refused::Value)?;
                let truth: bool = truth.trim().parse().map_err(|_| Refused::Value)?;
                map.insert(name.trim().to_owned(), json!(truth));
            }
            Json::Object(map)
        }
    };
    match field.split_once('.') {
        None => {
            settings.insert((*field).to_owned(), value);
        }
        Some((section, field)) => {
            let section = settings
                .entry(section)
                .or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(section) = section {
                section.insert(field.to_owned(), value);
            }
        }
    }
    Ok(())
}
