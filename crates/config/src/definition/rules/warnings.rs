//! What is taken, yet worth a word.

use super::{Step, place, place_of};
use crate::{
    definition::{k3os::Location, node::NodeConfig, types::KeySource},
    finding::Collector,
    k3s,
    yaml::{Data, Kind, Scalar, Value},
};

/// The warnings of a node configuration; `prefix` is `node.` within a definition.
pub(super) fn node(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    kubernetes(node, root, prefix, findings);
    let mut warn = |steps: &[Step<'_>], code, message: String, hint: &str| {
        let mut path = prefix.to_owned();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        let hint = Some(hint.to_owned());
        findings.warn(place(root, steps), path, code, message, hint);
    };
    if node
        .password
        .as_ref()
        .is_some_and(|one| one.plain().is_some())
    {
        warn(
            &[Step::Key("password")],
            "plain-text-password",
            "the password is plain text: whoever reads this file has it".to_owned(),
            "write its hash, which `openssl passwd -6` prints",
        );
    }
    for (index, user) in node.users.iter().enumerate() {
        if user
            .password
            .as_ref()
            .is_some_and(|one| one.plain().is_some())
        {
            warn(
                &[
                    Step::Key("users"),
                    Step::Index(index),
                    Step::Key("password"),
                ],
                "plain-text-password",
                "the password is plain text: whoever reads this file has it".to_owned(),
                "write its hash, which `openssl passwd -6` prints",
            );
        }
    }
    for (index, key) in node.ssh_authorized_keys.iter().enumerate() {
        if let Some(KeySource::Url(url)) = key.source()
            && is_plain_http(url)
        {
            warn(
                &[Step::Key("ssh_authorized_keys"), Step::Index(index)],
                "plain-http-url",
                "keys that are fetched over plain http can be replaced on the way".to_owned(),
                "use https",
            );
        }
    }
    let urls = [
        ("config_url", &node.install.config_url),
        ("iso_url", &node.install.iso_url),
    ];
    for (key, url) in urls {
        if url
            .as_ref()
            .map(Location::as_str)
            .is_some_and(is_unprotected)
        {
            warn(
                &[Step::Key("install"), Step::Key(key)],
                "plain-http-url",
                "what is fetched from there can be read and replaced on the way".to_owned(),
                "use https",
            );
        }
    }
    for (index, source) in node.data_sources.iter().enumerate() {
        if source.parts().1.is_some_and(is_plain_http) {
            warn(
                &[Step::Key("data_sources"), Step::Index(index)],
                "plain-http-url",
                "a seed that is fetched over plain http can be replaced on the way".to_owned(),
                "use https",
            );
        }
    }
    for index in 0..node.write_files.len() {
        let steps = [
            Step::Key("write_files"),
            Step::Index(index),
            Step::Key("permissions"),
        ];
        let written = root
            .get("write_files")
            .map(Value::items)
            .unwrap_or_default();
        let mode = written.get(index).and_then(|file| file.get("permissions"));
        if let Some(Value {
            data:
                Data::Scalar(Scalar {
                    text,
                    kind: Kind::Integer(_),
                }),
            ..
        }) = mode
            && text.starts_with('0')
        {
            let by_old = u32::from_str_radix(text.trim_start_matches("0o"), 8).unwrap_or_default();
            let by_new = if text.starts_with("0o") {
                by_old.to_string()
            } else {
                text.trim_start_matches('0').to_owned()
            };
            warn(
                &steps,
                "unquoted-octal",
                format!(
                    "{text} is taken as it is written, but without quotes it is a number to YAML: {by_old} by version 1.1 and {by_new} by 1.2; k3OS took its digits for the mode"
                ),
                &format!("quote it: `permissions: \"{text}\"`"),
            );
        }
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
