//! `node.network`: the interfaces of a node, for systemd-networkd.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{
    Address,
    network::{
        Cidr, DriverName, InterfaceName, InterfacePattern, Ipv4, Ipv6, MacAddress, RouteTarget,
        SearchDomain,
    },
};

/// The network of a node. Without it each wired interface asks by DHCP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The interfaces that are set up as said here. Those of pod networks (cni*, flannel*,
    /// cali*, veth*, …) are always left to the pod network.
    pub interfaces: Vec<Interface>,
    /// What happens to wired interfaces that are not among `interfaces`.
    pub others: Others,
}

/// What happens to wired interfaces that are not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// They ask by DHCP and are used where no named interface leads.
    #[default]
    Dhcp,
    /// They stay down.
    Ignore,
}

/// An interface: a device that is there, or a bond, VLAN or bridge that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The interface's name, such as `eth0`; or a pattern such as `en*` for all of these names.
    /// With `match.mac` the device gets this name.
    pub name: InterfacePattern,
    /// Finds the device by what it is, whatever the kernel calls it.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Makes it a bond of several interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// Makes it a VLAN on another interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// Makes it a bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// Whether addresses are asked for. The default is true for an interface that has no
    /// `addresses` and belongs to no bond or bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
    /// Static addresses.
    #[serde(default)]
    pub addresses: Vec<Cidr>,
    /// The IPv4 gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4>,
    /// The IPv6 gateway. The default is what the router advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<Ipv6>,
    /// Further routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Name servers that are asked through this interface, in place of those that DHCP offers.
    #[serde(default)]
    pub dns_nameservers: Vec<Address>,
    /// Domains in which names are sought through this interface; `~DOMAIN` only asks its
    /// servers for names of the domain.
    #[serde(default)]
    pub search_domains: Vec<SearchDomain>,
    /// The largest packet in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<u32>,
    /// The MAC address that the interface gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// The metric of its gateways: of several interfaces the least is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub metric: Option<u32>,
    /// Whether router advertisements are taken. The default is what the kernel does: yes, but
    /// not on members of a bond or bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_ra: Option<bool>,
    /// Whether the node counts as online without it.
    #[serde(default)]
    pub optional: bool,
}

/// What a device is known by; all that is written must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// The device's own MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// The driver, such as `ixgbe`, or a pattern such as `virtio*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverName>,
}

/// Whether addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dhcp {
    /// IPv4 and IPv6.
    #[serde(rename = "true")]
    Both,
    /// Neither.
    #[serde(rename = "false")]
    Neither,
    /// IPv4 only.
    #[serde(rename = "ipv4")]
    Ipv4,
    /// IPv6 only.
    #[serde(rename = "ipv6")]
    Ipv6,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where it leads: a network, an address or `default`.
    pub to: RouteTarget,
    /// The gateway; without one what it leads to is on the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Address>,
    /// Its metric: of several routes the least is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub metric: Option<u32>,
    /// The routing table; the default is the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub table: Option<u32>,
    /// The address that packets of this route come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Address>,
    /// Whether the gateway is on the link although no address of the interface says so.
    #[serde(default)]
    pub on_link: bool,
}

/// A bond: several interfaces as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// The interfaces it is made of; each must be among `interfaces`.
    #[schemars(length(min = 1))]
    pub members: Vec<InterfaceName>,
    /// How the members share the work.
    #[serde(default)]
    pub mode: BondMode,
    /// How often the members' links are looked at, in milliseconds.
    #[serde(default = "bond_monitor")]
    #[schemars(range(min = 0, max = 60000))]
    pub monitor_interval: u32,
    /// The member that is used while it works, with `active-backup`, `balance-tlb` and
    /// `balance-alb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<InterfaceName>,
    /// How often the partner sends, with `802.3ad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacp_rate: Option<LacpRate>,
    /// What decides which member a packet leaves by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_policy: Option<HashPolicy>,
    /// With `802.3ad`, how many members must have a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub min_links: Option<u32>,
}

fn bond_monitor() -> u32 {
    100
}

/// How the members of a bond share the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One works, the others wait.
    #[default]
    ActiveBackup,
    /// In turns.
    BalanceRr,
    /// By a hash of the packet.
    BalanceXor,
    /// All send everything.
    Broadcast,
    /// LACP; the switch must do it too.
    #[serde(rename = "802.3ad")]
    Lacp,
    /// By load, for what is sent.
    BalanceTlb,
    /// By load, for what is sent and received.
    BalanceAlb,
}

impl BondMode {
    /// Whether one member can come before the others.
    pub(crate) fn has_primary(self) -> bool {
        matches!(
            self,
            Self::ActiveBackup | Self::BalanceTlb | Self::BalanceAlb
        )
    }
}

/// How often the partner of an LACP bond sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LacpRate {
    /// Every 30 seconds.
    Slow,
    /// Every second.
    Fast,
}

/// What of a packet decides which member of a bond it leaves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HashPolicy {
    /// MAC addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// MAC and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer34,
    /// MAC and IP addresses, inside tunnels.
    #[serde(rename = "encap2+3")]
    Encap23,
    /// IP addresses and ports, inside tunnels.
    #[serde(rename = "encap3+4")]
    Encap34,
    /// The VLAN and the source's MAC address.
    #[serde(rename = "vlan+srcmac")]
    VlanSource,
}

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// Its number.
    #[schemars(range(min = 1, max = 4094))]
    pub id: u32,
    /// The interface that it is on; must be among `interfaces`.
    pub link: InterfaceName,
}

/// A bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bridge {
    /// The interfaces that it joins; each must be among `interfaces`.
    pub members: Vec<InterfaceName>,
    /// Whether it looks for loops by the spanning tree protocol.
    pub stp: bool,
    /// How long a new member only listens, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 30))]
    pub forward_delay: Option<u32>,
}
