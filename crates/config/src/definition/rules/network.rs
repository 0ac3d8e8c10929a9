//! Rules of `node.network`: what interfaces say about each other.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::place_of;
use crate::{
    definition::{
        network::{BondMode, Dhcp, Interface},
        node::NodeConfig,
        types::network::{InterfaceName, Ipv4, Ipv6, network_of, of_pods},
    },
    finding::{Collector, did_you_mean, nearest},
    yaml::Value,
};

/// Where findings of the network go.
struct Report<'a> {
    root: &'a Value,
    prefix: &'a str,
    findings: &'a mut Collector,
}

impl Report<'_> {
    fn error(&mut self, path: &str, code: &'static str, message: String, hint: Option<String>) {
        let place = place_of(self.root, path);
        let path = format!("{}{path}", self.prefix);
        self.findings.add(place, path, code, message, hint);
    }

    fn warn(&mut self, path: &str, code: &'static str, message: String, hint: &str) {
        let place = place_of(self.root, path);
        let path = format!("{}{path}", self.prefix);
        let hint = Some(hint.to_owned());
        self.findings.warn(place, path, code, message, hint);
    }
}

/// The rules of `network`; `prefix` is `node.` within a definition.
pub(super) fn node(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    let interfaces = &node.network.interfaces;
    let mut report = Report {
        root,
        prefix,
        findings,
    };
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let at = path(index);
        let name = interface.name.as_str();
        if let Some(first) = names.get(name) {
            report.error(
                &format!("{at}.name"),
                "duplicate",
                format!("{name} is already set up by network.interfaces[{first}]"),
                None,
            );
        } else {
            names.insert(name, index);
        }
        one(interface, &at, &mut report);
        bond(interface, &at, &mut report);
    }
    members(interfaces, &names, &mut report);
    links(interfaces, &names, &mut report);
    addresses(interfaces, &mut report);
}

fn path(index: usize) -> String {
    format!("network.interfaces[{index}]")
}

/// What an interface says about itself.
fn one(interface: &Interface, at: &str, report: &mut Report<'_>) {
    let name = interface.name.as_str();
    if let Some(pattern) = of_pods(name) {
        report.error(
            &format!("{at}.name"),
            "conflict",
            format!("{name} is an interface of pod networks ({pattern}), which are left alone"),
            None,
        );
    }
    let kinds = [
        ("bond", interface.bond.is_some()),
        ("vlan", interface.vlan.is_some()),
        ("bridge", interface.bridge.is_some()),
    ];
    let made: Vec<&str> = kinds
        .iter()
        .filter(|(_, is)| *is)
        .map(|(kind, _)| *kind)
        .collect();
    if let [first, second, ..] = made[..] {
        report.error(
            &format!("{at}.{second}"),
            "conflict",
            format!("{name} cannot be a {first} and a {second}"),
            Some("make two interfaces, one on the other".to_owned()),
        );
    }
    if let [kind, ..] = made[..] {
        if interface.name.is_pattern() {
            report.error(
                &format!("{at}.name"),
                "conflict",
                format!("a {kind} needs a name of its own, not a pattern"),
                None,
            );
        }
        if interface.device.is_some() {
            report.error(
                &format!("{at}.match"),
                "conflict",
                format!("a {kind} is made, not found: `match` is for devices"),
                None,
            );
        }
    }
    if let Some(device) = &interface.device
        && device.mac.is_none()
        && device.driver.is_none()
    {
        report.error(
            &format!("{at}.match"),
            "missing-key",
            "needs `mac` or `driver`".to_owned(),
            None,
        );
    }
    if interface.name.is_pattern() && !interface.addresses.is_empty() {
        report.warn(
            &format!("{at}.addresses"),
            "shared-address",
            format!("every interface that {name} fits gets these addresses"),
            "name the interface, or find it by its MAC address",
        );
    }
    if interface.mtu.is_some_and(|mtu| mtu < 1280) && wants_ipv6(interface) {
        report.error(
            &format!("{at}.mtu"),
            "out-of-range",
            "IPv6 needs at least 1280".to_owned(),
            None,
        );
    }
}

