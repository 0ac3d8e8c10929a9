//! Scaleway: the metadata service, whose user data is only for connections from a port below
//! 1024.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{miss, object, text};
use crate::datasource::{
    Miss,
    dmi::Platform,
    found::{Found, Part},
    http::{Client, METADATA, USER_DATA},
    machine::Machine,
};

const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)), 80),
    SocketAddr::new(
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
        80,
    ),
];

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::Scaleway), &ADDRESSES)?;
    let answer = server
        .client
        .get(&format!("{}/conf?format=json", server.base), &[], METADATA)
        .map_err(|error| miss(&server, &error))?;
    let value = object(&server, &answer, "the instance's description")?;
    let mut found = Found::at(&*server.base);
    if let Some(id) = text(&value, "id") {
        found.set_instance_id(id);
    }
    if let Some(name) = text(&value, "hostname") {
        found.set_hostname(name);
    }
    for key in value["ssh_public_keys"].as_array().into_iter().flatten() {
        if let Some(key) = text(key, "key") {
            found.add_keys(key);
        }
    }
    // Tags hold no blanks, so they are written as `_` in there.
    for tag in value["tags"].as_array().into_iter().flatten() {
        if let Some(key) = tag
            .as_str()
            .and_then(|tag| tag.strip_prefix("AUTHORIZED_KEY="))
        {
            found.add_keys(&key.replace('_', " "));
        }
    }
    let client = Client::privileged(server.deadline, machine.environment.request);
    let data = client.find(
        &format!("{}/user_data/cloud-init", server.base),
        &[],
        USER_DATA,
    );
    if let Some(data) = found.part(Part::UserData, data) {
        found.set_user_data(data.body);
    }
    Ok(found)
}
