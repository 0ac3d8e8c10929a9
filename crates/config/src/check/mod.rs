//! Everything that is to be said about a configuration file at once: `lifeboat config check`.

mod k3os;
mod secrets;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::{
    Finding, Findings, Place, Severity,
    finding::{Collector, shown_as},
    fold, k3os as keys, layers, parse,
    yaml::{self, Data, Value, legacy},
};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A definition: `image`, `node`, `machine`.
    Definition,
    /// The settings of one node as a file of their own.
    Node,
    /// A configuration of k3OS.
    K3os,
}

impl Kind {
    /// What it is in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Definition => "a definition",
            Self::Node => "a node's configuration",
            Self::K3os => "a k3OS configuration",
        }
    }
}

/// What the user says that a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A definition or a node's configuration.
    Native,
    /// A configuration of k3OS.
    K3os,
    /// Whatever it looks like.
    Any,
}

/// What there is to say about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What it was taken for.
    pub kind: Kind,
    /// Errors and warnings in the order of the file.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// How many findings are errors and how many are warnings.
    pub fn count(&self) -> (usize, usize) {
        let errors = self.findings.iter();
        let errors = errors.filter(|one| one.severity == Severity::Error).count();
        (errors, self.findings.len() - errors)
    }
}

/// Checks the file called `name` in messages. `mode` are its permission bits, if it has any:
/// secrets in a file that others may read are worth a word.
pub fn check(name: &str, bytes: &[u8], wanted: Wanted, mode: Option<u32>) -> Checked {
    let kind = kind(name, bytes, wanted);
    let readable = mode.is_some_and(|mode| mode & 0o004 != 0);
    let mut findings = match kind {
        Kind::Definition => definition(name, bytes),
        Kind::Node => layers::findings(name, bytes),
        Kind::K3os => k3os::findings(name, bytes),
    };
    if let Some(other) = other_format(name, bytes, kind) {
        // Its keys mean something else: what they are called here would only confuse.
        findings.retain(|finding| finding.path.is_empty());
        findings.push(other);
    }
    if readable {
        let places = match kind {
            Kind::K3os => k3os::secrets(bytes),
            Kind::Definition => native_secrets(bytes, "node."),
            Kind::Node => native_secrets(bytes, ""),
        };
        let mut collector = Collector::new(name);
        for (path, place) in places {
            let mode = mode.unwrap_or_default() & 0o7777;
            collector.warn(
                place,
                path,
                "world-readable-secret",
                format!("a secret in a file that others may read (mode {mode:04o})"),
                Some("chmod 0600 the file".to_owned()),
            );
        }
        findings.extend(collector.finish());
    }
    findings.sort_by_key(|finding| (finding.line, finding.column));
    Checked { kind, findings }
}

/// All about a definition: what is wrong with it, and what its node's configuration is worth a
/// word for despite that.
fn definition(name: &str, bytes: &[u8]) -> Vec<Finding> {
    let mut findings = match parse::parse_with_warnings(name, bytes) {
        Ok((_, warnings)) => return warnings,
        Err(Findings(findings)) => findings,
    };
    let mut scratch = Collector::new(name);
    if let Some(root) = yaml::read(bytes, &mut scratch)
        && let Some(node) = root.get("node")
    {
        for mut finding in layers::findings_of(name, node.clone()) {
            finding.path.insert_str(0, "node.");
            let place = (finding.line, finding.column);
            let known = findings
                .iter()
                .any(|one| (one.line, one.column) == place && one.code == finding.code);
            if !known {
                findings.push(finding);
            }
        }
    }
    findings
}

