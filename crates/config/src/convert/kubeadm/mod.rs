//! kubeadm's configuration: several YAML documents in one file.

mod documents;
mod registration;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use serde_json::Map;

use super::{
    Converted,
    report::{Report, join},
    shapes::{Fault, MOST_VALUES, Options, Shapes, TOO_LARGE, values},
};
use crate::{
    finding::{Place, did_you_mean, nearest},
    yaml::{
        Data, Kind, Scalar, Value,
        legacy::{Dialect, read_noting},
    },
};

/// The API groups, and the versions of each that are read.
const KUBEADM: &str = "kubeadm.k8s.io";
const KUBELET: &str = "kubelet.config.k8s.io/v1beta1";
const PROXY: &str = "kubeproxy.config.k8s.io/v1alpha1";
/// Documents in one file.
const MOST_DOCUMENTS: usize = 100;
/// The largest file.
const MOST_BYTES: usize = 4 << 20;

/// A kind of document that is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Document {
    Init,
    Cluster,
    Join,
    Kubelet,
    Proxy,
}

impl Document {
    const ALL: [(&'static str, Self); 5] = [
        ("InitConfiguration", Self::Init),
        ("ClusterConfiguration", Self::Cluster),
        ("JoinConfiguration", Self::Join),
        ("KubeletConfiguration", Self::Kubelet),
        ("KubeProxyConfiguration", Self::Proxy),
    ];

    /// Its key under `kubeadm`.
    fn key(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Cluster => "cluster",
            Self::Join => "join",
            Self::Kubelet => "kubelet",
            Self::Proxy => "proxy",
        }
    }
}

fn schema() -> &'static Shapes {
    static SCHEMA: OnceLock<Shapes> = OnceLock::new();
    // A test reads it, so that no line of it can be wrong here.
    SCHEMA.get_or_init(|| Shapes::parse(include_str!("schema.txt")).unwrap_or_default())
}

/// Converts the documents of a file.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    if bytes.len() > MOST_BYTES {
        let message = format!(
            "the file has {} bytes; at most {MOST_BYTES} are read",
            bytes.len()
        );
        return Report::unreadable(file, Place::START, message);
    }
    let parts = split(bytes);
    if parts.len() > MOST_DOCUMENTS {
        let message = format!("the file holds more than {MOST_DOCUMENTS} documents");
        return Report::unreadable(file, Place::START, message);
    }
    let mut report = Report::new(file);
    let mut read = Vec::new();
    for (before, part) in &parts {
        match read_noting(part, Dialect::Core) {
            Ok((mut value, notes)) => {
                shift(&mut value, *before);
                if !value.is_null() {
                    read.push((value, notes, *before));
                }
            }
            Err(flaw) => {
                let place = Place {
                    line: flaw.place.line + before,
                    ..flaw.place
                };
                return Report::unreadable(file, place, flaw.message);
            }
        }
    }
    if read.is_empty() {
        return Report::unreadable(file, Place::START, "the file holds no document");
    }
    let mut kinds: HashMap<String, usize> = HashMap::new();
    for (value, _, _) in &read {
        *kinds.entry(kind(value).to_owned()).or_default() += 1;
    }
    let mut node = Map::new();
    let mut total = 0;
    for (number, (value, notes, before)) in read.into_iter().enumerate() {
        // Documents are called by their kind, or by their number where that is not enough.
        let name = kind(&value);
        let known = Document::ALL.iter().any(|(known, _)| *known == name)
            || matches!(
                name,
                "ClusterStatus" | "ResetConfiguration" | "UpgradeConfiguration"
            );
        let path = if known && kinds.get(name) == Some(&1) {
            name.to_owned()
        } else {
            format!("document.{number}")
        };
        if !matches!(value.data, Data::Map(_)) {
            report.invalid(
                &path,
                value.span.start,
                "a document must be a mapping of keys",
            );
            continue;
        }
        total += match values(&value) {
            Some(count) if total + count <= MOST_VALUES => count,
            _ => {
                report.invalid(&path, value.span.start, TOO_LARGE);
                continue;
            }
        };
        for note in notes {
            let place = Place {
                line: note.place.line + before,
                ..note.place
            };
            report.unsupported(&join(&path, note.path.join(".")), place, note.message);
        }
        one(&path, &value, &mut report, &mut node);
        report.cover(&path, &value);
    }
    report.finish(node)
}

