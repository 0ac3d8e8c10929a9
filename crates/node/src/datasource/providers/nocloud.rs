//! `NoCloud` of cloud-init: a seed from the URL on the kernel command line or in the SMBIOS
//! serial number, from a folder, or from a volume labelled `cidata`.

use std::time::Instant;

use fs_err as fs;

use super::disks::{is_seed, read_in_root, read_seed};
use crate::datasource::{
    Miss,
    found::{Found, Part},
    http::{METADATA, Shown, USER_DATA},
    machine::{Machine, wait_until},
};

const FOLDERS: [&str; 2] = [
    "var/lib/cloud/seed/nocloud",
    "var/lib/cloud/seed/nocloud-net",
];

pub(super) fn ask(machine: &Machine<'_>, seed: Option<&str>) -> Result<Found, Miss> {
    let mut wish = Wish::on_command_line(&machine.environment.command_line)
        .or_else(|| Wish::parse(&machine.dmi.product_serial))
        .unwrap_or_default();
    if let Some(seed) = seed {
        wish.seed = Some(seed.to_owned());
    }
    let mut found = match &wish.seed {
        Some(url) => from_url(machine, &machine.dmi.expand(url))?,
        None => match from_folder(machine).or_else(|| from_volume(machine)) {
            Some(found) => found,
            None if wish.is_given() => Found::at("kernel command line"),
            None => {
                return Err(Miss::NotHere(
                    "no `ds=nocloud` on the kernel command line or in the SMBIOS serial number, no seed folder, no volume `cidata`".to_owned(),
                ));
            }
        },
    };
    // What the seed says goes before.
    if found.local_hostname.is_none()
        && let Some(name) = &wish.hostname
    {
        found.set_hostname(name);
    }
    if found.instance_id.is_none()
        && let Some(id) = &wish.instance_id
    {
        found.set_instance_id(id);
    }
    Ok(found)
}

/// What `ds=nocloud;s=URL;h=NAME;i=ID` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wish {
    seed: Option<String>,
    hostname: Option<String>,
    instance_id: Option<String>,
}

impl Wish {
    fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The last such word counts, as the kernel's own words do.
    fn on_command_line(line: &str) -> Option<Self> {
        line.split_whitespace()
            .map(|word| word.trim_matches('"'))
            .filter_map(|word| {
                let word = word.strip_prefix("ci.").unwrap_or(word);
                Self::parse(&word.replace("=\"", "=").replace("\\;", ";"))
            })
            .next_back()
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("ds=")?.trim_matches(['"', '\'']);
        let mut fields = text.split(';');
        let kind = fields.next()?.trim().to_ascii_lowercase();
        if !matches!(kind.as_str(), "nocloud" | "nocloud-net") {
            return None;
        }
        let mut wish = Self::default();
        for field in fields {
            let Some((key, value)) = field.split_once('=') else {
                continue;
            };
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim() {
                "s" | "seedfrom" => wish.seed = value,
                "h" | "local-hostname" => wish.hostname = value,
                "i" | "instance-id" => wish.instance_id = value,
                _ => {}
            }
        }
        Some(wish)
    }
}