/// What a file looks like.
fn kind(name: &str, bytes: &[u8], wanted: Wanted) -> Kind {
    let value = legacy::read(bytes, legacy::Dialect::Core).ok();
    let entries = match value.as_ref().map(|value| &value.data) {
        Some(Data::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let has = |names: &[&str]| entries.iter().any(|entry| names.contains(&&*entry.key));
    let sections = has(&["image", "node", "machine", "cluster"]);
    if wanted == Wanted::K3os {
        return Kind::K3os;
    }
    if sections && !has(&["k3os"]) {
        return Kind::Definition;
    }
    if wanted == Wanted::Native {
        let own = name.rsplit('/').next() == Some("lifeboat.yaml") && entries.is_empty();
        return if sections || own {
            Kind::Definition
        } else {
            Kind::Node
        };
    }
    if bytes.starts_with(b"#!") {
        return Kind::K3os;
    }
    let known = definition_keys();
    let of_k3os = |key: &str| keys::keys::Section::Top.find(key).is_some();
    let native_only = entries
        .iter()
        .filter(|entry| known.contains(&entry.key.as_str()) && !of_k3os(&entry.key))
        .count();
    let k3os_only = entries
        .iter()
        .filter(|entry| {
            of_k3os(&entry.key) && (entry.key == "k3os" || !known.contains(&entry.key.as_str()))
        })
        .count();
    match k3os_only.cmp(&native_only) {
        std::cmp::Ordering::Greater => Kind::K3os,
        std::cmp::Ordering::Less => Kind::Node,
        std::cmp::Ordering::Equal => {
            // Keys that both have: whichever takes them as they are.
            let native = parse::parse_node(name, bytes).is_ok();
            let theirs = k3os::findings(name, bytes);
            if native
                || entries.is_empty()
                || theirs.iter().any(|one| one.severity == Severity::Error)
            {
                Kind::Node
            } else {
                Kind::K3os
            }
        }
    }
}

fn definition_keys() -> Vec<&'static str> {
    layers::known_keys().collect()
}

/// A file of another system, of which `config convert` makes a configuration.
fn other_format(name: &str, bytes: &[u8], kind: Kind) -> Option<Finding> {
    let value = legacy::read(bytes, legacy::Dialect::Core).ok();
    let has = |key: &str| value.as_ref().is_some_and(|value| value.get(key).is_some());
    let text = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes));
    let known = definition_keys();
    let strange = |value: &Value| match &value.data {
        Data::Map(entries) => entries.iter().any(|entry| {
            !known.contains(&entry.key.as_str())
                && keys::keys::Section::Top.find(&entry.key).is_none()
        }),
        _ => false,
    };
    let (what, from) = if has("ignition") || has("ignitionVersion") {
        ("an Ignition configuration", "ignition")
    } else if has("variant") && has("version") {
        ("a Butane configuration", "butane")
    } else if has("apiVersion") && has("kind") {
        ("a configuration of kubeadm", "kubeadm")
    } else if text.starts_with("#cloud-config") && value.as_ref().is_some_and(strange) {
        ("a configuration of cloud-init", "cloud-init")
    } else if text.starts_with("#!") && text.contains("\n# combustion:") {
        ("a script of combustion", "combustion")
    } else {
        return None;
    };
    Some(Finding {
        file: name.to_owned(),
        line: 1,
        column: 1,
        path: String::new(),
        severity: Severity::Error,
        code: "other-format",
        message: format!("this is {what}, not {}", kind.words()),
        hint: Some(format!(
            "`lifeboat config convert --from {from} FILE` translates it"
        )),
    })
}

fn native_secrets(bytes: &[u8], prefix: &str) -> Vec<(String, Place)> {
    let mut scratch = Collector::new("");
    let Some(mut value) = yaml::read(bytes, &mut scratch) else {
        return Vec::new();
    };
    let node = if prefix.is_empty() {
        fold::node(&mut value, prefix, &mut scratch);
        Some(&value)
    } else {
        fold::definition(&mut value, &mut scratch);
        value.get("node")
    };
    let mut places = Vec::new();
    if let Some(node) = node {
        secrets::find(node, prefix, &mut places);
    }
    for (path, _) in &mut places {
        if let Some(shown) = shown_as(path, scratch.moved()) {
            *path = shown;
        }
    }
    places
}
