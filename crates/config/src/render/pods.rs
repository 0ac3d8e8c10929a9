//! The network of pods of a cluster.

use serde_json::Value as Json;

use super::{Facts, POD_SUBNET, kubeadm};
use crate::{NodeConfig, k3s};

/// The network of pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetwork {
    /// All addresses.
    pub subnet: String,
    /// flannel's backend.
    pub backend: String,
}

impl Default for PodNetwork {
    fn default() -> Self {
        Self {
            subnet: POD_SUBNET.to_owned(),
            backend: "vxlan".to_owned(),
        }
    }
}

impl PodNetwork {
    /// That of the cluster which the node makes.
    pub fn of(node: &NodeConfig, facts: &Facts) -> Self {
        let plan = kubeadm::plan(node, facts);
        let cluster = kubeadm::merged_cluster(node, facts, &plan);
        let subnet = cluster
            .pointer("/networking/podSubnet")
            .and_then(Json::as_str);
        // One that flannel and the bridge cannot use is for another pod network.
        let ipv4 = subnet.filter(|text| k3s::ipv4_network(text).is_some());
        let default = Self::default();
        Self {
            subnet: ipv4.map_or(default.subnet, str::to_owned),
            backend: plan.cluster.flannel_backend.unwrap_or(default.backend),
        }
    }

    /// The addresses of the first node: the first /24, which the controller manager gives to it.
    pub fn first_node(&self) -> String {
        let (address, prefix) = self.parts();
        format!("{address}/{}", prefix.max(24))
    }

    /// The first address of the first node with the length of its network.
    pub fn first_address(&self) -> String {
        let (address, prefix) = self.parts();
        let first = std::net::Ipv4Addr::from_bits(address.to_bits().wrapping_add(1));
        format!("{first}/{}", prefix.max(24))
    }

    /// What a packet of a pod may hold on an Ethernet: less what the backend adds.
    pub(super) fn mtu(&self) -> u32 {
        match self.backend.as_str() {
            "host-gw" => 1500,
            "wireguard-native" => 1420,
            _ => 1450,
        }
    }

    fn parts(&self) -> (std::net::Ipv4Addr, u8) {
        let default = (std::net::Ipv4Addr::new(10, 244, 0, 0), 16);
        k3s::ipv4_network(&self.subnet).unwrap_or(default)
    }
}
