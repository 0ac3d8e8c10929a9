//! The node's own address.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use lifeboat_config::{NodeConfig, definition::network::NetworkConfig, render};

use super::{ProvisionError, dhcp, wait};

/// How long the network may take to give an address.
pub(super) const ADDRESS: Duration = Duration::from_mins(2);

/// The address by which this node would leave for elsewhere, IPv4 first. Nothing is sent: a
/// socket that is connected shows its own address.
pub(crate) fn address() -> Option<IpAddr> {
    ipv4_address().or_else(|| source_address("[::]:0", "[2001:db8::1]:9"))
}

fn ipv4_address() -> Option<IpAddr> {
    source_address("0.0.0.0:0", "192.0.2.1:9")
}

/// The address from which a packet to `to`, an address for documentation, would be sent.
fn source_address(from: &str, to: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// Where the address for the cluster comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The configuration has it; systemd-networkd will set it.
    Static(IpAddr),
    /// Each wired interface asks by DHCP, so what a server offers now is what it will be.
    Offer,
    /// What systemd-networkd will make of the configuration.
    Networkd,
}

impl Origin {
    fn of(config: &NodeConfig) -> Self {
        match render::static_address(config) {
            Some(address) => Self::Static(address),
            None if config.network == NetworkConfig::default() => Self::Offer,
            None => Self::Networkd,
        }
    }
}

/// The address for the cluster: that of the configuration, else the IPv4 one that the node has,
/// else the one that it will be given. Router advertisements are quicker than leases, so one of
/// IPv6 counts only when there is nothing else after a quarter of the time.
pub(super) fn wait_for_address(config: &NodeConfig) -> Result<IpAddr, ProvisionError> {
    let origin = Origin::of(config);
    if let Origin::Static(address) = origin {
        return Ok(address);
    }
    ipv4_address()
        .or_else(|| {
            let offered = (origin == Origin::Offer).then(dhcp::offered_address);
            offered.flatten().map(IpAddr::V4)
        })
        .or_else(|| wait(ADDRESS / 4, Duration::from_millis(50), ipv4_address))
        .or_else(|| wait(ADDRESS * 3 / 4, Duration::from_millis(50), address))
        .ok_or(ProvisionError::NoAddress)
}

#[cfg(test)]
mod tests {
    use lifeboat_config::parse_node;

    use super::*;

    #[test]
    fn only_a_network_that_is_not_configured_is_asked() {
        let origin = |text: &str| Origin::of(&parse_node("node.yaml", text.as_bytes()).unwrap());
        let fixed = "network: {interfaces: [{name: e, addresses: [192.0.2.5/24]}]}";
        assert_eq!(origin(fixed), Origin::Static([192, 0, 2, 5].into()));
        assert_eq!(
            origin("network: {interfaces: [{name: e, dhcp: true}]}"),
            Origin::Networkd
        );
        assert_eq!(origin("hostname: n1"), Origin::Offer);
    }
}
