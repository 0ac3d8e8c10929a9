//! Version 1: a list of devices with subnets.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::{Draft, dhcp, extend, number, target, text, texts, truth, version2, with_prefix};

pub(super) fn read(map: &Map<String, Json>, draft: &mut Draft) {
    let items = map.get("config").and_then(Json::as_array);
    let mut servers = Vec::new();
    let mut domains = Vec::new();
    let mut routes = Vec::new();
    for (index, item) in items.into_iter().flatten().enumerate() {
        let at = format!("config.{index}");
        let kind = text(item.get("type")).unwrap_or_default();
        match kind.as_str() {
            "physical" | "bond" | "bridge" | "vlan" => {
                if let Some(interface) = interface(&kind, item, draft, &at) {
                    draft.interfaces.push(interface);
                }
            }
            "nameserver" => {
                servers.extend(texts(item.get("address")));
                domains.extend(texts(item.get("search")));
            }
            "route" => routes.push(item),
            "loopback" => {}
            _ => draft.note(&at),
        }
    }
    let links: Vec<String> = draft
        .interfaces
        .iter()
        .filter_map(|interface| text(interface.get("vlan")?.get("link")))
        .collect();
    for link in links {
        draft.need(&link);
    }
    draft.settle_members();
    // What is said for the whole machine goes with each interface that leads somewhere.
    for interface in &mut draft.interfaces {
        let leads = interface.contains_key("addresses")
            || interface.get("dhcp").is_some_and(|dhcp| dhcp != "false");
        if leads && !interface.contains_key("dns_nameservers") {
            extend(interface, "dns_nameservers", servers.clone());
            extend(interface, "search_domains", domains.clone());
        }
    }
    for item in routes {
        let Some(made) = route(item, "destination") else {
            continue;
        };
        let via = text(made.get("via"));
        let place = draft
            .interfaces
            .iter()
            .position(|interface| via.as_deref().is_some_and(|via| reaches(interface, via)));
        match place.and_then(|place| draft.interfaces.get_mut(place)) {
            Some(interface) => add_route(interface, made),
            None => draft.note("a route whose gateway no interface reaches"),
        }
    }
}

fn interface(kind: &str, item: &Json, draft: &mut Draft, at: &str) -> Option<Map<String, Json>> {
    let name = text(item.get("name"))?;
    let mut made = Map::new();
    made.insert("name".to_owned(), name.into());
    if let Some(mac) = text(item.get("mac_address")) {
        let mac = mac.to_ascii_lowercase();
        if kind == "physical" {
            made.insert("match".to_owned(), json!({ "mac": mac }));
        } else {
            made.insert("mac".to_owned(), mac.into());
        }
    }
    if let Some(mtu) = number(item.get("mtu")) {
        made.insert("mtu".to_owned(), mtu.into());
    }
    if let Some(accept) = truth(item.get("accept-ra")) {
        made.insert("accept_ra".to_owned(), accept.into());
    }
    match kind {
        "bond" => {
            let mut bond = Map::new();
            bond.insert(
                "members".to_owned(),
                texts(item.get("bond_interfaces")).into(),
            );
            let none = json!({});
            let parameters = item.get("params").unwrap_or(&none);
            version2::parameters(parameters, &mut bond, draft, &format!("{at}.params"));
            made.insert("bond".to_owned(), bond.into());
        }
        "bridge" => {
            let mut bridge = Map::new();
            bridge.insert(
                "members".to_owned(),
                texts(item.get("bridge_interfaces")).into(),
            );
            for (key, value) in item
                .get("params")
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
            {
                match key.replace('-', "_").as_str() {
                    "bridge_stp" => {
                        bridge.insert(
                            "stp".to_owned(),
                            truth(Some(value)).unwrap_or_default().into(),
                        );
                    }
                    "bridge_fd" if number(Some(value)).is_some_and(|seconds| seconds >= 2) => {
                        bridge.insert("forward_delay".to_owned(), json!(number(Some(value))));
                    }
                    "bridge_ports" => {}
                    _ => draft.note(&format!("{at}.params.{key}")),
                }
            }
            made.insert("bridge".to_owned(), bridge.into());
        }
        "vlan" => {
            made.insert(
                "vlan".to_owned(),
                json!({"id": number(item.get("vlan_id")), "link": text(item.get("vlan_link"))}),
            );
        }
        _ => {}
    }
    let mut families = (false, false);
    let subnets = item.get("subnets").and_then(Json::as_array);
    for (number, subnet) in subnets.into_iter().flatten().enumerate() {
        match text(subnet.get("type")).unwrap_or_default().as_str() {
            "dhcp" | "dhcp4" => families.0 = true,
            "dhcp6" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => families.1 = true,
            "ipv6_slaac" => {
                made.insert("accept_ra".to_owned(), true.into());
            }
            "static" | "static4" | "static6" => fixed(subnet, &mut made),
            "manual" => {}
            _ => draft.note(&format!("{at}.subnets.{number}")),
        }
        extend(
            &mut made,
            "dns_nameservers",
            texts(subnet.get("dns_nameservers")),
        );
        extend(&mut made, "search_domains", texts(subnet.get("dns_search")));
        for item in subnet
            .get("routes")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(route) = route(item, "network") {
                add_route(&mut made, route);
            }
        }
    }
    made.insert("dhcp".to_owned(), dhcp(families.0, families.1));
    Some(made)
}

