//! What the firmware says about the machine, and which platform that means.

use std::path::Path;

use fs_err as fs;

/// The platforms that the firmware names beyond doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Aws,
    Azure,
    DigitalOcean,
    Gcp,
    Hetzner,
    OpenStack,
    Scaleway,
    Vmware,
    Vultr,
}

/// How sure it is that a source is that of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The firmware names this platform.
    Here,
    /// The firmware does not say.
    Unknown,
    /// The firmware names another platform.
    Elsewhere(&'static str),
}

/// Identification of the machine: the files of /sys/class/dmi/id, and of /sys/hypervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dmi {
    pub sys_vendor: String,
    pub product_name: String,
    pub product_serial: String,
    pub product_uuid: String,
    pub bios_vendor: String,
    pub bios_version: String,
    pub board_vendor: String,
    pub chassis_vendor: String,
    pub chassis_asset_tag: String,
    pub hypervisor_uuid: String,
}

impl Dmi {
    /// Reads what is there.
    pub(crate) fn read(system: &Path) -> Self {
        let id = system.join("sys/class/dmi/id");
        let field = |name: &str| read_line(&id.join(name));
        Self {
            sys_vendor: field("sys_vendor"),
            product_name: field("product_name"),
            product_serial: field("product_serial"),
            product_uuid: field("product_uuid"),
            bios_vendor: field("bios_vendor"),
            bios_version: field("bios_version"),
            board_vendor: field("board_vendor"),
            chassis_vendor: field("chassis_vendor"),
            chassis_asset_tag: field("chassis_asset_tag"),
            hypervisor_uuid: read_line(&system.join("sys/hypervisor/uuid")),
        }
    }

    /// The platform, where the firmware names one.
    pub(crate) fn platform(&self) -> Option<Platform> {
        let begins = |text: &str, with: &str| text.to_ascii_lowercase().starts_with(with);
        let vendors = [
            &self.sys_vendor,
            &self.bios_vendor,
            &self.board_vendor,
            &self.chassis_vendor,
        ];
        // Chassis tag of every virtual machine of Azure, and of nothing else.
        if self.chassis_asset_tag == "7783-7084-3265-9085-8269-3286-77" {
            return Some(Platform::Azure);
        }
        if matches!(
            self.product_name.as_str(),
            "OpenStack Nova" | "OpenStack Compute"
        ) || self.sys_vendor == "OpenStack Foundation"
            || matches!(
                self.chassis_asset_tag.as_str(),
                "OpenTelekomCloud" | "SAP CCloud VM" | "HUAWEICLOUD" | "Samsung Cloud Platform"
            )
        {
            return Some(Platform::OpenStack);
        }
        if vendors.iter().any(|vendor| *vendor == "Amazon EC2")
            || self.bios_version.to_ascii_lowercase().contains("amazon")
            || begins(&self.hypervisor_uuid, "ec2")
            || (begins(&self.product_uuid, "ec2") && begins(&self.product_serial, "ec2"))
        {
            return Some(Platform::Aws);
        }
        if self.product_name == "Google Compute Engine"
            || self.product_serial.starts_with("GoogleCloud-")
        {
            return Some(Platform::Gcp);
        }
        match self.sys_vendor.as_str() {
            "DigitalOcean" => Some(Platform::DigitalOcean),
            "Hetzner" => Some(Platform::Hetzner),
            "Scaleway" => Some(Platform::Scaleway),
            "Vultr" => Some(Platform::Vultr),
            vendor if vendor.starts_with("VMware") => Some(Platform::Vmware),
            _ => None,
        }
    }

    /// Whether a source of `wanted` can be on this machine.
    pub(crate) fn presence(&self, wanted: Platform) -> Presence {
        match self.platform() {
            Some(platform) if platform == wanted => Presence::Here,
            // OpenStack offers the metadata of EC2 as well, and runs on VMware too.
            None | Some(Platform::OpenStack | Platform::Vmware) => Presence::Unknown,
            Some(other) => Presence::Elsewhere(other.name()),
        }
    }

