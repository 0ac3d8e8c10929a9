//! Version 2: the keys of netplan that cloud-init takes.

use serde_json::{Map, Value as Json, json};

use super::{Draft, dhcp, extend, number, target, text, texts, truth};

pub(super) fn read(map: &Map<String, Json>, draft: &mut Draft) {
    // Ids of devices, and the names that they get.
    let mut names: Vec<(String, String)> = Vec::new();
    for (kind, devices) in map {
        let Json::Object(devices) = devices else {
            if !matches!(kind.as_str(), "version" | "renderer") {
                draft.note(kind);
            }
            continue;
        };
        if !matches!(kind.as_str(), "ethernets" | "bonds" | "bridges" | "vlans") {
            draft.note(kind);
            continue;
        }
        for (id, device) in devices {
            let Json::Object(device) = device else {
                if kind == "ethernets" && device.is_null() {
                    draft.need(id);
                }
                continue;
            };
            let interface = interface(kind, id, device, draft);
            let name = text(interface.get("name")).unwrap_or_default();
            names.push((id.clone(), name));
            draft.interfaces.push(interface);
        }
    }
    let rename = |id: &mut Json| {
        if let Some((_, name)) = names
            .iter()
            .find(|(other, _)| Some(other.as_str()) == id.as_str())
        {
            *id = name.clone().into();
        }
    };
    let mut links = Vec::new();
    for interface in &mut draft.interfaces {
        for kind in ["bond", "bridge"] {
            if let Some(Json::Array(members)) = interface
                .get_mut(kind)
                .and_then(|made| made.get_mut("members"))
            {
                members.iter_mut().for_each(rename);
            }
        }
        if let Some(primary) = interface
            .get_mut("bond")
            .and_then(|bond| bond.get_mut("primary"))
        {
            rename(primary);
        }
        if let Some(link) = interface
            .get_mut("vlan")
            .and_then(|vlan| vlan.get_mut("link"))
        {
            rename(link);
            links.extend(text(Some(link)));
        }
    }
    for link in links {
        draft.need(&link);
    }
    draft.settle_members();
}

fn interface(
    kind: &str,
    id: &str,
    device: &Map<String, Json>,
    draft: &mut Draft,
) -> Map<String, Json> {
    let mut made = Map::new();
    let mut name = id.to_owned();
    let at = |key: &str| format!("{kind}.{id}.{key}");
    let mut families = (false, false);
    let mut bond = Map::new();
    let mut vlan = Map::new();
    let mut bridge = Map::new();
    for (key, value) in device {
        let one = Some(value);
        match key.as_str() {
            "match" if kind == "ethernets" => {
                if let Some(pattern) = text(value.get("name"))
                    && !device.contains_key("set-name")
                {
                    name = pattern;
                }
                put(&mut made, "match", known_by(value));
            }
            "set-name" => name = text(one).unwrap_or(name),
            "dhcp4" => families.0 = truth(one).unwrap_or_default(),
            "dhcp6" => families.1 = truth(one).unwrap_or_default(),
            "addresses" => {
                let addresses = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|address| match address {
                        // With settings of its own: the key is the address.
                        Json::Object(map) => map.keys().next().cloned(),
                        other => text(Some(other)),
                    });
                extend(&mut made, "addresses", addresses.collect());
            }
            "gateway4" => put(&mut made, "gateway", text(one)),
            "gateway6" => put(&mut made, "gateway6", text(one)),
            "nameservers" => {
                extend(&mut made, "dns_nameservers", texts(value.get("addresses")));
                extend(&mut made, "search_domains", texts(value.get("search")));
            }
            "routes" => {
                let routes: Vec<Json> = value.as_array().into_iter().flatten().map(route).collect();
                made.insert("routes".to_owned(), routes.into());
            }
            "mtu" => put(&mut made, "mtu", number(one)),
            "macaddress" => put(
                &mut made,
                "mac",
                text(one).map(|mac| mac.to_ascii_lowercase()),
            ),
            "optional" => put(&mut made, "optional", truth(one)),
            "accept-ra" => put(&mut made, "accept_ra", truth(one)),
            "dhcp4-overrides" | "dhcp6-overrides" => {
                put(&mut made, "metric", number(value.get("route-metric")));
                note_others(value, &["route-metric"], draft, &at(key));
            }
            "interfaces" if kind == "bonds" => {
                bond.insert("members".to_owned(), texts(one).into());
            }
            "interfaces" if kind == "bridges" => {
                bridge.insert("members".to_owned(), texts(one).into());
            }
            "parameters" if kind == "bonds" => {
                parameters(value, &mut bond, draft, &at(key));
            }
            "parameters" if kind == "bridges" => {
                put(&mut bridge, "stp", truth(value.get("stp")));
                put(
                    &mut bridge,
                    "forward_delay",
                    number(value.get("forward-delay")),
                );
                note_others(value, &["stp", "forward-delay"], draft, &at(key));
            }
            "id" if kind == "vlans" => put(&mut vlan, "id", number(one)),
            "link" if kind == "vlans" => put(&mut vlan, "link", text(one)),
            // They choose the program that does it, or wait for nothing.
            "renderer" | "critical" => {}
            _ => draft.note(&at(key)),
        }
    }
    made.insert("dhcp".to_owned(), dhcp(families.0, families.1));
    match kind {
        "bonds" => put(&mut made, "bond", Some(bond)),
        "bridges" => put(&mut made, "bridge", Some(bridge)),
        "vlans" => put(&mut made, "vlan", Some(vlan)),
        _ => {}
    }
    let mut whole = Map::new();
    whole.insert("name".to_owned(), name.into());
    whole.extend(made);
    whole
}

