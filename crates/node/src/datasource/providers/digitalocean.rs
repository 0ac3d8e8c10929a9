//! `DigitalOcean`: the metadata service, version 1.

use super::{LINK_LOCAL, miss, object, text};
use crate::datasource::{Miss, dmi::Platform, found::Found, http::USER_DATA, machine::Machine};

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::DigitalOcean), &[LINK_LOCAL])?;
    let answer = server
        .client
        .get(&format!("{}/metadata/v1.json", server.base), &[], USER_DATA)
        .map_err(|error| miss(&server, &error))?;
    let value = object(&server, &answer, "v1.json")?;
    let Some(id) = value.get("droplet_id") else {
        return Err(Miss::NotHere("v1.json describes no droplet".to_owned()));
    };
    let mut found = Found::at(&*server.base);
    found.set_instance_id(&id.to_string());
    if let Some(name) = text(&value, "hostname") {
        found.set_hostname(name);
    }
    if let Some(keys) = value.get("public_keys") {
        found.add_key_values(keys);
    }
    if let Some(data) = text(&value, "user_data") {
        found.set_user_data(data.as_bytes().to_vec());
    }
    Ok(found)
}
