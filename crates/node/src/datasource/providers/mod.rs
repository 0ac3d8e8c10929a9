//! The sources: each reads the protocol that its platform publishes.

mod aws;
mod azure;
mod credentials;
mod digitalocean;
mod disks;
mod firecracker;
mod gcp;
mod hetzner;
mod nocloud;
mod openstack;
mod packet;
mod scaleway;
mod vmware;
mod vultr;

use std::net::SocketAddr;

use base64::Engine as _;
use serde_json::Value as Json;

use super::{
    Miss,
    found::Found,
    http::{Answer, HttpError},
    machine::{Machine, Server},
    names::{Name, Provider},
};

/// The address that nearly all platforms have in common.
const LINK_LOCAL: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)),
    80,
);

/// Asks one source.
pub(crate) fn ask(name: &Name, machine: &Machine<'_>) -> Result<Found, Miss> {
    match name.provider {
        Provider::Aws => aws::ask(machine, name.option.is_some()),
        Provider::Azure => azure::ask(machine),
        Provider::Cdrom => disks::cdrom(machine),
        Provider::DigitalOcean => digitalocean::ask(machine),
        Provider::File => disks::file(machine, name.option.as_deref().unwrap_or_default()),
        Provider::Firecracker => firecracker::ask(machine, name.option.is_some()),
        Provider::FwCfg => credentials::fw_cfg(machine),
        Provider::Gcp => gcp::ask(machine),
        Provider::Hetzner => hetzner::ask(machine),
        Provider::NoCloud => nocloud::ask(machine, name.option.as_deref()),
        Provider::OpenStack => openstack::ask(machine),
        Provider::Packet => packet::ask(machine),
        Provider::Scaleway => scaleway::ask(machine),
        Provider::Smbios => credentials::smbios(machine),
        Provider::Vmware => vmware::ask(machine),
        Provider::Vultr => vultr::ask(machine),
    }
}

/// What the failure of a source's first request means: where the firmware does not name the
/// platform, another platform's server has answered.
fn miss(server: &Server, error: &HttpError) -> Miss {
    let other = match error {
        HttpError::Status { status, .. } => (400..500).contains(status),
        HttpError::Failed { .. } | HttpError::Redirect { .. } => true,
        HttpError::TooLarge { .. } => false,
    };
    if other && !server.is_certain {
        return Miss::NotHere(error.to_string());
    }
    Miss::Failed(error.to_string())
}

/// The JSON object in a source's first answer.
fn object(server: &Server, answer: &Answer, what: &str) -> Result<Json, Miss> {
    match serde_json::from_slice(&answer.body) {
        Ok(value @ Json::Object(_)) => Ok(value),
        // Its content is not shown: it may hold a secret.
        _ if server.is_certain => Err(Miss::Failed(format!("{what} is not a JSON object"))),
        _ => Err(Miss::NotHere(format!("{what} is not a JSON object"))),
    }
}

/// A text in an object.
fn text<'a>(value: &'a Json, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// Base64 as people make it: with line breaks, also without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let packed: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(packed)
        .ok()
}

/// User data that may be base64 as a whole: its users were told to encode it, and some do not.
fn perhaps_base64(data: Vec<u8>) -> Vec<u8> {
    match base64(&data) {
        Some(plain)
            if plain.starts_with(b"#")
                || plain.starts_with(&[0x1f, 0x8b])
                || plain.to_ascii_lowercase().starts_with(b"content-type:") =>
        {
            plain
        }
        _ => data,
    }
}
