//! Units of systemd: their files, and the links by which they are enabled or masked.

use super::{RenderedFile, RenderedLink};
use crate::{NodeConfig, definition::types::units::UnitName, unit};

const FOLDER: &str = "/etc/systemd/system";

/// The unit files and additions of `systemd.units`.
pub fn unit_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    for unit in &node.systemd.units {
        let path = format!("{FOLDER}/{}", unit.name);
        if let Some(contents) = unit.contents.as_ref().filter(|_| !unit.mask) {
            files.push(RenderedFile::new(&*path, whole_lines(contents.as_str())));
        }
        files.extend(unit.dropins.iter().map(|dropin| {
            RenderedFile::new(
                format!("{path}.d/{}", dropin.name),
                whole_lines(dropin.contents.as_str()),
            )
        }));
    }
    files
}

fn whole_lines(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}")
}

/// The links of `systemd.units` that follow from the configuration alone: masks, and units
/// that are enabled and have contents. For the others see [`image_units`].
pub fn unit_links(node: &NodeConfig) -> Vec<RenderedLink> {
    let mut links = Vec::new();
    for unit in &node.systemd.units {
        let path = format!("{FOLDER}/{}", unit.name);
        if unit.mask {
            links.push(RenderedLink::new(path, "/dev/null"));
        } else if let Some(contents) = &unit.contents
            && unit.enabled == Some(true)
        {
            links.extend(install_links(unit.name.as_str(), &path, contents.as_str()).links);
        }
    }
    links
}

/// Units of the image that the configuration enables or disables: their names, and whether they
/// are to be enabled. Their files say by which links: [`install_links`].
pub fn image_units(node: &NodeConfig) -> Vec<(&UnitName, bool)> {
    let units = node.systemd.units.iter();
    units
        .filter(|unit| unit.contents.is_none() && !unit.mask)
        .filter_map(|unit| Some((&unit.name, unit.enabled?)))
        .collect()
}

/// What the `[Install]` section of a unit asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// The links that enable the unit.
    pub links: Vec<RenderedLink>,
    /// Other units that are enabled with it.
    pub also: Vec<String>,
}

/// The links that enable the unit `name`, whose file is `path` (of its template for an
/// instance) and has this text: what `systemctl enable` would make.
pub fn install_links(name: &str, path: &str, text: &str) -> Installed {
    let mut installed = Installed::default();
    let Ok(settings) = unit::settings(text) else {
        return installed;
    };
    let install = || settings.iter().filter(|one| one.section == "Install");
    let default = install()
        .filter(|one| one.key == "DefaultInstance")
        .map(|one| one.value.as_str())
        .next_back()
        .unwrap_or_default();
    // A template itself is enabled as its default instance.
    let name = match name.split_once("@.") {
        Some((stem, kind)) if !default.is_empty() => format!("{stem}@{default}.{kind}"),
        Some(_) => return installed,
        None => name.to_owned(),
    };
    let words = |key: &str| -> Vec<String> {
        let mut found = Vec::new();
        for setting in install().filter(|one| one.key == key) {
            if setting.value.is_empty() {
                found.clear(); // An empty value takes back what came before.
            }
            let named = setting.value.split_whitespace();
            found.extend(
                named
                    .map(|word| expanded(word, &name))
                    .filter(|word| word.parse::<UnitName>().is_ok()),
            );
        }
        found
    };
    for (key, folder) in [
        ("WantedBy", "wants"),
        ("RequiredBy", "requires"),
        ("UpheldBy", "upholds"),
    ] {
        for by in words(key) {
            installed.links.push(RenderedLink::new(
                format!("{FOLDER}/{by}.{folder}/{name}"),
                path,
            ));
        }
    }
    for alias in words("Alias") {
        if alias != name {
            installed
                .links
                .push(RenderedLink::new(format!("{FOLDER}/{alias}"), path));
        }
    }
    installed.also = words("Also");
    installed
}

/// The specifiers that `[Install]` sections use (systemd.unit(5)).
fn expanded(word: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut text = String::new();
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('i') => text.push_str(instance),
            Some('p') => text.push_str(prefix),
            Some('n') => text.push_str(name),
            Some('N') => text.push_str(stem),
            Some('%') => text.push('%'),
            // No name of a unit has this letter: the word is left out.
            _ => text.push('?'),
        }
    }
    text
}
