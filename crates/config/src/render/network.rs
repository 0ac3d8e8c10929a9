//! The network: files of systemd-networkd, systemd-timesyncd and `wpa_supplicant`.

use std::{
    fmt::{Display, Write as _},
    net::IpAddr,
};

use super::RenderedFile;
use crate::{
    NodeConfig,
    definition::{
        network::{Bond, BondMode, Dhcp, HashPolicy, Interface, LacpRate, Others, Route},
        types::{
            Address, Server,
            network::{Cidr, Ipv4, Ipv6, POD_INTERFACES, SearchDomain, network_of},
        },
    },
};

const FOLDER: &str = "/etc/systemd/network";

/// A file of sections. Keys and values come from types whose formats hold no line ends.
#[derive(Debug, Default)]
pub(super) struct Ini(String);

impl Ini {
    /// Begins a section.
    pub(super) fn section(&mut self, name: &str) -> &mut Self {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}[{name}]");
        self
    }

    /// Adds a setting.
    pub(super) fn set(&mut self, key: &str, value: impl Display) -> &mut Self {
        let _ = writeln!(self.0, "{key}={value}");
        self
    }

    /// Adds a setting, if there is a value.
    pub(super) fn maybe(&mut self, key: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.set(key, value);
        }
        self
    }

    /// The text.
    pub(super) fn text(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// The files of systemd-networkd and systemd-timesyncd.
///
/// Interfaces as `network` says; all other wired ones by DHCP. What belongs to pod networks is
/// left alone. Name and time servers of the configuration take the place of those that the
/// network offers.
pub fn network_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut unmanaged = Ini::default();
    unmanaged
        .section("Match")
        .set("Name", POD_INTERFACES.join(" "));
    unmanaged.section("Link").set("Unmanaged", "yes");
    let mut foreign = Ini::default();
    foreign
        .section("Network")
        .set("ManageForeignNextHops", "no")
        .set("ManageForeignRoutes", "no")
        .set("ManageForeignRoutingPolicyRules", "no");
    let mut files = vec![
        RenderedFile::new(format!("{FOLDER}/10-pods.network"), unmanaged.text()),
        RenderedFile::new(
            "/etc/systemd/networkd.conf.d/90-lifeboat.conf",
            foreign.text(),
        ),
    ];
    for (index, interface) in node.network.interfaces.iter().enumerate() {
        // The first file that fits an interface is the one for it: the order is the user's.
        let name: String = interface
            .name
            .as_str()
            .chars()
            .map(|letter| match letter {
                '*' | '?' => '+',
                other => other,
            })
            .collect();
        let stem = format!("{FOLDER}/20-{index:03}-{name}");
        let network = network_file(node, interface);
        files.push(RenderedFile::new(format!("{stem}.network"), network));
        let made = device_file(interface).map(|text| (text, "netdev"));
        let named = link_file(interface).map(|text| (text, "link"));
        files.extend(
            made.into_iter()
                .chain(named)
                .map(|(text, kind)| RenderedFile::new(format!("{stem}.{kind}"), text)),
        );
    }
    if node.network.others == Others::Dhcp {
        let path = format!("{FOLDER}/80-wired.network");
        files.push(RenderedFile::new(path, wired(node)));
    }
    // As in k3OS: where the network offers some, those count.
    if !node.dns_nameservers.is_empty() {
        let servers: Vec<&str> = node.dns_nameservers.iter().map(Address::as_str).collect();
        files.push(RenderedFile::new(
            "/etc/systemd/resolved.conf.d/90-lifeboat.conf",
            format!("[Resolve]\nFallbackDNS={}\n", servers.join(" ")),
        ));
    }
    if !node.ntp_servers.is_empty() {
        let servers: Vec<&str> = node.ntp_servers.iter().map(Server::as_str).collect();
        files.push(RenderedFile::new(
            "/etc/systemd/timesyncd.conf.d/90-lifeboat.conf",
            format!("[Time]\nFallbackNTP={}\n", servers.join(" ")),
        ));
    }
    files
}

/// Any wired interface that no other file is for.
fn wired(node: &NodeConfig) -> String {
    let mut file = Ini::default();
    file.section("Match").set("Type", "ether").set("Kind", "!*");
    // Where interfaces are named, the node is online and found by those.
    let named = !node.network.interfaces.is_empty();
    if named {
        file.section("Link").set("RequiredForOnline", "no");
    }
    file.section("Network").set("DHCP", "yes");
    let metric = named.then_some(2048);
    leases(&mut file, false, metric);
    file.text()
}

/// What is taken from leases and router advertisements.
pub(super) fn leases(file: &mut Ini, own_dns: bool, metric: Option<u32>) {
    let common = |file: &mut Ini| {
        if own_dns {
            file.set("UseDNS", "no");
        }
    };
    // A lease by MAC address, as firmware and initrd ask for it, stays the same at each boot.
    file.section("DHCPv4").set("ClientIdentifier", "mac");
    common(file);
    file.maybe("RouteMetric", metric);
    if own_dns {
        file.section("DHCPv6");
        common(file);
    }
    if own_dns || metric.is_some() {
        file.section("IPv6AcceptRA");
        if own_dns {
            file.set("UseDNS", "no");
        }
        file.maybe("RouteMetric", metric);
    }
}

