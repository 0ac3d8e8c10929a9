//! The plan of a node's configuration.

use super::{Action, Input, Note, Plan, plan};
use crate::{
    Hostname, NodeConfig,
    definition::{
        k3os::{Argument, ServerUrl, Token},
        types::Taint,
    },
};

/// Plans a node from its configuration. `hostname` is its name, if it is known.
pub fn of_node(node: &NodeConfig, hostname: Option<&str>) -> Plan {
    let pairs = |(key, value)| -> (&str, &str) { (key, value) };
    let labels: Vec<_> = node
        .labels
        .iter()
        .map(|(key, value)| pairs((key.as_str(), value.as_str())))
        .collect();
    let environment: Vec<_> = node
        .environment
        .iter()
        .map(|(key, value)| pairs((key.as_str(), value.as_str())))
        .collect();
    let k3s_args: Vec<_> = node.k3s_args.iter().map(Argument::as_str).collect();
    let taints: Vec<_> = node.taints.iter().map(Taint::as_str).collect();
    let hostname = node.hostname.as_ref().map(Hostname::as_str).or(hostname);
    let mut plan = plan(&Input {
        server_url: node.server_url.as_ref().map(ServerUrl::as_str),
        token: node.token.as_ref().map(Token::as_str),
        k3s_args: &k3s_args,
        labels: &labels,
        taints: &taints,
        environment: &environment,
        hostname,
    });
    let joins = matches!(plan.action, Action::Join(_));
    if joins && node.kubeadm.discovery_ca_hashes.is_empty() {
        plan.notes.push(Note::new(
            "server_url",
            "join-trust",
            "the cluster is trusted by its token: whoever knows the token could stand in for its API server",
            Some("give the hash of its authority in `kubeadm.discovery_ca_hashes`".to_owned()),
        ));
    }
    let kubeadm = &node.kubeadm;
    let of_cluster = [
        ("init", &kubeadm.init),
        ("cluster", &kubeadm.cluster),
        ("proxy", &kubeadm.proxy),
    ];
    for (key, fields) in of_cluster {
        if joins && !fields.is_empty() {
            plan.notes
                .push(unused(key, "this node joins a cluster, which has its own"));
        }
    }
    if matches!(plan.action, Action::Init { .. }) && !kubeadm.join.is_empty() {
        plan.notes
            .push(unused("join", "this node makes a cluster and joins none"));
    }
    plan
}

fn unused(key: &str, why: &str) -> Note {
    Note::new(
        format!("kubeadm.{key}"),
        "kubeadm-fields",
        format!("has no effect: {why}"),
        None,
    )
}
