//! Container Linux Config: recognised and explained, not converted.

use super::{Report, Value, join};
use crate::{convert::ignition::schema::obsolete, yaml::Data};

/// The sections that only it has, and what has their place now.
const SECTIONS: [(&str, &str); 6] = [
    (
        "etcd",
        "Kubernetes brings its own etcd; another one is an ordinary unit",
    ),
    (
        "flannel",
        "the pod network is `image.cni`; flannel by itself is an ordinary unit",
    ),
    (
        "docker",
        "the container runtime is `image.runtime`; there is no Docker on the node",
    ),
    (
        "update",
        "Flatcar writes it to the file /etc/flatcar/update.conf; Lifeboat updates itself as a whole",
    ),
    (
        "locksmith",
        "locksmith is dead; reboots are coordinated by Kubernetes (FLUO, kured)",
    ),
    (
        "networkd",
        "write the units as files below /etc/systemd/network, or use `network` of the node configuration",
    ),
];

/// Whether a document without a variant is a Container Linux Config.
pub(super) fn is_one(value: &Value) -> bool {
    SECTIONS
        .iter()
        .any(|(section, _)| value.entry(section).is_some())
}

/// Says so, and what became of its sections.
pub(super) fn explain(value: &Value, report: &mut Report) {
    report.invalid(
        "variant",
        value.span.start,
        "this is a Container Linux Config, which nothing has read since 2020; rewrite it for Butane (`variant: flatcar`, `version: 1.1.0`), and its sections of its own as files and units",
    );
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        let known = SECTIONS.iter().find(|(section, _)| *section == entry.key);
        if let Some((_, replacement)) = known {
            report.obsolete(
                &entry.key,
                entry.span.start,
                format!("is of Container Linux Config and gone with it; {replacement}"),
            );
        } else {
            report.unsupported(
                &entry.key,
                entry.span.start,
                "a Container Linux Config is not converted; rewrite it for Butane, which has this section too",
            );
            dropped_names(&entry.value, &entry.key, &entry.key, report);
        }
    }
}

/// Names that Ignition's spec 3 and Butane have dropped.
fn dropped_names(value: &Value, path: &str, section: &str, report: &mut Report) {
    match &value.data {
        Data::Map(entries) => {
            for entry in entries {
                let path = join(path, &entry.key);
                match obsolete(section, &entry.key) {
                    Some(replacement) => {
                        report.obsolete(&path, entry.span.start, replacement);
                    }
                    None => dropped_names(&entry.value, &path, &entry.key, report),
                }
            }
        }
        Data::List(items) => {
            for (number, item) in items.iter().enumerate() {
                dropped_names(item, &join(path, number), section, report);
            }
        }
        Data::Scalar(_) => {}
    }
}
