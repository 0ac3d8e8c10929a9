//! What is taken, yet worth a word.

use super::{Step, place, place_of};
use crate::{
    definition::{
        k3os::Location,
        node::NodeConfig,
        types::{KeySource, SshKey},
    },
    finding::Collector,
    k3s,
    schema::check::Path,
    yaml::{Data, Kind, Scalar, Value},
};

/// Notes what is found at some steps below a node's configuration.
struct Notes<'a> {
    root: &'a Value,
    prefix: &'a str,
    findings: &'a mut Collector,
}

impl Notes<'_> {
    fn add(&mut self, steps: &[Step<'_>], code: &'static str, message: &str, hint: &str) {
        let mut path = Path::default();
        for step in steps {
            path = match step {
                Step::Key(key) => path.key(key),
                Step::Index(index) => path.index(*index),
            };
        }
        self.findings.warn(
            place(self.root, steps),
            format!("{}{}", self.prefix, path.as_str()),
            code,
            message,
            Some(hint.to_owned()),
        );
    }
}

/// The warnings of a node configuration; `prefix` is `node.` within a definition.
pub(super) fn node(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    kubernetes(node, root, prefix, findings);
    let mut notes = Notes {
        root,
        prefix,
        findings,
    };
    passwords(node, &mut notes);
    addresses(node, &mut notes);
    modes(root, &mut notes);
}

fn passwords(node: &NodeConfig, notes: &mut Notes<'_>) {
    if node
        .password
        .as_ref()
        .is_some_and(|one| one.plain().is_some())
    {
        notes.add(
            &[Step::Key("password")],
            "plain-text-password",
            "the password is plain text: whoever reads this file has it",
            "write its hash, which `openssl passwd -6` prints",
        );
    }
}

/// What comes over a network that anybody between can change.
fn addresses(node: &NodeConfig, notes: &mut Notes<'_>) {
    const CODE: &str = "plain-http-url";
    const HINT: &str = "use https";
    let keys = "keys that are fetched over plain http can be replaced on the way";
    let plain =
        |key: &SshKey| matches!(key.source(), Some(KeySource::Url(url)) if is_plain_http(url));
    for (index, key) in node.ssh_authorized_keys.iter().enumerate() {
        if plain(key) {
            let steps = [Step::Key("ssh_authorized_keys"), Step::Index(index)];
            notes.add(&steps, CODE, keys, HINT);
        }
    }
    let urls = [
        ("config_url", &node.install.config_url),
        ("iso_url", &node.install.iso_url),
    ];
    for (key, url) in urls {
        let url = url.as_ref().map(Location::as_str);
        if url.is_some_and(is_unprotected) {
            notes.add(
                &[Step::Key("install"), Step::Key(key)],
                CODE,
                "what is fetched from there can be read and replaced on the way",
                HINT,
            );
        }
    }
    for (index, source) in node.data_sources.iter().enumerate() {
        if source.parts().1.is_some_and(is_plain_http) {
            notes.add(
                &[Step::Key("data_sources"), Step::Index(index)],
                CODE,
                "a seed that is fetched over plain http can be replaced on the way",
                HINT,
            );
        }
    }
}

/// Modes that are numbers to YAML.
fn modes(root: &Value, notes: &mut Notes<'_>) {
    let files = root.get("write_files").map(Value::items);
    for (index, file) in files.unwrap_or_default().iter().enumerate() {
        let Some(Value {
            data:
                Data::Scalar(Scalar {
                    text,
                    kind: Kind::Integer(_),
                }),
            ..
        }) = file.get("permissions")
        else {
            continue;
        };
        if !text.starts_with('0') {
            continue;
        }
        let old = u32::from_str_radix(text.trim_start_matches("0o"), 8).unwrap_or_default();
        let numbers = if text.starts_with("0o") {
            old.to_string()
        } else {
            let new = text.trim_start_matches('0');
            format!("{old} by version 1.1 and {new} by 1.2")
        };
        notes.add(
            &[
                Step::Key("write_files"),
                Step::Index(index),
                Step::Key("permissions"),
            ],
            "unquoted-octal",
            &format!(
                "{text} is taken as it is written; to YAML it is a number without quotes, {numbers}, and other programs take that for the mode"
            ),
            &format!("quote it: `permissions: \"{text}\"`"),
        );
    }
}

/// What of the settings of k3s does not carry over.
fn kubernetes(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    for note in k3s::of_node(node, None).notes {
        // What the arguments say is the same as in the keys, whose faults are found already.
        let place = place_of(root, &note.path);
        let path = format!("{prefix}{}", note.path);
        findings.warn(place, path, note.code, note.message, note.hint);
    }
}

fn is_plain_http(url: &str) -> bool {
    let scheme = url.get(..7);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

/// Whether anybody between can change what comes from there.
fn is_unprotected(url: &str) -> bool {
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "ftp" | "tftp"))
}