/// What a bond says about itself.
fn bond(interface: &Interface, at: &str, report: &mut Report<'_>) {
    let name = interface.name.as_str();
    if let Some(bond) = &interface.bond {
        if let Some(primary) = &bond.primary
            && !bond.members.contains(primary)
        {
            report.error(
                &format!("{at}.bond.primary"),
                "unknown-interface",
                format!("{primary} is no member of {name}"),
                None,
            );
        }
        let lacp = bond.mode == BondMode::Lacp;
        for (key, set, works, modes) in [
            ("lacp_rate", bond.lacp_rate.is_some(), lacp, "802.3ad"),
            ("min_links", bond.min_links.is_some(), lacp, "802.3ad"),
            (
                "primary",
                bond.primary.is_some(),
                bond.mode.has_primary(),
                "active-backup, balance-tlb and balance-alb",
            ),
        ] {
            if set && !works {
                report.warn(
                    &format!("{at}.bond.{key}"),
                    "without-effect",
                    format!("{key} does nothing in this mode"),
                    &format!("it is for mode {modes}"),
                );
            }
        }
    }
}

fn wants_ipv6(interface: &Interface) -> bool {
    interface.gateway6.is_some()
        || matches!(interface.dhcp, Some(Dhcp::Both | Dhcp::Ipv6))
        || interface
            .addresses
            .iter()
            .any(|address| address.parts().0.is_ipv6())
}

/// The members of an interface, and the key they stand under.
fn members_of(interface: &Interface) -> (&'static str, &[InterfaceName]) {
    match (&interface.bond, &interface.bridge) {
        (Some(bond), _) => ("bond", &bond.members),
        (None, Some(bridge)) => ("bridge", &bridge.members),
        (None, None) => ("", &[]),
    }
}

fn unknown(name: &str, names: &BTreeMap<&str, usize>) -> (String, Option<String>) {
    let near = did_you_mean(nearest(name, names.keys().copied()));
    (
        format!("{name} is not among network.interfaces{near}"),
        Some(format!("add `- name: {name}` to them")),
    )
}

/// Each member is there, belongs to one interface, and has nothing of its own.
fn members(interfaces: &[Interface], names: &BTreeMap<&str, usize>, report: &mut Report<'_>) {
    let mut masters: HashMap<&str, &str> = HashMap::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let (kind, members) = members_of(interface);
        let name = interface.name.as_str();
        for (number, member) in members.iter().enumerate() {
            let at = format!("{}.{kind}.members[{number}]", path(index));
            let member = member.as_str();
            let Some(&place) = names.get(member) else {
                let (message, hint) = unknown(member, names);
                report.error(&at, "unknown-interface", message, hint);
                continue;
            };
            if member == name {
                let message = format!("{name} cannot be a member of itself");
                report.error(&at, "conflict", message, None);
                continue;
            }
            if let Some(other) = masters.insert(member, name) {
                report.error(
                    &at,
                    "duplicate",
                    format!("{member} is already a member of {other}"),
                    None,
                );
                continue;
            }
            let Some(own) = interfaces.get(place) else {
                continue;
            };
            let addressed = !own.addresses.is_empty()
                || own.gateway.is_some()
                || own.gateway6.is_some()
                || matches!(own.dhcp, Some(Dhcp::Both | Dhcp::Ipv4 | Dhcp::Ipv6));
            if addressed {
                report.error(
                    &path(place),
                    "conflict",
                    format!("{member} is a member of {name} and can have no addresses"),
                    Some(format!("give them to {name}")),
                );
            }
        }
    }
}

