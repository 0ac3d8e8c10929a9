//! `network-config` of cloud-init, versions 1 and 2 (netplan), and `network_data.json`
//! of `OpenStack`, as `network` of a node. No I/O.
//!
//! ```
//! use lifeboat_config::network_config::translate;
//!
//! let translated = translate(b"version: 2\nethernets: {eth0: {dhcp4: true}}\n").unwrap();
//! assert_eq!(translated.network["interfaces"][0]["dhcp"], "ipv4");
//! ```

mod openstack;
#[cfg(test)]
mod tests;
mod version1;
mod version2;

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use crate::{parse_node, untyped};

/// A network that was translated.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The value of `network` in a node configuration; it holds by all its rules.
    pub network: Json,
    /// What was not carried over.
    pub notes: Vec<String>,
}

/// Reads a document and writes it as `network`.
///
/// # Errors
/// Why there is no such network: the document cannot be read, is of another version, or says
/// what no network can be.
pub fn translate(bytes: &[u8]) -> Result<Translated, String> {
    let document = untyped(bytes)?;
    // Some write it below a key of its own.
    let document = document.get("network").unwrap_or(&document);
    let Json::Object(map) = document else {
        return Err("not a mapping at its top level".to_owned());
    };
    let mut draft = Draft::default();
    match number(map.get("version")) {
        Some(1) => version1::read(map, &mut draft),
        Some(2) => version2::read(map, &mut draft),
        _ => {
            return Err("its version is neither 1 nor 2".to_owned());
        }
    }
    finish(draft)
}

/// Reads `network_data.json` of `OpenStack`; none if it says only what a node does by itself:
/// each interface asks by DHCP.
///
/// # Errors
/// As [`translate`].
pub fn translate_openstack(bytes: &[u8]) -> Result<Option<Translated>, String> {
    let document = untyped(bytes)?;
    if !document.is_object() {
        return Err("not a mapping at its top level".to_owned());
    }
    if !openstack::says_something(&document) {
        return Ok(None);
    }
    let mut draft = Draft::default();
    openstack::read(&document, &mut draft);
    finish(draft).map(Some)
}

fn finish(draft: Draft) -> Result<Translated, String> {
    let Draft { interfaces, notes } = draft;
    if interfaces.is_empty() {
        return Err("it names no interface that can be set up".to_owned());
    }
    // Interfaces that the document does not name stay down, as with cloud-init.
    let network = json!({ "interfaces": interfaces, "others": "ignore" });
    let whole = json!({ "network": network }).to_string();
    match parse_node("network-config", whole.as_bytes()) {
        Ok(_) => Ok(Translated { network, notes }),
        Err(findings) => {
            let reasons: Vec<String> = findings
                .0
                .iter()
                .map(|finding| format!("{}: {}", finding.path, finding.message))
                .collect();
            Err(reasons.join("; "))
        }
    }
}

/// The interfaces as they are collected.
#[derive(Default)]
struct Draft {
    interfaces: Vec<Map<String, Json>>,
    notes: Vec<String>,
}

impl Draft {
    fn note(&mut self, path: &str) {
        self.notes.push(format!("{path} is not carried over"));
    }

    fn find(&mut self, name: &str) -> Option<&mut Map<String, Json>> {
        self.interfaces
            .iter_mut()
            .find(|interface| interface.get("name").and_then(Json::as_str) == Some(name))
    }

    /// Names an interface that another one is made of, if nothing else does.
    fn need(&mut self, name: &str) {
        if self.find(name).is_none() {
            let mut interface = Map::new();
            interface.insert("name".to_owned(), name.into());
            self.interfaces.push(interface);
        }
    }

    /// Members have no addresses of their own, nor ask for any.
    fn settle_members(&mut self) {
        let members: Vec<String> = self
            .interfaces
            .iter()
            .flat_map(|interface| {
                ["bond", "bridge"]
                    .into_iter()
                    .filter_map(|kind| interface.get(kind)?.get("members")?.as_array())
            })
            .flatten()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect();
        for member in &members {
            self.need(member);
        }
        for interface in &mut self.interfaces {
            let is_member = interface
                .get("name")
                .and_then(Json::as_str)
                .is_some_and(|name| members.iter().any(|member| member == name));
            if is_member && interface.get("dhcp") == Some(&json!("false")) {
                interface.remove("dhcp");
            }
        }
    }
}

/// What of both families is asked for.
fn dhcp(ipv4: bool, ipv6: bool) -> Json {
    match (ipv4, ipv6) {
        (true, true) => "true",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "false",
    }
    .into()
}

fn number(value: Option<&Json>) -> Option<u64> {
    match value? {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn truth(value: Option<&Json>) -> Option<bool> {
    match value? {
        Json::Bool(value) => Some(*value),
        Json::Number(number) => number.as_u64().map(|number| number != 0),
        Json::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn text(value: Option<&Json>) -> Option<String> {
    match value? {
        Json::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list of texts; one text is a list of one, separated by blanks or commas.
fn texts(value: Option<&Json>) -> Vec<String> {
    match value {
        Some(Json::Array(items)) => items.iter().filter_map(|item| text(Some(item))).collect(),
        Some(Json::String(one)) => one
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// An address with the length of its prefix: from its own end, or from a netmask, or the whole.
fn with_prefix(address: &str, mask: Option<&str>) -> String {
    if address.contains('/') {
        return address.to_owned();
    }
    let length = match mask {
        Some(mask) => match mask.parse::<IpAddr>() {
            Ok(IpAddr::V4(mask)) => u32::from(mask).leading_ones().to_string(),
            Ok(IpAddr::V6(mask)) => u128::from(mask).leading_ones().to_string(),
            Err(_) => mask.trim_start_matches('/').to_owned(),
        },
        None if address.contains(':') => "64".to_owned(),
        None => "32".to_owned(),
    };
    format!("{address}/{length}")
}

/// Where a route leads.
fn target(network: &str, mask: Option<&str>) -> String {
    let network = match mask {
        Some(_) => with_prefix(network, mask),
        None => network.to_owned(),
    };
    if matches!(network.as_str(), "0.0.0.0/0" | "::/0" | "::" | "0.0.0.0") {
        return "default".to_owned();
    }
    network
}

/// Adds texts to a list, each once.
fn extend(interface: &mut Map<String, Json>, key: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    if let Json::Array(list) = interface.entry(key).or_insert_with(|| json!([])) {
        for item in items {
            let item = Json::from(item);
            if !list.contains(&item) {
                list.push(item);
            }
        }
    }
}
