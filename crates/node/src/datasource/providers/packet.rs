//! Packet, now Equinix Metal: the metadata service by its name.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Instant,
};

use super::{object, text};
use crate::datasource::{
    Miss,
    found::{Found, Part},
    http::{METADATA, USER_DATA},
    machine::{Machine, Server, wait_until},
};

const HOSTS: [&str; 2] = ["metadata.platformequinix.com", "metadata.packet.net"];

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    // The machines of many makers stand there, but no virtual ones.
    if machine.dmi.platform().is_some() {
        return Err(Miss::NotHere(
            "the firmware names another platform".to_owned(),
        ));
    }
    let deadline = machine.start() + machine.environment.guess;
    let mut host = None;
    wait_until(deadline, || {
        host = HOSTS.into_iter().find(|host| {
            (*host, 80).to_socket_addrs().is_ok_and(
                |mut addresses: std::vec::IntoIter<SocketAddr>| addresses.next().is_some(),
            )
        });
        host.is_some()
    });
    let Some(host) = host else {
        return Err(Miss::NotHere(format!(
            "the name {} is not known here",
            HOSTS[0]
        )));
    };
    let client = machine.client(deadline.max(Instant::now() + machine.environment.guess));
    // By TLS, unless nothing speaks it there: the service is in the rack.
    let mut first = None;
    let mut base = String::new();
    let mut why = String::new();
    for scheme in ["https", "http"] {
        base = format!("{scheme}://{host}");
        match client.get_once(&format!("{base}/metadata"), &[], METADATA) {
            Ok(answer) => {
                first = Some(answer);
                break;
            }
            Err(error) => why = error.to_string(),
        }
    }
    let Some(answer) = first else {
        return Err(Miss::NotHere(why));
    };
    let server = Server {
        client,
        base,
        deadline,
        is_certain: false,
    };
    let value = object(&server, &answer, "the metadata")?;
    let mut found = Found::at(&*server.base);
    if let Some(id) = text(&value, "id") {
        found.set_instance_id(id);
    }
    if let Some(name) = text(&value, "hostname") {
        found.set_hostname(name);
    }
    if let Some(keys) = value.get("ssh_keys") {
        found.add_key_values(keys);
    }
    let data = server
        .client
        .find(&format!("{}/userdata", server.base), &[], USER_DATA);
    if let Some(data) = found.part(Part::UserData, data) {
        if data.body.starts_with(b"#!ipxe") {
            found
                .notes
                .push("user data is a script for iPXE, which is not for this system".to_owned());
        } else {
            found.set_user_data(data.body);
        }
    }
    if value["network"]["bonding"].is_object() {
        found.notes.push("this machine's ports are bonded in LACP or another mode; without a `network` configuration the first port is used".to_owned());
    }
    Ok(found)
}
