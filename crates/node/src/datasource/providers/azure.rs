//! Azure: custom data and names from `ovf-env.xml` on the provisioning medium, keys and user
//! data from the instance metadata service; and the report to the platform that the machine is
//! up, without which Azure gives it up after a while.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Instant,
};

use fs_err as fs;
use serde_json::Value as Json;

use super::{LINK_LOCAL, miss, object, text};
use crate::datasource::{
    Miss,
    dmi::{Platform, Presence},
    found::{Found, Part},
    http::{self, METADATA},
    machine::{Machine, wait_until},
    volume::{self, udf},
};

/// The platform's own server (Azure documentation, "What is IP address 168.63.129.16").
const WIRE_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)), 80);
const WIRE_HEADERS: [(&str, &str); 2] = [
    ("x-ms-agent-name", "lifeboat"),
    ("x-ms-version", "2012-11-30"),
];

pub(super) fn ask(machine: &Machine<'_>) -> Result<Found, Miss> {
    let presence = machine.dmi.presence(Platform::Azure);
    let medium = match presence {
        Presence::Elsewhere(_) => None,
        _ => provisioning_medium(machine),
    };
    let instance = instance(machine);
    let mut found = match (&medium, &instance) {
        (None, Err(_)) => {
            return Err(instance
                .err()
                .unwrap_or_else(|| Miss::NotHere(String::new())));
        }
        (_, Ok(_)) => Found::at(format!("http://{}", LINK_LOCAL.ip())),
        (Some((place, _)), Err(_)) => Found::at(&**place),
    };
    match instance {
        Ok(instance) => read_instance(&mut found, &instance),
        Err(Miss::NotHere(why) | Miss::Failed(why)) => found.unread(Part::Keys, &why),
    }
    if let Some((place, xml)) = medium {
        found.notes.push(format!("provisioning medium at {place}"));
        read_environment(&mut found, &xml);
    }
    if presence == Presence::Here {
        match report_ready(machine) {
            Ok(()) => found
                .notes
                .push("reported to Azure that this machine is up".to_owned()),
            Err(why) => found
                .problems
                .push(format!("report to Azure that this machine is up: {why}")),
        }
    }
    Ok(found)
}

fn instance(machine: &Machine<'_>) -> Result<Json, Miss> {
    let server = machine.server(Some(Platform::Azure), &[LINK_LOCAL])?;
    let answer = server
        .client
        .get(
            &format!("{}/metadata/instance?api-version=2021-08-01", server.base),
            &[("Metadata", "true")],
            METADATA,
        )
        .map_err(|error| miss(&server, &error))?;
    let value = object(&server, &answer, "the instance's description")?;
    if value.get("compute").is_none() {
        return Err(Miss::NotHere(
            "the answer describes no instance of Azure".to_owned(),
        ));
    }
    Ok(value)
}

fn read_instance(found: &mut Found, instance: &Json) {
    let compute = &instance["compute"];
    if let Some(id) = text(compute, "vmId") {
        found.set_instance_id(id);
    }
    if let Some(name) =
        text(&compute["osProfile"], "computerName").or_else(|| text(compute, "name"))
    {
        found.set_hostname(name);
    }
    for key in compute["publicKeys"].as_array().into_iter().flatten() {
        // A key may be broken into lines, as by some tools that made it.
        if let Some(key) = text(key, "keyData") {
            found.add_keys(&key.replace(['\r', '\n'], ""));
        }
    }
    if let Some(data) = text(compute, "userData") {
        match super::base64(data.as_bytes()) {
            Some(data) => found.set_user_data(data),
            None => found.unread(Part::UserData, "it is not base64"),
        }
    }
}

/// The text of `ovf-env.xml`, and where it is.
fn provisioning_medium(machine: &Machine<'_>) -> Option<(String, String)> {
    const NAME: &str = "ovf-env.xml";
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    // An earlier agent may have put it aside.
    for folder in ["var/lib/waagent", "var/lib/cloud/seed/azure"] {
        let path = machine.root.join(folder).join(NAME);
        if let Ok(bytes) = fs::read(&path) {
            return Some((format!("/{folder}"), shown(bytes)));
        }
    }
    // The medium is UDF, which takes the kernel to read.
    for device in volume::devices(&machine.environment.system) {
        if device.is_cdrom()
            && udf::is_udf(&device)
            && let Ok(Some(bytes)) = udf::read(&device, NAME)
        {
            return Some((format!("/dev/{}", device.name), shown(bytes)));
        }
    }
    machine.volume(|device, volume| {
        let bytes = volume.read(NAME).ok()??;
        Some((format!("/dev/{}", device.name), shown(bytes)))
    })
}