/// The documents of a file, each with the number of lines before it.
fn split(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    let (mut start, mut before) = (0, 0);
    let mut at = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    for (number, line) in lines.enumerate() {
        let marker = line
            .strip_prefix(b"---")
            .is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace));
        if marker && at > start {
            parts.push((before, &bytes[start..at]));
            (start, before) = (at, number);
        }
        at += line.len();
    }
    parts.push((before, &bytes[start..]));
    parts
}

fn shift(value: &mut Value, lines: usize) {
    value.span.start.line += lines;
    match &mut value.data {
        Data::List(items) => items.iter_mut().for_each(|item| shift(item, lines)),
        Data::Map(entries) => {
            for entry in entries {
                entry.span.start.line += lines;
                shift(&mut entry.value, lines);
            }
        }
        Data::Scalar(_) => {}
    }
}

fn text(value: &Value) -> Option<&str> {
    match &value.data {
        Data::Scalar(Scalar {
            text,
            kind: Kind::Text,
        }) => Some(text),
        _ => None,
    }
}

fn kind(value: &Value) -> &str {
    value.get("kind").and_then(text).unwrap_or_default()
}

/// What is said of a version of kubeadm's API, and its number among those that are read.
fn version(text: &str) -> Option<(u32, &'static str)> {
    Some(match text {
        "v1beta4" => (4, ""),
        "v1beta3" => (3, "deprecated since Kubernetes 1.31; write v1beta4"),
        "v1beta2" => (
            2,
            "deprecated since Kubernetes 1.24 and gone since 1.27; write v1beta4",
        ),
        "v1beta1" => (
            1,
            "deprecated since Kubernetes 1.17 and gone since 1.22; write v1beta4",
        ),
        "v1alpha3" => (0, "gone since Kubernetes 1.15; write v1beta4"),
        "v1alpha2" => (0, "gone since Kubernetes 1.13; write v1beta4"),
        "v1alpha1" => (0, "gone since Kubernetes 1.12; write v1beta4"),
        _ => return None,
    })
}

fn one(path: &str, value: &Value, report: &mut Report, node: &mut Map<String, serde_json::Value>) {
    let start = value.span.start;
    let key_place = |key: &str| value.entry(key).map_or(start, |entry| entry.span.start);
    let mut complete = true;
    for key in ["apiVersion", "kind"] {
        if value.get(key).and_then(text).is_none() {
            let place = key_place(key);
            report.invalid(
                &join(path, key),
                place,
                "each document needs `apiVersion` and `kind` as text",
            );
            complete = false;
        }
    }
    if !complete {
        return;
    }
    let name = kind(value);
    let (api_path, kind_path) = (join(path, "apiVersion"), join(path, "kind"));
    let document = Document::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, document)| *document);
    let Some(number) = number(path, value, document, report) else {
        return;
    };
    let Some(document) = document else { return };
    if number == 4 {
        report.translated(&api_path, key_place("apiVersion"), "");
    }
    report.translated(&kind_path, key_place("kind"), "");
    let refused = check(name, number, path, value, report);
    documents::translate(
        &documents::Source {
            document,
            path,
            refused: &refused,
        },
        value,
        report,
        node,
    );
}

/// The version of kubeadm's API by which a document is read; none if it is not read.
fn number(
    path: &str,
    value: &Value,
    document: Option<Document>,
    report: &mut Report,
) -> Option<u32> {
    let start = value.span.start;
    let key_place = |key: &str| value.entry(key).map_or(start, |entry| entry.span.start);
    let api = value.get("apiVersion").and_then(text).unwrap_or_default();
    let name = kind(value);
    let api_path = join(path, "apiVersion");
    Some(match (api.split_once('/'), document) {
        (_, Some(Document::Kubelet)) if api == KUBELET => 4,
        (_, Some(Document::Proxy)) if api == PROXY => 4,
        (Some((KUBEADM, number)), document)
            if !matches!(document, Some(Document::Kubelet | Document::Proxy)) =>
        {
            let Some((number, old)) = version(number) else {
                let message = "kubeadm has no such version; v1beta4 is the newest";
                report.invalid(&api_path, key_place("apiVersion"), message);
                return None;
            };
            if !old.is_empty() {
                report.obsolete(&api_path, key_place("apiVersion"), old);
            }
            if other_kind(path, value, document, report) {
                return None;
            }
            if number == 0 {
                report.unsupported(path, start, "too old to be read; v1beta1 to v1beta4 are");
                return None;
            }
            number
        }
        (_, Some(_)) => {
            let message = format!(
                "is not the API of {name}: {}",
                match document {
                    Some(Document::Kubelet) => KUBELET,
                    Some(Document::Proxy) => PROXY,
                    _ => "kubeadm.k8s.io/v1beta4",
                }
            );
            report.invalid(&api_path, key_place("apiVersion"), message);
            return None;
        }
        (_, None) => {
            report.unsupported(
                path,
                start,
                "neither of kubeadm nor of the kubelet or kube-proxy; apply it to the cluster with kubectl",
            );
            return None;
        }
    })
}

