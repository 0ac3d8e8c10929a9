//! The section `coreos` of coreos-cloudinit, which Ignition has replaced.

use serde_json::{Value as Json, json};

use super::{Out, flag, get, text};
use crate::{
    convert::{Status, report::join},
    definition::formats::check,
    finding::Place,
    yaml::{Data, Entry, Value},
};

/// The section of coreos-cloudinit. Its units are ordinary ones of systemd.
pub(super) fn translate(entry: &Entry, out: &mut Out<'_>) {
    let Data::Map(entries) = &entry.value.data else {
        return;
    };
    for entry in entries {
        let path = join("coreos", &entry.key);
        let place = entry.span.start;
        let message = match entry.key.as_str() {
            "units" => {
                units(&entry.value, &path, place, out);
                continue;
            }
            "etcd" | "etcd2" => "etcd is part of the control plane, and kubeadm sets it up",
            "fleet" => "fleet has ended; Kubernetes places programs",
            "flannel" => "`image.cni: flannel` sets it up",
            "locksmith" => "there are no updates that reboot the node by themselves; take it out",
            "update" => "updates are images of Lifeboat, not of CoreOS; take it out",
            "oem" => "describes the machine to CoreOS only",
            "rkt" => "rkt has ended; containers run in Kubernetes",
            _ => "coreos-cloudinit does not know it either",
        };
        out.say(Status::Obsolete, &path, place, message);
    }
}

fn units(value: &Value, path: &str, place: Place, out: &mut Out<'_>) {
    let message = "carried over to `systemd.units`";
    out.say(Status::Obsolete, path, place, message);
    let mut made: Vec<Json> = Vec::new();
    for (index, item) in value.items().iter().enumerate() {
        let here = join(path, index);
        let at = item.span.start;
        let Some(name) = item.get("name").and_then(text) else {
            continue;
        };
        if let Err(refusal) = check("unit-name", name) {
            out.unsupported(&here, at, refusal.message);
            continue;
        }
        let mut unit = json!({ "name": name });
        let started = item.get("command").and_then(text) == Some("start");
        let enabled = item.get("enable").and_then(flag).unwrap_or_default() || started;
        if enabled {
            unit["enabled"] = json!(true);
        }
        if item.get("mask").and_then(flag) == Some(true) {
            unit["mask"] = json!(true);
        }
        if let Some(content) = item.get("content").and_then(text) {
            unit["contents"] = json!(content);
        }
        let dropins: Vec<Json> = get(item, "drop_ins")
            .map(Value::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|dropin| {
                let name = dropin.get("name").and_then(text)?;
                let contents = dropin.get("content").and_then(text)?;
                Some(json!({ "name": name, "contents": contents }))
            })
            .collect();
        if !dropins.is_empty() {
            unit["dropins"] = json!(dropins);
        }
        made.push(unit);
        let message = if started {
            "started at boot, if its `[Install]` section says where"
        } else {
            ""
        };
        out.translated(&here, at, message);
    }
    if !made.is_empty() {
        out.set("systemd", json!({ "units": made }));
    }
}
