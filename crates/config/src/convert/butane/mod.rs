//! Butane's YAML, and Container Linux Config, which came before it.

mod legacy_config;
mod rules;
#[cfg(test)]
mod tests;
mod variants;

use serde_json::Map;

use super::{
    Converted,
    ignition::{self, schema},
    report::{Report, join},
    tree::{Data, Node, fits},
};
use crate::{
    finding::{Place, did_you_mean, listed, nearest, shown},
    yaml::{self, Value, legacy},
};
use variants::Variant;

/// Converts a document.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let (value, notes) = match legacy::read_noting(bytes, legacy::Dialect::Core) {
        Ok(read) => read,
        Err(flaw) => return Report::unreadable(file, flaw.place, flaw.message),
    };
    if !matches!(value.data, yaml::Data::Map(_)) && !value.is_null() {
        return Report::unreadable(
            file,
            value.span.start,
            format!(
                "a Butane document is a map, but this is {}",
                value.described()
            ),
        );
    }
    if let Err(message) = fits(&value) {
        return Report::unreadable(file, value.span.start, message);
    }
    let mut report = Report::new(file);
    for note in notes {
        let path = note
            .path
            .iter()
            .fold(String::new(), |path, key| join(&path, key));
        match note.code {
            "later-document" | "bad-tag" => report.unsupported(&path, note.place, note.message),
            // go-yaml v3 refuses the document for it.
            _ => report.invalid(&path, note.place, note.message),
        }
    }
    let Some(variant) = variant(&value, &mut report) else {
        report.cover("", &value);
        return report.finish(Map::new());
    };
    let mut root = Node::from_value("", Place::START, value);
    root.drop_nulls();
    let dialect = schema::Dialect {
        spec: variant.spec,
        names: schema::Names::Snake,
        sections: variant.sections(),
    };
    schema::check(&mut root, dialect, &mut report);
    rules::check(&root, &variant, &mut report);
    ignition::rules::check(&root, variant.spec, schema::Names::Snake, &mut report);
    sections(&root, &variant, &mut report);
    machine_arguments(&mut root);
    let native =
        ignition::translate::translate(&root, variant.spec, schema::Names::Snake, &mut report);
    // Two trees of the document at once would need too much memory: it is read again.
    drop(root);
    if let Ok((value, _)) = legacy::read_noting(bytes, legacy::Dialect::Core) {
        report.cover("", &value);
    }
    let node = native.finish(&mut report);
    report.finish(node)
}

/// What the document says under a key of the top, as text.
fn word(value: &Value, key: &str, report: &mut Report) -> Option<(String, Place)> {
    let entry = value.entry(key).filter(|entry| !entry.value.is_null());
    let place = entry.map_or(value.span.start, |entry| entry.span.start);
    match entry.map(|entry| &entry.value.data) {
        None => {
            let known = if key == "variant" {
                format!(
                    "`variant` is missing; it is one of {}",
                    listed(Variant::NAMES)
                )
            } else {
                "`version` is missing, such as 1.5.0".to_owned()
            };
            report.invalid(key, place, known);
            None
        }
        Some(yaml::Data::Scalar(scalar)) => Some((scalar.text.clone(), place)),
        Some(_) => {
            report.invalid(key, place, "must be text");
            None
        }
    }
}

fn variant(value: &Value, report: &mut Report) -> Option<Variant> {
    let has_variant = value
        .entry("variant")
        .is_some_and(|entry| !entry.value.is_null());
    if !has_variant && legacy_config::is_one(value) {
        legacy_config::explain(value, report);
        return None;
    }
    let (name, place) = word(value, "variant", report)?;
    if name == "rhcos" {
        report.invalid(
            "variant",
            place,
            "the variant rhcos is gone; its successor is `openshift`",
        );
        return None;
    }
    if !Variant::NAMES.contains(&name.as_str()) {
        report.invalid(
            "variant",
            place,
            format!(
                "{} is no variant of Butane; they are {}{}",
                shown(&name),
                listed(Variant::NAMES),
                did_you_mean(nearest(&name, Variant::NAMES))
            ),
        );
        return None;
    }
    let (version, version_place) = word(value, "version", report)?;
    if ignition::semantic(&version).is_none() {
        report.invalid(
            "version",
            version_place,
            format!(
                "{} is no version: it has three numbers, such as 1.5.0",
                shown(&version)
            ),
        );
        return None;
    }
    let Some(variant) = Variant::find(&name, &version) else {
        report.invalid(
            "version",
            version_place,
            format!(
                "the variant {name} has no version {}; it has {}",
                shown(&version),
                Variant::versions(&name)
            ),
        );
        return None;
    };
    report.translated("variant", place, "");
    report.translated(
        "version",
        version_place,
        format!(
            "read by the rules of Ignition's spec 3.{}{}",
            variant.spec,
            if variant.spec > ignition::NEWEST {
                ", which is experimental"
            } else {
                ""
            }
        ),
    );
    Some(variant)
}

/// Kernel arguments of a `MachineConfig` are those of Ignition by another name.
fn machine_arguments(root: &mut Node) {
    let Some(mut arguments) = root
        .get_mut("openshift")
        .and_then(|openshift| openshift.take("kernelArguments"))
    else {
        return;
    };
    let place = arguments.place;
    if root.get("kernelArguments").is_none() {
        let empty = Node::new("kernel_arguments", place, Data::Map(Vec::new()));
        root.put("kernelArguments", empty);
    }
    let Some(section) = root.get_mut("kernelArguments") else {
        return;
    };
    if let (
        Some(Node {
            data: Data::List(before),
            ..
        }),
        Data::List(items),
    ) = (section.take("shouldExist"), &mut arguments.data)
    {
        items.splice(0..0, before);
    }
    section.put("shouldExist", arguments);
}

/// The sections that only Butane has.
fn sections(root: &Node, variant: &Variant, report: &mut Report) {
    let mut unsupported = |key: &str, message: &str| {
        if let Some(node) = root.get(key).filter(|node| node.is_filled()) {
            report.unsupported(&node.path, node.place, message);
        }
    };
    unsupported(
        "bootDevice",
        "the disk of the system is laid out by Lifeboat's image; it has no mirror and is not encrypted",
    );
    unsupported("grub", "the node boots without GRUB");
    unsupported(
        "metadata",
        "is about the MachineConfig object; the node's labels are `labels` of the node configuration",
    );
    if variant.name != "openshift" {
        return;
    }
    for (key, node) in root.below("openshift").entries() {
        if node.data == Data::Null || key == "kernelArguments" {
            continue;
        }
        let message = match key.as_str() {
            "extensions" => "packages are part of the image: `image.packages`, or bundles",
            "fips" => "the image has no FIPS mode",
            _ => "the kernel is part of the image: `image.kernel`",
        };
        report.unsupported(&node.path, node.place, message);
    }
}