/// A subnet with a static address.
fn fixed(subnet: &Json, made: &mut Map<String, Json>) {
    if let Some(address) = text(subnet.get("address")) {
        let mask = text(subnet.get("netmask"));
        extend(
            made,
            "addresses",
            vec![with_prefix(&address, mask.as_deref())],
        );
    }
    if let Some(gateway) = text(subnet.get("gateway")) {
        let key = if gateway.contains(':') {
            "gateway6"
        } else {
            "gateway"
        };
        made.insert(key.to_owned(), gateway.into());
    }
}

fn route(item: &Json, key: &str) -> Option<Map<String, Json>> {
    let network = text(item.get(key)).or_else(|| text(item.get("destination")))?;
    let mask = text(item.get("netmask")).or_else(|| text(item.get("prefix")));
    let mut made = Map::new();
    let network = if network.contains('/') {
        target(&network, None)
    } else {
        target(&network, mask.as_deref())
    };
    made.insert("to".to_owned(), network.into());
    if let Some(via) = text(item.get("gateway")) {
        made.insert("via".to_owned(), via.into());
    }
    if let Some(metric) = number(item.get("metric")) {
        made.insert("metric".to_owned(), metric.into());
    }
    Some(made)
}

fn add_route(interface: &mut Map<String, Json>, route: Map<String, Json>) {
    if let Json::Array(routes) = interface.entry("routes").or_insert_with(|| json!([])) {
        routes.push(route.into());
    }
}

/// Whether an interface has an address in the network of a gateway.
fn reaches(interface: &Map<String, Json>, gateway: &str) -> bool {
    let Ok(gateway) = gateway.parse::<IpAddr>() else {
        return false;
    };
    let addresses = interface.get("addresses").and_then(Json::as_array);
    addresses
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .any(|cidr| {
            let Some((address, length)) = cidr.split_once('/') else {
                return false;
            };
            let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u32>())
            else {
                return false;
            };
            match (address, gateway) {
                (IpAddr::V4(address), IpAddr::V4(gateway)) => {
                    let differ = u32::from(address) ^ u32::from(gateway);
                    differ.leading_zeros() >= length.min(32)
                }
                (IpAddr::V6(address), IpAddr::V6(gateway)) => {
                    let differ = u128::from(address) ^ u128::from(gateway);
                    differ.leading_zeros() >= length.min(128)
                }
                _ => false,
            }
        })
}