/// VLANs: their links are there, and no number is used twice; nothing stands on itself.
fn links(interfaces: &[Interface], names: &BTreeMap<&str, usize>, report: &mut Report<'_>) {
    let mut numbers: HashMap<(&str, u32), &str> = HashMap::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let Some(vlan) = &interface.vlan else {
            continue;
        };
        let link = vlan.link.as_str();
        if !names.contains_key(link) {
            let (message, hint) = unknown(link, names);
            let at = format!("{}.vlan.link", path(index));
            report.error(&at, "unknown-interface", message, hint);
            continue;
        }
        if let Some(other) = numbers.insert((link, vlan.id), interface.name.as_str()) {
            report.error(
                &format!("{}.vlan.id", path(index)),
                "duplicate",
                format!("VLAN {} on {link} is already {other}", vlan.id),
                None,
            );
        }
    }
    let below = |name: &str| -> Vec<&str> {
        let found = names.get(name).and_then(|index| interfaces.get(*index));
        let Some(interface) = found else {
            return Vec::new();
        };
        let (_, members) = members_of(interface);
        let link = interface.vlan.as_ref().map(|vlan| &vlan.link);
        members
            .iter()
            .chain(link)
            .map(InterfaceName::as_str)
            .collect()
    };
    for (index, interface) in interfaces.iter().enumerate() {
        let name = interface.name.as_str();
        let mut seen = Vec::new();
        let mut open = below(name);
        while let Some(next) = open.pop() {
            if next == name && !below(name).contains(&name) {
                let message = format!("{name} stands on itself");
                report.error(&path(index), "conflict", message, None);
                break;
            }
            if !seen.contains(&next) {
                seen.push(next);
                open.extend(below(next));
            }
        }
        if interface
            .vlan
            .as_ref()
            .is_some_and(|vlan| vlan.link.as_str() == name)
        {
            let at = format!("{}.vlan.link", path(index));
            let message = format!("{name} cannot be on itself");
            report.error(&at, "conflict", message, None);
        }
    }
}

/// Addresses are used once, and gateways can be reached.
fn addresses(interfaces: &[Interface], report: &mut Report<'_>) {
    let mut taken: HashMap<IpAddr, &str> = HashMap::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let at = path(index);
        let name = interface.name.as_str();
        for (number, cidr) in interface.addresses.iter().enumerate() {
            let (address, length) = cidr.parts();
            let at = format!("{at}.addresses[{number}]");
            if let Some(other) = taken.insert(address, name) {
                let message = format!("{other} already has the address {address}");
                report.error(&at, "duplicate", message, None);
            }
            let whole = if address.is_ipv4() { 31 } else { 127 };
            if address.is_ipv4() && length < whole && network_of(address, length) == address {
                report.warn(
                    &at,
                    "network-address",
                    format!("{address} is the name of the network itself"),
                    "a node has one of the addresses after it",
                );
            }
        }
        let inside = |gateway: IpAddr| {
            interface.addresses.iter().any(|cidr| {
                let (address, length) = cidr.parts();
                address.is_ipv4() == gateway.is_ipv4()
                    && network_of(address, length) == network_of(gateway, length)
            })
        };
        let gateways = [
            ("gateway", interface.gateway.as_ref().map(Ipv4::as_str)),
            ("gateway6", interface.gateway6.as_ref().map(Ipv6::as_str)),
        ];
        for (key, gateway) in gateways {
            let Some(Ok(gateway)) = gateway.map(str::parse::<IpAddr>) else {
                continue;
            };
            let asks = !matches!(interface.dhcp, None | Some(Dhcp::Neither))
                || interface.addresses.is_empty();
            let local = matches!(gateway, IpAddr::V6(six) if six.is_unicast_link_local());
            if !inside(gateway) && !local && !asks {
                report.warn(
                    &format!("{at}.{key}"),
                    "gateway-outside",
                    format!("the gateway {gateway} is in no network of {name}'s addresses"),
                    "it is taken to be on the link; check the prefix of the addresses",
                );
            }
        }
        for (number, route) in interface.routes.iter().enumerate() {
            let via = route.via.as_ref().and_then(|via| via.as_str().parse().ok());
            let target = route.to.as_str();
            let six = target.contains(':');
            if let Some(via) = via
                && target != "default"
                && six != IpAddr::is_ipv6(&via)
            {
                report.error(
                    &format!("{at}.routes[{number}].via"),
                    "conflict",
                    format!("{target} and {via} are not of one kind"),
                    Some("both must be IPv4, or both IPv6".to_owned()),
                );
            }
            if via.is_none() && target == "default" {
                report.error(
                    &format!("{at}.routes[{number}]"),
                    "missing-key",
                    "a default route needs `via`".to_owned(),
                    None,
                );
            }
        }
    }
}
