//! Vultr: the metadata service, version 1, and user data, which k3OS never read.

use super::{LINK_LOCAL, miss, object, text};
use crate::datasource::{
    Miss,
    dmi::Platform,
    found::{Found, Part},
    http::USER_DATA,
    machine::Machine,
};

/// The service wants to know who asks; without it user data may be left out.
const TOKEN: (&str, &str) = ("Metadata-Token", "cloudinit");

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::Vultr), &[LINK_LOCAL])?;
    let answer = server
        .client
        .get(&format!("{}/v1.json", server.base), &[TOKEN], USER_DATA)
        .map_err(|error| miss(&server, &error))?;
    let value = object(&server, &answer, "v1.json")?;
    let Some(id) = text(&value, "instance-v2-id").or_else(|| text(&value, "instanceid")) else {
        return Err(Miss::NotHere(
            "v1.json describes no instance of Vultr".to_owned(),
        ));
    };
    let mut found = Found::at(&*server.base);
    found.set_instance_id(id);
    if let Some(name) = text(&value, "hostname") {
        found.set_hostname(name);
    }
    if let Some(keys) = value.get("public-keys") {
        found.add_key_values(keys);
    }
    match text(&value, "user-data") {
        Some(data) => found.set_user_data(data.as_bytes().to_vec()),
        None => {
            for path in ["v1/user-data", "latest/user-data"] {
                let url = format!("{}/{path}", server.base);

                let data = server.client.find(&url, &[TOKEN], USER_DATA);
                if let Some(data) = found.part(Part::UserData, data) {
                    found.set_user_data(data.body);
                    break;
                }
            }
        }
    }
    Ok(found)
}
