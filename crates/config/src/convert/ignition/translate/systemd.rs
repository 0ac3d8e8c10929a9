//! Units and drop-ins.

use serde_json::{Map, Value as Json};

use super::{Node, Translator};

impl Translator<'_> {
    pub(super) fn systemd(&mut self, systemd: &Node) {
        for unit in systemd.list("units") {
            self.unit(unit);
        }
        for quadlet in systemd.list("quadlets") {
            self.unsupported(
                quadlet,
                "the node has no podman; run it in Kubernetes, or write a unit",
            );
        }
    }

    fn unit(&mut self, unit: &Node) {
        let name = unit.text("name").unwrap_or_default();
        if std::path::Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "snapshot")
        {
            self.unsupported(unit, "systemd has no snapshot units since version 228");
            return;
        }
        let mut json = Map::new();
        json.insert("name".to_owned(), name.into());
        if let Some(local) = unit.get("contentsLocal") {
            self.local(local);
            self.unsupported(unit, "not carried over without its contents");
            return;
        }
        self.translated(unit, "becomes an item of `systemd.units`");
        if let Some(enabled) = unit.truth("enabled") {
            json.insert("enabled".to_owned(), enabled.into());
        }
        if unit.is_true("mask") {
            json.insert("mask".to_owned(), true.into());
        }
        if let Some(contents) = unit.filled("contents") {
            json.insert("contents".to_owned(), contents.into());
        }
        let mut dropins = Vec::new();
        for dropin in unit.list("dropins") {
            if let Some(local) = dropin.get("contentsLocal") {
                self.local(local);
                self.unsupported(dropin, "not carried over without its contents");
                continue;
            }
            let name = dropin.text("name").unwrap_or_default();
            if let Some(contents) = dropin.filled("contents") {
                self.translated(dropin, "");
                dropins.push(serde_json::json!({"name": name, "contents": contents}));
            } else {
                self.translated(dropin, "is empty, so Ignition writes nothing either");
            }
        }
        if !dropins.is_empty() {
            json.insert("dropins".to_owned(), Json::Array(dropins));
        }
        // A name alone does nothing.
        if json.len() > 1 {
            self.native
                .push("systemd.units", Json::Object(json), &unit.path, unit.place);
        }
    }

    fn local(&mut self, node: &Node) {
        self.unsupported(
            node,
            "is a file beside the document, which is not read; write its content as `contents`",
        );
    }
}
