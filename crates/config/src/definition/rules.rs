//! What no single value shows: rules between keys.

mod image;
mod network;
mod system;
mod warnings;

use std::collections::{HashMap, HashSet};

use super::{
    Definition, KnownVersion,
    image::{ImageFile, KubernetesSource},
    known_versions,
    node::NodeConfig,
    types::{Runtime, Size, kubelet_may_set},
};
use crate::{
    bundle,
    finding::{Collector, Place, did_you_mean, listed},
    nearest,
    schema::check::Path,
    yaml::Value,
};

/// A step on the way to a value.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Where the value at `steps` is; what is not written is where its nearest parent is.
fn place(root: &Value, steps: &[Step<'_>]) -> Place {
    let mut value = root;
    for step in steps {
        let next = match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.items().get(*index),
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    value.span.start
}

/// Where the value at a path such as `image.packages[2]` is.
pub(crate) fn place_of(root: &Value, path: &str) -> Place {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, indices) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Key(key));
        let numbers = indices.split(['[', ']']);
        steps.extend(numbers.filter_map(|number| number.parse().ok().map(Step::Index)));
    }
    place(root, &steps)
}

/// Where the key at the end of `steps` is written.
fn key_place(root: &Value, parents: &[&str], key: &str) -> Place {
    let parent = parents
        .iter()
        .try_fold(root, |value, parent| value.get(parent));
    let entry = parent.and_then(|parent| parent.entry(key));
    entry.map_or(root.span.start, |entry| entry.span.start)
}

/// The rules of a whole definition.
pub(crate) fn definition(definition: &Definition, root: &Value, findings: &mut Collector) {
    let image = &definition.image;
    let at = |keys: &[&str]| {
        let steps: Vec<Step<'_>> = keys.iter().map(|key| Step::Key(key)).collect();
        place(root, &steps)
    };
    if image.runtime == Some(Runtime::CriO) && image.kubernetes_source == KubernetesSource::Modules
    {
        findings.add(
            at(&["image", "runtime"]),
            "image.runtime",
            "conflict",
            "cri-o cannot be built from Go modules",
            Some("name repositories that hold it: `kubernetes_source: {packages: [{url: …, key: …}]}`, or use containerd".to_owned()),
        );
    }
    version(definition, at(&["image", "kubernetes"]), findings);
    bundles(definition, root, findings);
    files(&image.files, root, findings);
    let least = Size::mib(1700);
    if definition.machine.memory < least {
        findings.add(
            at(&["machine", "memory"]),
            "machine.memory",
            "out-of-range",
            format!(
                "kubeadm wants at least {least}, found {}",
                definition.machine.memory
            ),
            None,
        );
    }
    let layout = &image.size;
    let used = 2 * layout.slot.bytes() + layout.esp.bytes() + layout.state.bytes();
    if definition.machine.disk.bytes() < used + (1 << 30) {
        findings.add(
            at(&["machine", "disk"]),
            "machine.disk",
            "out-of-range",
            format!(
                "{} is too small: the image's partitions take {}, and state needs room to grow",
                definition.machine.disk,
                Size::mib(used >> 20)
            ),
            Some(format!("at least {}", Size::mib((used >> 20) + 1024))),
        );
    }
    if layout.esp < Size::mib(64) {
        findings.add(
            at(&["image", "size", "esp"]),
            "image.size.esp",
            "out-of-range",
            "the kernels of both slots need at least 64MiB",
            None,
        );
    }
    let mut taken = HashSet::new();
    for (index, port) in definition.machine.ports.iter().enumerate() {
        if let Some(host) = port.host
            && !taken.insert(host)
        {
            let steps = [Step::Key("machine"), Step::Key("ports"), Step::Index(index)];
            findings.add(
                place(root, &steps),
                format!("machine.ports[{index}]"),
                "conflict",
                format!("port {host} of this machine is forwarded twice"),
                None,
            );
        }
    }
    let empty = Value {
        span: root.span,
        data: crate::yaml::Data::Map(Vec::new()),
    };
    let value = root.get("node").unwrap_or(&empty);
    node(&definition.node, value, "node.", findings);
    image::wanted(definition, root, findings);
}

/// Only some versions can be built from modules.
fn version(definition: &Definition, at: Place, findings: &mut Collector) {
    let image = &definition.image;
    if image.kubernetes_source != KubernetesSource::Modules {
        return;
    }
    let pinned = |one: &KnownVersion| Some(format!("1.{}.{}", one.minor, one.modules?));
    let pinned: Vec<String> = known_versions().iter().filter_map(pinned).collect();
    let wanted = image.kubernetes.resolved();
    if !pinned.contains(&wanted) {
        let near = did_you_mean(nearest(&wanted, pinned.iter().map(String::as_str)));
        findings.add(
            at,
            "image.kubernetes",
            "unavailable-version",
            format!(
                "{wanted} is not among the pinned Go modules; they hold {}{near}",
                listed(&pinned)
            ),
            Some("other versions come from packages: `kubernetes_source: {packages: [{url: …, key: …}]}`".to_owned()),
        );
    }
}

