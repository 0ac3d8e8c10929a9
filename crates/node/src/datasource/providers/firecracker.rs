//! Firecracker: the microVM metadata service (MMDS), version 2 with session tokens; version 1
//! only where the list says `firecracker:mmdsv1`. What is in there is the host's choice; the
//! shape of EC2 is read: `latest/meta-data` and `latest/user-data`.

use serde_json::Value as Json;

use super::{LINK_LOCAL, miss, object, text};
use crate::datasource::{
    Miss,
    found::Found,
    http::{Header, USER_DATA},
    machine::Machine,
};

/// The longest life of a token, in seconds.
const LIFE: &str = "21600";

pub(super) fn ask(machine: &Machine<'_>, may_use_v1: bool) -> Result<Found, Miss> {
    if machine.dmi.platform().is_some() {
        return Err(Miss::NotHere(
            "the firmware names another platform; Firecracker has none".to_owned(),
        ));
    }
    let server = machine.server(None, &[LINK_LOCAL])?;
    let latest = format!("{}/latest", server.base);
    let token = server.client.put_once(
        &format!("{latest}/api/token"),
        &[("X-metadata-token-ttl-seconds", LIFE)],
    );
    let token = match token {
        Ok(token) => Some(token.text()),
        Err(_) if may_use_v1 => None,
        Err(error) => return Err(miss(&server, &error)),
    };
    let mut headers: Vec<Header<'_>> = vec![("Accept", "application/json")];
    if let Some(token) = &token {
        headers.push(("X-metadata-token", token));
    }
    let answer = server
        .client
        .get(&latest, &headers, USER_DATA)
        .map_err(|error| miss(&server, &error))?;
    let value = object(&server, &answer, "latest")?;
    let version = if token.is_some() { "MMDSv2" } else { "MMDSv1" };
    let mut found = Found::at(format!("{} by {version}", server.base));
    if let Some(metadata @ Json::Object(_)) = value.get("meta-data") {
        found.set_metadata(metadata);
    }
    match value.get("user-data") {
        Some(Json::String(data)) => {
            found.set_user_data(super::perhaps_base64(data.as_bytes().to_vec()));
        }
        // A host may hand in the configuration as JSON itself.
        Some(config @ Json::Object(_)) => found.set_user_data(config.to_string().into_bytes()),
        _ => {}
    }
    if text(&value, "network-config").is_some() || value["network-config"].is_object() {
        found.set_metadata(&serde_json::json!({ "network-config": value["network-config"] }));
    }
    Ok(found)
}
