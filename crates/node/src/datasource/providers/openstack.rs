//! `OpenStack`: the config drive, else the metadata service; its tree of EC2 where that is all
//! there is.

use super::{LINK_LOCAL, aws, miss, object, text};
use crate::datasource::{
    Miss,
    dmi::{Platform, Presence},
    found::{Found, Part},
    http::{METADATA, USER_DATA},
    machine::Machine,
};
use serde_json::Value as Json;

const LABEL: &str = "config-2";
const METADATA_FILE: &str = "openstack/latest/meta_data.json";

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    if let Presence::Elsewhere(other) = machine.dmi.presence(Platform::OpenStack) {
        return Err(Miss::NotHere(format!(
            "the firmware says that this is {other}"
        )));
    }
    if let Some(found) = drive(machine) {
        return Ok(found);
    }
    let server = machine.server(Some(Platform::OpenStack), &[LINK_LOCAL])?;
    let (client, base) = (&server.client, &server.base);
    let answer = client
        .find(&format!("{base}/{METADATA_FILE}"), &[], METADATA)
        .map_err(|error| miss(&server, &error))?;
    let Some(answer) = answer else {
        let latest = format!("{base}/latest");
        let id = client
            .get(&format!("{latest}/meta-data/instance-id"), &[], METADATA)
            .map_err(|error| miss(&server, &error))?;
        let mut found = Found::at(format!("{latest} (EC2)"));
        found.set_instance_id(&id.text());
        aws::read_tree(&mut found, client, &latest, &[]);
        return Ok(found);
    };
    let value = object(&server, &answer, "meta_data.json")?;
    let mut found = Found::at(format!("{base}/openstack"));
    read_metadata(&mut found, &value);
    let data = client.find(
        &format!("{base}/openstack/latest/user_data"),
        &[],
        USER_DATA,
    );
    if let Some(data) = found.part(Part::UserData, data) {
        found.set_user_data(data.body);
    }
    let network = client.find(
        &format!("{base}/openstack/latest/network_data.json"),
        &[],
        METADATA,
    );
    found.network_data = found.part(Part::Network, network).map(|answer| answer.body);
    Ok(found)
}

fn drive(machine: &Machine<'_>) -> Option<Found> {
    machine.volume(|device, volume| {
        if !volume.label().eq_ignore_ascii_case(LABEL) {
            return None;
        }
        let mut found = Found::at(format!("config drive at /dev/{}", device.name));
        match volume.read(METADATA_FILE) {
            Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(value @ Json::Object(_)) => read_metadata(&mut found, &value),
                _ => {
                    for part in [Part::Hostname, Part::Keys] {
                        found.unread(part, "meta_data.json is not a JSON object");
                    }
                }
            },
            Ok(None) => found
                .problems
                .push(format!("the drive has no {METADATA_FILE}")),
            Err(error) => found.unread(Part::Keys, &error.to_string()),
        }
        match volume.read("openstack/latest/user_data") {
            Ok(data) => found.set_user_data(data.unwrap_or_default()),
            Err(error) => found.unread(Part::UserData, &error.to_string()),
        }
        match volume.read("openstack/latest/network_data.json") {
            Ok(data) => found.network_data = data,
            Err(error) => found.unread(Part::Network, &error.to_string()),
        }
        Some(found)
    })
}

fn read_metadata(found: &mut Found, value: &Json) {
    if let Some(id) = text(value, "uuid") {
        found.set_instance_id(id);
    }
    if let Some(name) = text(value, "hostname").or_else(|| text(value, "name")) {
        found.set_hostname(name);
    }
    if let Some(keys) = value.get("public_keys") {
        found.add_key_values(keys);
    }
    for key in value["keys"].as_array().into_iter().flatten() {
        if text(key, "type") == Some("ssh")
            && let Some(data) = text(key, "data")
        {
            found.add_keys(data);
        }
    }
}
