//! Units and drop-ins.

use std::collections::{HashMap, HashSet};

use super::{super::unit, Node, Rules, by};

/// The types of units that Ignition knows; systemd has dropped `snapshot` since.
const TYPES: [&str; 12] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "snapshot",
    "slice",
    "scope",
];

/// The part after the last dot, as Go's `path.Ext` finds it.
fn extension(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

impl Rules<'_> {
    pub(super) fn systemd(&mut self, systemd: &Node) {
        let units = systemd.list("units");
        self.unique(systemd, "units", by("name"), "a unit of this name");
        for unit in units {
            self.unit(unit);
            self.unique(unit, "dropins", by("name"), "a drop-in of this name");
            for dropin in unit.list("dropins") {
                self.dropin(dropin);
            }
        }
        let by_name: HashMap<&str, &Node> = units
            .iter()
            .map(|unit| (unit.text("name").unwrap_or_default(), unit))
            .collect();
        for unit in units {
            self.template(unit, &by_name);
        }
    }

    fn unit(&mut self, node: &Node) {
        let name = node.text("name").unwrap_or_default();
        if !TYPES.contains(&extension(name)) && !node.is_bad("name") {
            self.invalid(
                node,
                "name",
                format!("a unit's name ends in its type: .{}", TYPES.join(", .")),
            );
        }
        let Some(contents) = node.text("contents") else {
            return;
        };
        match unit::read(contents) {
            Err(flaw) => self.invalid(node, "contents", format!("is no unit file: {flaw}")),
            Ok(unit) if node.is_true("enabled") && !contents.is_empty() && !unit.installs => {
                let (path, place) = super::spot(node, "contents", self.names);
                self.report.translated(
                    &path,
                    place,
                    "the unit is enabled but has no [Install] section, so that has no effect; add one such as `[Install]` with `WantedBy=multi-user.target`",
                );
            }
            Ok(_) => {}
        }
    }

    fn dropin(&mut self, node: &Node) {
        if let Some(contents) = node.text("contents")
            && let Err(flaw) = unit::read(contents)
        {
            self.invalid(node, "contents", format!("is no unit file: {flaw}"));
        }
        let name = node.text("name").unwrap_or_default();
        if extension(name) != "conf" && !node.is_bad("name") {
            self.invalid(node, "name", "a drop-in's name ends in .conf");
        }
    }

    /// An enabled instance needs [Install] in its template.
    fn template(&mut self, node: &Node, units: &HashMap<&str, &Node>) {
        let name = node.text("name").unwrap_or_default();
        let stem = name.strip_suffix(".service").unwrap_or_default();
        let Some((template, instance)) = stem.split_once('@') else {
            return;
        };
        if template.is_empty() || instance.is_empty() || !node.is_true("enabled") {
            return;
        }
        let template = format!("{template}@.service");
        let contents = units
            .get(template.as_str())
            .and_then(|unit| unit.filled("contents"));
        if let Some(contents) = contents
            && unit::read(contents).is_ok_and(|unit| !unit.installs)
        {
            let (path, place) = super::spot(node, "contents", self.names);
            self.report.translated(
                &path,
                place,
                format!("the unit is enabled but its template {template} has no [Install] section, so that has no effect"),
            );
        }
    }

    /// Files, directories and links may not be what a unit of the same document is.
    pub(super) fn unit_paths(&mut self, root: &Node) {
        let mut paths = HashSet::new();
        for unit in root.below("systemd").list("units") {
            let path = format!(
                "/etc/systemd/system/{}",
                unit.text("name").unwrap_or_default()
            );
            for dropin in unit.list("dropins") {
                if dropin.filled("contents").is_some() {
                    let name = dropin.text("name").unwrap_or_default();
                    paths.insert(format!("{path}.d/{name}"));
                }
            }
            if unit.filled("contents").is_some() {
                paths.insert(path);
            }
        }
        for list in ["files", "directories", "links"] {
            for node in root.below("storage").list(list) {
                if paths.contains(node.text("path").unwrap_or_default()) {
                    self.invalid(
                        node,
                        "path",
                        "a unit or drop-in of this document has this path",
                    );
                }
            }
        }
    }
}
