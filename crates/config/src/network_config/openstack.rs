//! `network_data.json` of `OpenStack` (nova, "Metadata service": network data).

use serde_json::{Map, Value as Json, json};

use super::{Draft, dhcp, extend, number, target, text, version2, with_prefix};

/// Whether more is said than that plain interfaces ask by DHCP, which they do by themselves.
pub(super) fn says_something(document: &Json) -> bool {
    let kinds = |list: &str| -> Vec<String> {
        let items = document.get(list).and_then(Json::as_array);
        items
            .into_iter()
            .flatten()
            .map(|item| text(item.get("type")).unwrap_or_default())
            .collect()
    };
    kinds("networks")
        .iter()
        .any(|kind| matches!(kind.as_str(), "ipv4" | "ipv6"))
        || kinds("links")
            .iter()
            .any(|kind| matches!(kind.as_str(), "bond" | "vlan"))
}

pub(super) fn read(document: &Json, draft: &mut Draft) {
    let list = |key: &str| {
        document
            .get(key)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
    };
    // The document knows no names of devices, only their MAC addresses: they get names that the
    // kernel never gives.
    let mut names: Vec<(String, String)> = Vec::new();
    for (index, link) in list("links").enumerate() {
        let id = text(link.get("id")).unwrap_or_default();
        let kind = match text(link.get("type")).as_deref() {
            Some("bond") => "bond",
            Some("vlan") => "vlan",
            _ => "net",
        };
        names.push((id, format!("{kind}{index}")));
    }
    let name_of = |id: &str| {
        names
            .iter()
            .find(|(other, _)| other == id)
            .map_or_else(|| id.to_owned(), |(_, name)| name.clone())
    };
    for (link, (_, name)) in list("links").zip(&names) {
        let mut made = Map::new();
        made.insert("name".to_owned(), name.clone().into());
        let mac = text(link.get("ethernet_mac_address")).map(|mac| mac.to_ascii_lowercase());
        if let Some(mtu) = number(link.get("mtu")) {
            made.insert("mtu".to_owned(), mtu.into());
        }
        match text(link.get("type")).as_deref() {
            Some("bond") => {
                let mut bond = Map::new();
                let members = link.get("bond_links").and_then(Json::as_array);
                let members: Vec<String> = members
                    .into_iter()
                    .flatten()
                    .filter_map(|id| Some(name_of(&text(Some(id))?)))
                    .collect();
                let parameters: Map<String, Json> = link
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| key.starts_with("bond_") && *key != "bond_links")
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                bond.insert("members".to_owned(), members.into());
                version2::parameters(
                    &Json::Object(parameters),
                    &mut bond,
                    draft,
                    &format!("links.{name}"),
                );
                made.insert("bond".to_owned(), bond.into());
                if let Some(mac) = mac {
                    made.insert("mac".to_owned(), mac.into());
                }
            }
            Some("vlan") => {
                let link_name = name_of(&text(link.get("vlan_link")).unwrap_or_default());
                made.insert(
                    "vlan".to_owned(),
                    json!({"id": number(link.get("vlan_id")), "link": link_name}),
                );
                if let Some(mac) = text(link.get("vlan_mac_address")) {
                    made.insert("mac".to_owned(), mac.to_ascii_lowercase().into());
                }
            }
            _ => {
                if let Some(mac) = mac {
                    made.insert("match".to_owned(), json!({ "mac": mac }));
                }
            }
        }
        draft.interfaces.push(made);
    }
    networks(document, &name_of, draft);
    draft.settle_members();
}

fn networks(document: &Json, name_of: &impl Fn(&str) -> String, draft: &mut Draft) {
    let list = |value: &Json, key: &str| -> Vec<Json> {
        value
            .get(key)
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let servers = |value: &Json| -> Vec<String> {
        list(value, "services")
            .iter()
            .filter(|service| text(service.get("type")).as_deref() == Some("dns"))
            .filter_map(|service| text(service.get("address")))
            .collect()
    };
    let general = servers(document);
    let mut families: Vec<(String, bool, bool)> = Vec::new();
    for network in list(document, "networks") {
        let name = name_of(&text(network.get("link")).unwrap_or_default());
        let kind = text(network.get("type")).unwrap_or_default();
        let Some(made) = draft.find(&name) else {
            draft.note("a network of a link that is not there");
            continue;
        };
        match kind.as_str() {
            "ipv4" | "ipv6" => {
                if let Some(address) = text(network.get("ip_address")) {
                    let mask = text(network.get("netmask"));
                    extend(
                        made,
                        "addresses",
                        vec![with_prefix(&address, mask.as_deref())],
                    );
                }
                extend(made, "dns_nameservers", servers(&network));
                extend(made, "dns_nameservers", general.clone());
            }
            "ipv4_dhcp" => families.push((name.clone(), true, false)),
            "ipv6_dhcp" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => {
                families.push((name.clone(), false, true));
            }
            "ipv6_slaac" => {
                made.insert("accept_ra".to_owned(), true.into());
            }
            _ => draft.note(&format!("a network of type {kind}")),
        }
        let Some(made) = draft.find(&name) else {
            continue;
        };
        for route in list(&network, "routes") {
            let (Some(to), Some(via)) = (text(route.get("network")), text(route.get("gateway")))
            else {
                continue;
            };
            let mask = text(route.get("netmask"));
            let to = target(&to, mask.as_deref());
            if let Json::Array(routes) = made.entry("routes").or_insert_with(|| json!([])) {
                routes.push(json!({"to": to, "via": via}));
            }
        }
    }
    for interface in &mut draft.interfaces {
        let name = text(interface.get("name")).unwrap_or_default();
        let asks = |family: fn(&(String, bool, bool)) -> bool| {
            families
                .iter()
                .any(|entry| entry.0 == name && family(entry))
        };
        let asked = dhcp(asks(|entry| entry.1), asks(|entry| entry.2));
        interface.insert("dhcp".to_owned(), asked);
    }
}
