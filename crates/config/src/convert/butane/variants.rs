//! Butane's variants and their versions.

use crate::finding::listed;

/// A variant at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its name.
    pub(super) name: &'static str,
    /// The minor number of its version.
    pub(super) minor: u8,
    /// The minor version of Ignition's spec 3 that it becomes; 7 is experimental.
    pub(super) spec: u8,
    /// The minor number of the version of fcos that it has the sugar of; 0 for none.
    pub(super) fcos: u8,
}

const fn variant(name: &'static str, minor: u8, spec: u8, fcos: u8) -> Variant {
    Variant {
        name,
        minor,
        spec,
        fcos,
    }
}

static ALL: [Variant; 33] = [
    variant("fcos", 0, 0, 0),
    variant("fcos", 1, 1, 1),
    variant("fcos", 2, 2, 2),
    variant("fcos", 3, 2, 3),
    variant("fcos", 4, 3, 4),
    variant("fcos", 5, 4, 5),
    variant("fcos", 6, 5, 6),
    variant("fcos", 7, 6, 7),
    variant("fcos", 8, 7, 8),
    variant("flatcar", 0, 3, 0),
    variant("flatcar", 1, 4, 0),
    variant("flatcar", 2, 7, 0),
    variant("openshift", 8, 2, 3),
    variant("openshift", 9, 2, 3),
    variant("openshift", 10, 2, 3),
    variant("openshift", 11, 2, 3),
    variant("openshift", 12, 2, 3),
    variant("openshift", 13, 2, 3),
    variant("openshift", 14, 4, 5),
    variant("openshift", 15, 4, 5),
    variant("openshift", 16, 4, 5),
    variant("openshift", 17, 4, 5),
    variant("openshift", 18, 4, 5),
    variant("openshift", 19, 5, 6),
    variant("openshift", 20, 5, 6),
    variant("openshift", 21, 5, 6),
    variant("openshift", 22, 5, 6),
    variant("openshift", 23, 7, 8),
    variant("r4e", 0, 3, 0),
    variant("r4e", 1, 4, 0),
    variant("r4e", 2, 7, 0),
    variant("fiot", 0, 4, 0),
    variant("fiot", 1, 7, 0),
];

impl Variant {
    /// All names.
    pub(super) const NAMES: [&'static str; 5] = ["fcos", "flatcar", "openshift", "r4e", "fiot"];

    /// The variant of this name and version.
    pub(super) fn find(name: &str, version: &str) -> Option<Self> {
        ALL.iter()
            .find(|one| one.name == name && one.version() == version)
            .copied()
    }

    fn version(self) -> String {
        let major = if self.name == "openshift" { 4 } else { 1 };
        let experimental = if self.spec > 6 { "-experimental" } else { "" };
        format!("{major}.{}.0{experimental}", self.minor)
    }

    /// The versions of a variant, for messages.
    pub(super) fn versions(name: &str) -> String {
        listed(
            ALL.iter()
                .filter(|one| one.name == name)
                .map(|one| one.version()),
        )
    }

    /// The sections that it has beside Ignition's.
    pub(super) fn sections(self) -> &'static [&'static str] {
        match (self.name, self.fcos) {
            ("openshift", 0..=4) => &["variant", "version", "bootDevice", "metadata", "openshift"],
            ("openshift", _) => &[
                "variant",
                "version",
                "bootDevice",
                "grub",
                "metadata",
                "openshift",
            ],
            (_, 3 | 4) => &["variant", "version", "bootDevice"],
            (_, 5..) => &["variant", "version", "bootDevice", "grub"],
            _ => &["variant", "version"],
        }
    }
}
