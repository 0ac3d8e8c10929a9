//! `k3os:` within `node:`: its keys are those of `node` itself, in k3OS' own place.

use crate::{
    definition::k3os::SECTION,
    finding::{Collector, did_you_mean, listed, nearest, shown},
    yaml::{Data, Value},
};

/// Folds `node.k3os` of a definition into `node`.
pub(crate) fn definition(root: &mut Value, findings: &mut Collector) {
    if let Data::Map(entries) = &mut root.data
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "node")
    {
        node(&mut entry.value, "node.", findings);
    }
}

/// Folds `k3os` of a node's configuration into it; `prefix` is `node.` within a definition.
pub(crate) fn node(root: &mut Value, prefix: &str, findings: &mut Collector) {
    let Data::Map(entries) = &mut root.data else {
        return;
    };
    let Some(at) = entries.iter().position(|entry| entry.key == "k3os") else {
        return;
    };
    if !matches!(entries[at].value.data, Data::Map(_)) {
        return; // Null is nothing; anything else is a wrong type, which the schema reports.
    }
    let Data::Map(inner) = entries.remove(at).value.data else {
        return;
    };
    for entry in inner {
        let place = entry.span.start;
        let path = format!("{prefix}k3os.{}", entry.key);
        if !SECTION.contains(&entry.key.as_str()) {
            let near = did_you_mean(nearest(&entry.key, SECTION));
            findings.add(
                place,
                path,
                "unknown-key",
                format!("unknown key {}{near}", shown(&entry.key)),
                Some(format!("known keys here: {}", listed(SECTION))),
            );
            continue;
        }
        if let Some(first) = entries.iter().find(|one| one.key == entry.key) {
            findings.add(
                place,
                path,
                "duplicate-key",
                format!(
                    "the key {:?} is already in line {}, directly in the node's configuration",
                    entry.key, first.span.start.line
                ),
                Some("keep one of the two".to_owned()),
            );
            continue;
        }
        findings.show_as(format!("{prefix}{}", entry.key), path);
        entries.push(entry);
    }
}
