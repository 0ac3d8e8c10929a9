//! Hetzner Cloud: the metadata service, version 1.

use serde_json::Value as Json;

use super::{LINK_LOCAL, miss, perhaps_base64};
use crate::datasource::{
    Miss,
    dmi::Platform,
    found::{Found, Part},
    http::{METADATA, USER_DATA},
    machine::Machine,
};

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::Hetzner), &[LINK_LOCAL])?;
    let root = format!("{}/hetzner/v1", server.base);
    let answer = server
        .client
        .get(&format!("{root}/metadata"), &[], METADATA)
        .map_err(|error| miss(&server, &error))?;
    let mut found = Found::at(&*root);
    match lifeboat_config::untyped(&answer.body) {
        Ok(value @ Json::Object(_)) => found.set_metadata(&value),
        _ if server.is_certain => found.set_metadata_text(&answer.body),
        _ => return Err(Miss::NotHere("the metadata is not a mapping".to_owned())),
    }
    let data = server
        .client
        .find(&format!("{root}/userdata"), &[], USER_DATA);
    if let Some(data) = found.part(Part::UserData, data) {
        found.set_user_data(perhaps_base64(data.body));
    }
    Ok(found)
}