/// Takes what `ovf-env.xml` says: it has the custom data, which the metadata service never
/// shows.
fn read_environment(found: &mut Found, xml: &str) {
    if let Some(name) = element(xml, "HostName")
        && found.local_hostname.is_none()
    {
        found.set_hostname(&name);
    }
    match element(xml, "CustomData").map(|data| super::base64(data.as_bytes())) {
        None => {}
        Some(None) => found.unread(Part::UserData, "the custom data is not base64"),
        Some(Some(data)) => {
            if found.user_data.is_some() {
                found
                    .notes
                    .push("custom data goes before user data".to_owned());
            }
            found.set_user_data(data);
        }
    }
    if element(xml, "UserPassword").is_some() {
        found.notes.push("the administrator's password is not taken; set `password` or keys in the configuration".to_owned());
    }
}

/// The text of the first element of this name, in any namespace.
fn element(xml: &str, name: &str) -> Option<String> {
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>')?;
        let tag = &rest[..end];
        let content = &rest[end + 1..];
        let full = tag.split_whitespace().next().unwrap_or_default();
        let local = full.rsplit(':').next().unwrap_or(full);
        if local == name {
            let text = match content.strip_prefix("<![CDATA[") {
                Some(content) => content.split_once("]]>")?.0.to_owned(),
                None => unescaped(&content[..content.find('<')?]),
            };
            let text = text.trim();
            return (!text.is_empty()).then(|| text.to_owned());
        }
        rest = content;
    }
    None
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Reports that provisioning is done, as the agent of Azure does.
fn report_ready(machine: &Machine<'_>) -> Result<(), String> {
    let deadline = Instant::now() + machine.environment.guess;
    if !wait_until(deadline, || {
        http::has_route(WIRE_SERVER) && http::listens(WIRE_SERVER)
    }) {
        return Err(format!("nothing answers at {}", WIRE_SERVER.ip()));
    }
    let client = machine.client(Instant::now() + machine.environment.guess);
    let base = format!("http://{}/machine", WIRE_SERVER.ip());
    let goal = client
        .get(&format!("{base}/?comp=goalstate"), &WIRE_HEADERS, METADATA)
        .map_err(|error| error.to_string())?
        .text();
    // Ids of the platform: letters, digits, `-`, `_` and dots, nothing that XML knows.
    let id = |name: &str| {
        element(&goal, name)
            .filter(|id| {
                id.chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
            })
            .ok_or_else(|| format!("the goal state has no usable {name}"))
    };
    let (incarnation, container, instance) =
        (id("Incarnation")?, id("ContainerId")?, id("InstanceId")?);
    let health = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Health>\
         <GoalStateIncarnation>{incarnation}</GoalStateIncarnation>\
         <Container><ContainerId>{container}</ContainerId><RoleInstanceList><Role>\
         <InstanceId>{instance}</InstanceId><Health><State>Ready</State></Health>\
         </Role></RoleInstanceList></Container></Health>"
    );
    let [agent, version] = WIRE_HEADERS;
    client
        .post(
            &format!("{base}?comp=health"),
            &[agent, version, ("Content-Type", "text/xml; charset=utf-8")],
            &health,
        )
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_provisioning_environment_is_read() {
        let xml = "<?xml version=\"1.0\"?><Environment xmlns=\"x\"><wa:ProvisioningSection>\
            <ns1:LinuxProvisioningConfigurationSet xmlns:ns1=\"y\"><ns1:HostName>vm&amp;1</ns1:HostName>\
            <ns1:UserPassword>secret</ns1:UserPassword>\
            <CustomData a=\"b\">I2Nsb3VkLWNvbmZpZwo=</CustomData></ns1:LinuxProvisioningConfigurationSet>";
        let mut found = Found::default();
        read_environment(&mut found, xml);
        assert_eq!(found.local_hostname.as_deref(), Some("vm&1"));
        assert_eq!(found.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
        assert!(!found.notes.join(" ").contains("secret"));
        assert_eq!(
            element("<a><![CDATA[x<y]]></a>", "a").as_deref(),
            Some("x<y")
        );
        assert_eq!(element("<a/>", "a"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_searched(xml in "[<>/a-c:\\[\\]! CDATA]{0,60}", other: String) {
            let _ = element(&xml, "a");
            let _ = element(&other, "a");
            read_environment(&mut Found::default(), &other);
        }
    }
}
