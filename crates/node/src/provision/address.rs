//! The node's own address.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

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

/// The address for the cluster: the IPv4 one that the node has, else the one that it will be
/// given. Router advertisements are quicker than leases, so one of IPv6 counts only when there
/// is nothing else after a quarter of the time.
pub(super) fn wait_for_address() -> Result<IpAddr, ProvisionError> {
    ipv4_address()
        .or_else(|| dhcp::offered_address().map(IpAddr::V4))
        .or_else(|| wait(ADDRESS / 4, Duration::from_millis(50), ipv4_address))
        .or_else(|| wait(ADDRESS * 3 / 4, Duration::from_millis(50), address))
        .ok_or(ProvisionError::NoAddress)
}