    /// Replaces `__dmi.NAME__` in a seed's URL, as cloud-init does.
    pub(crate) fn expand(&self, url: &str) -> String {
        let mut text = url.to_owned();
        for (name, value) in [
            ("system-manufacturer", &self.sys_vendor),
            ("system-product-name", &self.product_name),
            ("system-serial-number", &self.product_serial),
            ("system-uuid", &self.product_uuid),
            ("chassis-asset-tag", &self.chassis_asset_tag),
        ] {
            // A value with other characters is no part of a URL's path.
            let value: String = value
                .chars()
                .filter(|letter| letter.is_ascii_alphanumeric() || "-._".contains(*letter))
                .collect();
            text = text.replace(&format!("__dmi.{name}__"), &value);
        }
        text
    }
}

impl Platform {
    fn name(self) -> &'static str {
        match self {
            Self::Aws => "Amazon EC2",
            Self::Azure => "Azure",
            Self::DigitalOcean => "DigitalOcean",
            Self::Gcp => "Google Compute Engine",
            Self::Hetzner => "Hetzner",
            Self::OpenStack => "OpenStack",
            Self::Scaleway => "Scaleway",
            Self::Vmware => "VMware",
            Self::Vultr => "Vultr",
        }
    }
}

fn read_line(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dmi(change: impl FnOnce(&mut Dmi)) -> Dmi {
        let mut dmi = Dmi::default();
        change(&mut dmi);
        dmi
    }

    #[test]
    fn platforms_are_told_by_their_marks() {
        type Change = fn(&mut Dmi);
        let cases: [(Change, Option<Platform>); 12] = [
            (
                |dmi| dmi.sys_vendor = "Amazon EC2".into(),
                Some(Platform::Aws),
            ),
            (
                |dmi| dmi.bios_version = "4.11.amazon".into(),
                Some(Platform::Aws),
            ),
            (
                |dmi| dmi.hypervisor_uuid = "EC2f1234".into(),
                Some(Platform::Aws),
            ),
            (
                |dmi| dmi.product_name = "Google Compute Engine".into(),
                Some(Platform::Gcp),
            ),
            (
                |dmi| dmi.chassis_asset_tag = "7783-7084-3265-9085-8269-3286-77".into(),
                Some(Platform::Azure),
            ),
            (
                |dmi| dmi.product_name = "OpenStack Nova".into(),
                Some(Platform::OpenStack),
            ),
            (
                |dmi| dmi.sys_vendor = "Hetzner".into(),
                Some(Platform::Hetzner),
            ),
            (
                |dmi| dmi.sys_vendor = "VMware, Inc.".into(),
                Some(Platform::Vmware),
            ),
            (|dmi| dmi.sys_vendor = "Microsoft Corporation".into(), None),
            (|dmi| dmi.sys_vendor = "QEMU".into(), None),
            (|dmi| dmi.product_uuid = "ec2-alike".into(), None),
            (|_| {}, None),
        ];
        for (change, platform) in cases {
            let dmi = dmi(change);
            assert_eq!(dmi.platform(), platform, "{dmi:?}");
        }
    }

    #[test]
    fn another_platform_is_told_apart() {
        let hetzner = dmi(|dmi| dmi.sys_vendor = "Hetzner".into());
        assert_eq!(hetzner.presence(Platform::Hetzner), Presence::Here);
        assert_eq!(
            hetzner.presence(Platform::Aws),
            Presence::Elsewhere("Hetzner")
        );
        assert_eq!(Dmi::default().presence(Platform::Aws), Presence::Unknown);
    }

    #[test]
    fn a_seed_can_name_the_machine() {
        let dmi = dmi(|dmi| dmi.product_serial = "a b/../7".into());
        assert_eq!(
            dmi.expand("http://h/__dmi.system-serial-number__/"),
            "http://h/ab..7/"
        );
    }
}