/// Kinds of kubeadm that are not translated; whether this is one.
fn other_kind(path: &str, value: &Value, document: Option<Document>, report: &mut Report) -> bool {
    let start = value.span.start;
    let key_place = |key: &str| value.entry(key).map_or(start, |entry| entry.span.start);
    let name = kind(value);
    let kind_path = join(path, "kind");
    match (name, document) {
        ("MasterConfiguration", _) => {
            let message = "gone since v1alpha3; write InitConfiguration and ClusterConfiguration";
            report.obsolete(&kind_path, key_place("kind"), message);
            report.unsupported(path, start, "too old to be read");
            return true;
        }
        ("NodeConfiguration", _) => {
            let message = "gone since v1alpha3; write JoinConfiguration";
            report.obsolete(&kind_path, key_place("kind"), message);
            report.unsupported(path, start, "too old to be read");
            return true;
        }
        ("ClusterStatus", _) => {
            let message = "gone since v1beta3 (Kubernetes 1.22): kubeadm asks the cluster itself; leave it out";
            report.obsolete(path, start, message);
            return true;
        }
        ("ResetConfiguration", _) => {
            let message = "is for `kubeadm reset`; a node is reset by installing it again";
            report.unsupported(path, start, message);
            return true;
        }
        ("UpgradeConfiguration", _) => {
            let message = "is for `kubeadm upgrade`; Kubernetes is upgraded by another payload, `image.kubernetes`";
            report.unsupported(path, start, message);
            return true;
        }
        (_, None) => {
            let names = Document::ALL.iter().map(|(name, _)| *name);
            let near = did_you_mean(nearest(name, names));
            let message = format!("kubeadm has no such kind{near}");
            report.invalid(&kind_path, key_place("kind"), message);
            return true;
        }
        _ => {}
    }
    false
}

/// Reports what the schema says; paths that are not to be carried over are given back.
fn check(
    name: &str,
    number: u32,
    path: &str,
    value: &Value,
    report: &mut Report,
) -> HashSet<String> {
    let options = Options {
        version: number,
        // Go takes null for the value that is nothing.
        opaque: &Value::is_null,
        date: &|_| false,
        old: &|since, instead| format!("deprecated since {since}; use {instead}"),
    };
    let mut refused = HashSet::new();
    for one in schema().check_named(name, value, path, &options) {
        match one.fault {
            Fault::Wrong(message) => report.invalid(&one.path, one.place, message),
            Fault::Old(message) => {
                report.obsolete(&one.path, one.place, message);
                continue;
            }
            Fault::Unknown(message) => match newer(&one.path, number) {
                Some(message) if message.starts_with("gone") => {
                    report.obsolete(&one.path, one.place, message);
                }
                Some(message) => report.unsupported(&one.path, one.place, message),
                None => report.unsupported(&one.path, one.place, message),
            },
        }
        refused.insert(one.path);
    }
    refused
}

/// Keys that another version has.
fn newer(path: &str, number: u32) -> Option<&'static str> {
    let last = path.rsplit('.').next().unwrap_or_default();
    let message = match last {
        "extraEnvs"
        | "encryptionAlgorithm"
        | "imagePullSerial"
        | "timeouts"
        | "certificateValidityPeriod"
        | "caCertificateValidityPeriod"
            if number < 4 =>
        {
            "a key of v1beta4, which this version does not know; write v1beta4"
        }
        "skipPhases" | "patches" | "imagePullPolicy" if number < 3 => {
            "a key of v1beta3 and later, which this version does not know; write v1beta4"
        }
        "certificateKey" | "ignorePreflightErrors" if number < 2 => {
            "a key of v1beta2 and later, which this version does not know; write v1beta4"
        }
        "timeoutForControlPlane" if number > 3 => {
            "gone since v1beta4; write `timeouts.controlPlaneComponentHealthCheck` of InitConfiguration"
        }
        "useHyperKubeImage" => "gone since v1beta3 (Kubernetes 1.22): there is no such image",
        _ => return None,
    };
    Some(message)
}
