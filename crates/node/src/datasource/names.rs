//! The names in `data_sources`.

use lifeboat_config::nearest;

use super::http::Shown;

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Aws,
    Azure,
    Cdrom,
    DigitalOcean,
    File,
    Firecracker,
    FwCfg,
    Gcp,
    Hetzner,
    NoCloud,
    OpenStack,
    Packet,
    Scaleway,
    Smbios,
    Vmware,
    Vultr,
}

/// Each kind with its names; the first is the one that is shown. Compared without case, `-`
/// and `_`.
const NAMES: [(Provider, &[&str]); 16] = [
    (Provider::Aws, &["aws", "ec2", "amazon"]),
    (Provider::Azure, &["azure"]),
    (Provider::Cdrom, &["cdrom"]),
    (Provider::DigitalOcean, &["digitalocean"]),
    (Provider::File, &["file"]),
    (Provider::Firecracker, &["firecracker", "mmds"]),
    (Provider::FwCfg, &["fw_cfg", "qemu"]),
    (Provider::Gcp, &["gcp", "gce", "google"]),
    (Provider::Hetzner, &["hetzner", "hcloud"]),
    (Provider::NoCloud, &["nocloud", "nocloud-net"]),
    (Provider::OpenStack, &["openstack", "config-drive"]),
    (Provider::Packet, &["packet", "equinix", "equinix-metal"]),
    (Provider::Scaleway, &["scaleway"]),
    (Provider::Smbios, &["smbios"]),
    (Provider::Vmware, &["vmware", "guestinfo"]),
    (Provider::Vultr, &["vultr"]),
];

impl Provider {
    /// The name that is shown.
    pub(crate) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(provider, _)| *provider == self)
            .map_or("", |(_, names)| names[0])
    }
}

/// An entry as it may be shown: of a URL neither user, password nor query.
pub(crate) fn shown(text: &str) -> String {
    let text: String = text
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect();
    match text.find([':', '=']) {
        Some(at) if text.contains("://") => {
            let (name, url) = text.split_at(at + 1);
            format!("{name}{}", Shown::new(url))
        }
        _ => text,
    }
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub provider: Provider,
    /// What follows `:` or `=`: `imdsv1` in `aws:imdsv1`, the path in `file=/path`, the URL in
    /// `nocloud=URL`.
    pub option: Option<String>,
}

impl Name {
    /// Reads an entry.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, option) = match text.find([':', '=']) {
            Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
        let Some((provider, _)) = NAMES
            .iter()
            .find(|(_, names)| names.iter().any(|known| plain(known) == plain(name)))
        else {
            let near = nearest(name, NAMES.iter().map(|(_, names)| names[0]))
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("no data source has this name{near}"));
        };
        let options: &[&str] = match provider {
            Provider::Aws => &["imdsv1"],
            Provider::Firecracker => &["mmdsv1"],
            _ => &[],
        };
        match (provider, option.as_deref()) {
            (Provider::File, Some(path)) if path.starts_with('/') => {}
            (Provider::File, _) => {
                return Err("give the path of a file: `file=/path`".to_owned());
            }
            (Provider::NoCloud, Some(_)) | (_, None) => {}
            (_, Some(option)) if options.contains(&option.to_ascii_lowercase().as_str()) => {}
            (_, Some(_)) => {
                return Err(match options {
                    [] => format!("`{}` takes no word after its name", provider.name()),
                    [only, ..] => {
                        format!("`{}` may be followed by `:{only}` only", provider.name())
                    }
                });
            }
        }
        Ok(Self {
            provider: *provider,
            option,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_k3os_and_others_are_known() {
        for (text, name) in [
            ("aws", "aws"),
            ("gcp", "gcp"),
            ("hetzner", "hetzner"),
            ("openstack", "openstack"),
            ("scaleway", "scaleway"),
            ("vultr", "vultr"),
            ("digitalocean", "digitalocean"),
            ("packet", "packet"),
            ("cdrom", "cdrom"),
            ("file=/a=b:c", "file"),
            ("AWS:imdsv1", "aws"),
            ("Digital-Ocean", "digitalocean"),
            ("no_cloud", "nocloud"),
            ("equinixmetal", "packet"),
            ("fwcfg", "fw_cfg"),
            ("mmds:mmdsv1", "firecracker"),
        ] {
            assert_eq!(Name::parse(text).unwrap().provider.name(), name);
        }
        assert_eq!(
            Name::parse("file=/a=b:c").unwrap().option.unwrap(),
            "/a=b:c"
        );
    }

    #[test]
    fn no_password_of_a_seed_is_shown() {
        for (text, wanted) in [
            ("nocloud=http://u:pw@h/x?k=pw", "nocloud=http://h/x"),
            ("nocluod:https://u:pw@h", "nocluod:https://h"),
            ("aws:imdsv1", "aws:imdsv1"),
            ("a\nb", "ab"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn bad_names_say_what_is_meant() {
        for (text, why) in [
            ("hetzer", "did you mean `hetzner`"),
            ("", "no data source"),
            ("gcp:x", "takes no word"),
            ("aws:v1", ":imdsv1"),
            ("file", "file=/path"),
            ("file=a", "file=/path"),
        ] {
            let error = Name::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_known_or_refused(text: String) {
            let _ = Name::parse(&text);
        }
    }
}