/// The interface that `interface` is a member of.
fn master<'a>(
    node: &'a NodeConfig,
    interface: &Interface,
) -> Option<(&'static str, &'a Interface)> {
    let name = interface.name.as_str();
    node.network.interfaces.iter().find_map(|one| {
        let bond = one.bond.as_ref().map(|bond| ("Bond", &bond.members));
        let bridge = one
            .bridge
            .as_ref()
            .map(|bridge| ("Bridge", &bridge.members));
        let (kind, members) = bond.or(bridge)?;
        let has = members.iter().any(|member| member.as_str() == name);
        has.then_some((kind, one))
    })
}

fn network_file(node: &NodeConfig, interface: &Interface) -> String {
    let name = interface.name.as_str();
    let master = master(node, interface);
    let made = interface.bond.is_some() || interface.vlan.is_some() || interface.bridge.is_some();
    let mut file = Ini::default();
    file.section("Match");
    match &interface.device {
        // Whatever the kernel calls it: a name that is a pattern must fit as well.
        Some(device) => {
            if interface.name.is_pattern() {
                file.set("Name", name);
            }
            file.maybe("PermanentMACAddress", device.mac.as_ref())
                .maybe("Driver", device.driver.as_ref());
        }
        None => {
            file.set("Name", name);
        }
    }
    let mac = interface.mac.as_ref().filter(|_| !made);
    if interface.mtu.is_some() || mac.is_some() || interface.optional {
        file.section("Link")
            .maybe("MACAddress", mac)
            .maybe("MTUBytes", interface.mtu);
        if interface.optional {
            file.set("RequiredForOnline", "no");
        }
    }
    file.section("Network");
    let addressed = !interface.addresses.is_empty();
    let dhcp = interface.dhcp.unwrap_or(if addressed || master.is_some() {
        Dhcp::Neither
    } else {
        Dhcp::Both
    });
    file.set(
        "DHCP",
        match dhcp {
            Dhcp::Both => "yes",
            Dhcp::Neither => "no",
            Dhcp::Ipv4 => "ipv4",
            Dhcp::Ipv6 => "ipv6",
        },
    );
    if let Some((kind, one)) = master {
        file.set(kind, one.name.as_str())
            .set("LinkLocalAddressing", "no");
        let bond = one.bond.as_ref().filter(|bond| bond.mode.has_primary());
        let primary = bond.and_then(|bond| bond.primary.as_ref());
        if primary.is_some_and(|primary| primary.as_str() == name) {
            file.set("PrimarySlave", "yes");
        }
    }
    let accept = interface.accept_ra.or(master.map(|_| false));
    file.maybe("IPv6AcceptRA", accept.map(yes));
    if interface
        .bridge
        .as_ref()
        .is_some_and(|one| one.members.is_empty())
    {
        // Nothing is plugged in yet; its addresses are wanted all the same.
        file.set("ConfigureWithoutCarrier", "yes");
    }
    for other in &node.network.interfaces {
        if other
            .vlan
            .as_ref()
            .is_some_and(|vlan| vlan.link.as_str() == name)
        {
            file.set("VLAN", other.name.as_str());
        }
    }
    for address in &interface.addresses {
        file.set("Address", address);
    }
    let servers = &interface.dns_nameservers;
    for server in servers {
        file.set("DNS", server);
    }
    if !interface.search_domains.is_empty() {
        let domains: Vec<&str> = interface
            .search_domains
            .iter()
            .map(SearchDomain::as_str)
            .collect();
        file.set("Domains", domains.join(" "));
    }
    routes(&mut file, interface);
    if dhcp != Dhcp::Neither || interface.metric.is_some() || !servers.is_empty() {
        leases(&mut file, !servers.is_empty(), interface.metric);
    }
    file.text()
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Whether an address of the interface is of the gateway's network.
fn reachable(addresses: &[Cidr], gateway: IpAddr) -> bool {
    let local = matches!(gateway, IpAddr::V6(six) if six.is_unicast_link_local());
    local
        || addresses.iter().any(|cidr| {
            let (address, length) = cidr.parts();
            address.is_ipv4() == gateway.is_ipv4()
                && network_of(address, length) == network_of(gateway, length)
        })
}

fn routes(file: &mut Ini, interface: &Interface) {
    let four = interface.gateway.as_ref().map(Ipv4::as_str);
    let six = interface.gateway6.as_ref().map(Ipv6::as_str);
    for gateway in four.into_iter().chain(six) {
        file.section("Route").set("Gateway", gateway);
        let parsed = gateway.parse::<IpAddr>();
        // Some networks give each node a /32 and a gateway beside it.
        let outside = parsed.is_ok_and(|gateway| !reachable(&interface.addresses, gateway));
        if outside && !interface.addresses.is_empty() {
            file.set("GatewayOnLink", "yes");
        }
        file.maybe("Metric", interface.metric);
    }
    for route in &interface.routes {
        one_route(file, route);
    }
}

fn one_route(file: &mut Ini, route: &Route) {
    let via = route.via.as_ref().map(Address::as_str);
    let six = |text: &str| text.contains(':');
    let target = match (route.to.as_str(), via) {
        ("default", Some(via)) if six(via) => "::/0",
        ("default", _) => "0.0.0.0/0",
        (target, _) => target,
    };
    file.section("Route")
        .set("Destination", target)
        .maybe("Gateway", via);
    if route.on_link && via.is_some() {
        file.set("GatewayOnLink", "yes");
    }
    if via.is_none() && !six(target) {
        file.set("Scope", "link");
    }
    file.maybe("PreferredSource", route.source.as_ref())
        .maybe("Metric", route.metric)
        .maybe("Table", route.table);
}

/// The file that makes an interface.
fn device_file(interface: &Interface) -> Option<String> {
    let mut file = Ini::default();
    let mut head = |kind: &str| {
        file.section("NetDev")
            .set("Name", interface.name.as_str())
            .set("Kind", kind)
            .maybe("MACAddress", interface.mac.as_ref());
    };
    if let Some(bond) = &interface.bond {
        head("bond");
        bond_section(&mut file, bond);
    } else if let Some(vlan) = &interface.vlan {
        head("vlan");
        file.section("VLAN").set("Id", vlan.id);
    } else if let Some(bridge) = &interface.bridge {
        head("bridge");
        file.section("Bridge")
            .set("STP", yes(bridge.stp))
            .maybe("ForwardDelaySec", bridge.forward_delay);
    } else {
        return None;
    }
    Some(file.text())
}

fn bond_section(file: &mut Ini, bond: &Bond) {
    let lacp = bond.mode == BondMode::Lacp;
    file.section("Bond")
        .set(
            "Mode",
            match bond.mode {
                BondMode::ActiveBackup => "active-backup",
                BondMode::BalanceRr => "balance-rr",
                BondMode::BalanceXor => "balance-xor",
                BondMode::Broadcast => "broadcast",
                BondMode::Lacp => "802.3ad",
                BondMode::BalanceTlb => "balance-tlb",
                BondMode::BalanceAlb => "balance-alb",
            },
        )
        .set("MIIMonitorSec", format_args!("{}ms", bond.monitor_interval));
    let rate = bond.lacp_rate.filter(|_| lacp).map(|rate| match rate {
        LacpRate::Slow => "slow",
        LacpRate::Fast => "fast",
    });
    let hash = bond.hash_policy.map(|policy| match policy {
        HashPolicy::Layer2 => "layer2",
        HashPolicy::Layer23 => "layer2+3",
        HashPolicy::Layer34 => "layer3+4",
        HashPolicy::Encap23 => "encap2+3",
        HashPolicy::Encap34 => "encap3+4",
        HashPolicy::VlanSource => "vlan+srcmac",
    });
    file.maybe("LACPTransmitRate", rate)
        .maybe("TransmitHashPolicy", hash)
        .maybe("MinLinks", bond.min_links.filter(|_| lacp));
}

/// The file by which udev gives a device its name.
fn link_file(interface: &Interface) -> Option<String> {
    let mac = interface.device.as_ref()?.mac.as_ref()?;
    if interface.name.is_pattern() {
        return None;
    }
    let mut file = Ini::default();
    file.section("Match").set("PermanentMACAddress", mac).maybe(
        "Driver",
        interface
            .device
            .as_ref()
            .and_then(|device| device.driver.as_ref()),
    );
    // The names that the device would have had still lead to it.
    file.section("Link")
        .set("Name", interface.name.as_str())
        .set("AlternativeNamesPolicy", "database onboard slot path mac");
    Some(file.text())
}

/// The networks of the node's static addresses, such as `192.0.2.0/24`.
pub fn static_networks(node: &NodeConfig) -> Vec<String> {
    let mut networks: Vec<String> = Vec::new();
    let addresses = node
        .network
        .interfaces
        .iter()
        .flat_map(|one| &one.addresses);
    for cidr in addresses {
        let (address, length) = cidr.parts();
        let network = format!("{}/{length}", network_of(address, length));
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

/// The static address that other nodes reach the node by: that of the first interface with a
/// gateway, else the first of all. None where addresses come by DHCP.
pub fn static_address(node: &NodeConfig) -> Option<IpAddr> {
    let interfaces = &node.network.interfaces;
    let routed = |one: &&Interface| one.gateway.is_some() || one.gateway6.is_some();
    let mut ordered = interfaces
        .iter()
        .filter(routed)
        .chain(interfaces.iter().filter(|one| !routed(one)));
    ordered.find_map(|one| Some(one.addresses.first()?.parts().0))
}