/// What a device is known by, besides its name.
fn known_by(value: &Json) -> Option<Map<String, Json>> {
    let mut found = Map::new();
    let mac = text(value.get("macaddress")).map(|mac| mac.to_ascii_lowercase());
    put(&mut found, "mac", mac);
    let driver = texts(value.get("driver")).into_iter().next();
    put(&mut found, "driver", driver);
    (!found.is_empty()).then_some(found)
}

/// Notes the keys of a mapping besides those that are read.
fn note_others(value: &Json, read: &[&str], draft: &mut Draft, at: &str) {
    for (key, _) in value.as_object().into_iter().flatten() {
        if !read.contains(&key.as_str()) {
            draft.note(&format!("{at}.{key}"));
        }
    }
}

fn put(map: &mut Map<String, Json>, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

fn route(route: &Json) -> Json {
    let mut made = Map::new();
    let to = text(route.get("to")).unwrap_or_else(|| "default".to_owned());
    put(&mut made, "to", Some(target(&to, None)));
    put(&mut made, "via", text(route.get("via")));
    put(&mut made, "metric", number(route.get("metric")));
    put(&mut made, "table", number(route.get("table")));
    put(&mut made, "source", text(route.get("from")));
    put(&mut made, "on_link", truth(route.get("on-link")));
    Json::Object(made)
}

/// The parameters of a bond, in netplan's names and in those of the kernel's module, which
/// version 1 has with `bond-` or `bond_` before them.
pub(super) fn parameters(value: &Json, bond: &mut Map<String, Json>, draft: &mut Draft, at: &str) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let plain = key.replace('_', "-");
        let plain = plain.strip_prefix("bond-").unwrap_or(&plain);
        let one = Some(value);
        match plain {
            "mode" => {
                let modes = [
                    "balance-rr",
                    "active-backup",
                    "balance-xor",
                    "broadcast",
                    "802.3ad",
                    "balance-tlb",
                    "balance-alb",
                ];
                // The module's numbers stand for names.
                let mode = match text(one).as_deref().map(str::parse::<usize>) {
                    Some(Ok(number)) => modes.get(number).map(|mode| (*mode).to_owned()),
                    _ => text(one),
                };
                put(bond, "mode", mode);
            }
            "mii-monitor-interval" | "miimon" => put(bond, "monitor_interval", number(one)),
            "primary" => put(bond, "primary", text(one)),
            "lacp-rate" => {
                let rate = match text(one).as_deref() {
                    Some("1" | "fast") => Some("fast"),
                    Some("0" | "slow") => Some("slow"),
                    _ => None,
                };
                put(bond, "lacp_rate", rate);
            }
            "transmit-hash-policy" | "xmit-hash-policy" => put(bond, "hash_policy", text(one)),
            "min-links" => put(bond, "min_links", number(one)),
            "slaves" | "master" => {}
            _ => draft.note(&format!("{at}.{key}")),
        }
    }
    if !bond.contains_key("mode") {
        // netplan's and the kernel's default.
        bond.insert("mode".to_owned(), json!("balance-rr"));
    }
}
