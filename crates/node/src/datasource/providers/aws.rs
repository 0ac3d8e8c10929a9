//! Amazon EC2: the instance metadata service, version 2 with session tokens; version 1 only
//! where the list says `aws:imdsv1`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{LINK_LOCAL, miss};
use crate::datasource::{
    Miss,
    dmi::Platform,
    found::{Found, Part},
    http::{Client, Header, METADATA, USER_DATA},
    machine::Machine,
};

const IPV6: SocketAddr = SocketAddr::new(
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    80,
);
/// The longest life of a token, in seconds.
const LIFE: &str = "21600";

pub(super) fn ask(machine: &Machine<'_>, may_use_v1: bool) -> Result<Found, Miss> {
    let server = machine.server(Some(Platform::Aws), &[LINK_LOCAL, IPV6])?;
    let latest = format!("{}/latest", server.base);
    let token = token(&server.client, &format!("{latest}/api/token"), may_use_v1);
    let token = match token {
        Ok(token) => Some(token),
        Err(_) if may_use_v1 => None,
        Err(error) if error.status() == Some(403) => {
            return Err(Miss::Failed(format!(
                "{error}: the metadata service of this instance is switched off"
            )));
        }
        Err(error) if server.is_certain && error.status().is_some() => {
            return Err(Miss::Failed(format!(
                "{error}: there is no IMDSv2; `aws:imdsv1` in data_sources allows version 1"
            )));
        }
        Err(error) => return Err(miss(&server, &error)),
    };
    let mut headers: Vec<Header<'_>> = Vec::new();
    if let Some(token) = &token {
        headers.push(("X-aws-ec2-metadata-token", token));
    }
    let id = server
        .client
        .get(
            &format!("{latest}/meta-data/instance-id"),
            &headers,
            METADATA,
        )
        .map_err(|error| miss(&server, &error))?;
    let version = if token.is_some() { "IMDSv2" } else { "IMDSv1" };
    let mut found = Found::at(format!("{} by {version}", server.base));
    found.set_instance_id(&id.text());
    read_tree(&mut found, &server.client, &latest, &headers);
    Ok(found)
}

fn token(
    client: &Client,
    url: &str,
    once: bool,
) -> Result<String, crate::datasource::http::HttpError> {
    let headers = [("X-aws-ec2-metadata-token-ttl-seconds", LIFE)];
    let answer = if once {
        client.put_once(url, &headers)?
    } else {
        client.put(url, &headers)?
    };
    Ok(answer.text())
}

/// Reads names, keys and user data from the tree of EC2, which other platforms have as well.
pub(super) fn read_tree(found: &mut Found, client: &Client, latest: &str, headers: &[Header<'_>]) {
    let metadata = format!("{latest}/meta-data");
    for (name, is_local) in [("local-hostname", true), ("hostname", false)] {
        let answer = client.find(&format!("{metadata}/{name}"), headers, METADATA);
        if let Some(answer) = found.part(Part::Hostname, answer) {
            if is_local {
                found.set_hostname(&answer.text());
            } else {
                found.hostname = Some(answer.text()).filter(|name| !name.is_empty());
            }
        }
    }
    if found.local_hostname.is_none() {
        found.local_hostname.clone_from(&found.hostname);
    }
    let list = client.find(&format!("{metadata}/public-keys/"), headers, METADATA);
    if let Some(list) = found.part(Part::Keys, list) {
        // Lines of `0=name`.
        for index in list
            .text()
            .lines()
            .filter_map(|line| line.split('=').next()?.trim().parse::<u32>().ok())
            .take(100)
        {
            let url = format!("{metadata}/public-keys/{index}/openssh-key");
            let key = client.find(&url, headers, METADATA);
            if let Some(key) = found.part(Part::Keys, key) {
                found.add_keys(&key.text());
            }
        }
    }
    let data = client.find(&format!("{latest}/user-data"), headers, USER_DATA);
    if let Some(data) = found.part(Part::UserData, data) {
        found.set_user_data(data.body);
    }
}