fn bundles(definition: &Definition, root: &Value, findings: &mut Collector) {
    let image = &definition.image;
    let catalogue = bundle::catalogue();
    let mut seen = HashSet::new();
    for (index, name) in image.bundles.iter().enumerate() {
        let steps = [Step::Key("image"), Step::Key("bundles"), Step::Index(index)];
        let (at, path) = (place(root, &steps), format!("image.bundles[{index}]"));
        let names = || catalogue.iter().map(|bundle| bundle.name.as_str());
        let Some(bundle) = catalogue.iter().find(|bundle| bundle.name == *name) else {
            let near = did_you_mean(nearest(name.as_str(), names()));
            let message = format!(
                "unknown bundle \"{name}\"; bundles: {}{near}",
                listed(names())
            );
            findings.add(at, path, "unknown-choice", message, None);
            continue;
        };
        if !seen.insert(name) {
            findings.add(
                at,
                path,
                "duplicate",
                format!("the bundle {name} is named twice"),
                None,
            );
            continue;
        }
        for (index, package) in image.packages.iter().enumerate() {
            let Some(why) = bundle.without.iter().find(|one| one.name == *package) else {
                continue;
            };
            let steps = [
                Step::Key("image"),
                Step::Key("packages"),
                Step::Index(index),
            ];
            findings.add(
                place(root, &steps),
                format!("image.packages[{index}]"),
                "conflict",
                format!(
                    "{package} must stay out with the bundle {name}: {}",
                    why.why
                ),
                None,
            );
        }
    }
}

fn files(files: &[ImageFile], root: &Value, findings: &mut Collector) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, file) in files.iter().enumerate() {
        let at = |key: Option<&str>| {
            let mut steps = vec![Step::Key("image"), Step::Key("files"), Step::Index(index)];
            steps.extend(key.map(Step::Key));
            place(root, &steps)
        };
        let path = format!("image.files[{index}]");
        match (&file.content, &file.source) {
            (None, None) => findings.add(
                at(None),
                &*path,
                "missing-key",
                "needs `content` or `source`",
                Some("an empty file is `content: \"\"`".to_owned()),
            ),
            (Some(_), Some(_)) => findings.add(
                at(Some("source")),
                format!("{path}.source"),
                "conflict",
                "`content` and `source` exclude each other",
                None,
            ),
            _ => {}
        }
        if let Some(first) = seen.insert(file.path.as_str(), index) {
            findings.add(
                at(Some("path")),
                format!("{path}.path"),
                "duplicate",
                format!("{} is already written by image.files[{first}]", file.path),
                None,
            );
        }
        let state = ["/var", "/run", "/proc", "/sys", "/dev", "/tmp"];
        let below = |folder: &str| {
            let rest = file.path.as_str().strip_prefix(folder);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(folder) = state.into_iter().find(|folder| below(folder)) {
            findings.add(
                at(Some("path")),
                format!("{path}.path"),
                "conflict",
                format!("{folder} is not part of the image: it is made or mounted at boot"),
                Some("use node.write_files for it".to_owned()),
            );
        }
    }
}

/// The rules of a node configuration; `prefix` is `node.` within a definition.
pub(crate) fn node(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    for key in node.labels.keys() {
        if !kubelet_may_set(key.as_str()) {
            findings.add(
                key_place(root, &["labels"], key.as_str()),
                format!(
                    "{prefix}{}",
                    String::from(&Path::from("labels").key(key.as_str()))
                ),
                "refused-label",
                format!("a node may not give itself the label {key}: the kubelet would not start"),
                Some("labels of kubernetes.io and k8s.io are the control plane's; use a domain of your own".to_owned()),
            );
        }
    }
    for (index, file) in node.write_files.iter().enumerate() {
        if file.source.is_some() {
            if !file.content.is_empty() {
                let steps = [
                    Step::Key("write_files"),
                    Step::Index(index),
                    Step::Key("source"),
                ];
                findings.add(
                    place(root, &steps),
                    format!("{prefix}write_files[{index}].source"),
                    "conflict",
                    "`content` and `source` exclude each other",
                    None,
                );
            }
            continue;
        }
        if let Err(error) = file.bytes() {
            let steps = [
                Step::Key("write_files"),
                Step::Index(index),
                Step::Key("content"),
            ];
            findings.add(
                place(root, &steps),
                format!("{prefix}write_files[{index}].content"),
                "bad-value",
                error.to_string(),
                None,
            );
        }
    }
    let mut taints = HashSet::new();
    for (index, taint) in node.taints.iter().enumerate() {
        let (key, _, effect) = taint.parts();
        if !taints.insert((key, effect)) {
            findings.add(
                place(root, &[Step::Key("taints"), Step::Index(index)]),
                format!("{prefix}taints[{index}]"),
                "duplicate",
                format!("the taint {key}:{effect} is there twice"),
                None,
            );
        }
    }
    network::node(node, root, prefix, findings);
    system::node(node, root, prefix, findings);
    warnings::node(node, root, prefix, findings);
}