fn from_url(machine: &Machine<'_>, url: &str) -> Result<Found, Miss> {
    if let Some(path) = url
        .strip_prefix("file://")
        .or_else(|| url.starts_with('/').then_some(url))
    {
        let mut found = Found::at(path);
        let has_any = read_files(machine, &mut found, path);
        return if has_any {
            Ok(found)
        } else {
            Err(Miss::Failed(format!(
                "the seed {path} has neither meta-data nor user-data"
            )))
        };
    }
    let shown = Shown::new(url);
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Miss::Failed(format!(
            "the seed {shown} is no http, https or file URL"
        )));
    }
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let file = |name: &str| match query {
        // A seed by query gets the name at its end, as cloud-init does.
        Some(query) => format!("{base}?{query}{name}"),
        None => format!("{}/{name}", base.trim_end_matches('/')),
    };
    let deadline = machine.start() + machine.environment.patience;
    // The user asked for this server: wait until it answers at all.
    let mut last = None;
    let mut first = None;
    wait_until(deadline, || {
        let client = machine.client(Instant::now());
        match client.find(&file("meta-data"), &[], METADATA) {
            Ok(answer) => {
                first = Some(answer);
                true
            }
            Err(error) => {
                let is_final = error
                    .status()
                    .is_some_and(|status| (400..500).contains(&status) && status != 429);
                last = Some(error.to_string());
                is_final
            }
        }
    });
    let Some(metadata) = first else {
        return Err(Miss::Failed(
            last.unwrap_or_else(|| format!("{shown} gives no answer")),
        ));
    };
    let client = machine.client(deadline.max(Instant::now() + machine.environment.guess));
    let mut found = Found::at(shown.to_string());
    let has_metadata = metadata.is_some();
    if let Some(answer) = metadata {
        found.set_metadata_text(&answer.body);
    }
    let data = client.find(&file("user-data"), &[], USER_DATA);
    let data = found.part(Part::UserData, data);
    if !has_metadata && data.is_none() && found.problems.is_empty() {
        return Err(Miss::Failed(format!(
            "the seed {shown} has neither meta-data nor user-data"
        )));
    }
    if let Some(data) = data {
        found.set_user_data(data.body);
    }
    let network = client.find(&file("network-config"), &[], METADATA);
    if let Some(network) = found.part(Part::Network, network) {
        found.network_config = Some(network.body);
    }
    Ok(found)
}

fn from_folder(machine: &Machine<'_>) -> Option<Found> {
    FOLDERS.iter().find_map(|folder| {
        fs::metadata(machine.root.join(folder)).ok()?;
        let mut found = Found::at(format!("/{folder}"));
        let has_any = read_files(machine, &mut found, folder);
        (has_any || !found.problems.is_empty()).then_some(found)
    })
}

fn read_files(machine: &Machine<'_>, found: &mut Found, folder: &str) -> bool {
    let mut has_any = false;
    for (name, part) in [
        ("meta-data", Part::Hostname),
        ("user-data", Part::UserData),
        ("network-config", Part::Network),
    ] {
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        match read_in_root(machine.root, &path) {
            Ok(None) => {}
            Ok(Some(data)) => {
                has_any = true;
                match part {
                    Part::UserData => found.set_user_data(data),
                    Part::Network => found.network_config = Some(data),
                    _ => found.set_metadata_text(&data),
                }
            }
            Err(error) => found.unread(part, &error.to_string()),
        }
    }
    has_any
}

fn from_volume(machine: &Machine<'_>) -> Option<Found> {
    machine.volume(|device, volume| {
        if !is_seed(&volume) {
            return None;
        }
        let mut found = Found::at(format!("volume {} at /dev/{}", volume.label(), device.name));
        let has_any = read_seed(&mut found, &volume, &["user-data"]);
        (has_any || !found.problems.is_empty()).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wishes_are_read_in_their_forms() {
        let wish = |line: &str| Wish::on_command_line(line);
        let full = Wish {
            seed: Some("http://10.0.2.2:8000/".to_owned()),
            hostname: Some("n1".to_owned()),
            instance_id: Some("i-1".to_owned()),
        };
        for line in [
            "quiet ds=nocloud;s=http://10.0.2.2:8000/;h=n1;i=i-1 ro",
            "ds=nocloud-net;seedfrom=http://10.0.2.2:8000/;local-hostname=n1;instance-id=i-1",
            "\"ds=nocloud;s=http://10.0.2.2:8000/;h=n1;i=i-1\"",
            "ds=\"nocloud;s=http://10.0.2.2:8000/;h=n1;i=i-1\"",
            "ci.ds=nocloud\\;s=http://10.0.2.2:8000/\\;h=n1\\;i=i-1",
            "ds=nocloud;s=old ds=NoCloud;s=http://10.0.2.2:8000/;h=n1;i=i-1",
        ] {
            assert_eq!(wish(line), Some(full.clone()), "{line}");
        }
        assert_eq!(wish("ds=ec2;s=x"), None);
        assert_eq!(wish("ds=nocloud"), Some(Wish::default()));
        assert_eq!(wish("pads=nocloud"), None);
    }

    proptest! {
        #[test]
        fn any_command_line_is_read(line: String, fields in "ds=nocloud[;=a-z\"' ]{0,30}") {
            let _ = Wish::on_command_line(&line);
            let _ = Wish::on_command_line(&fields);
        }
    }
}
