//! What becomes of the keys of each kind of document: keys of the node where it has such, else
//! the fields that are laid over kubeadm's configuration under `kubeadm`.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use super::{Document, text};
use crate::{
    convert::report::{Report, join},
    definition::formats::check,
    finding::Place,
    render::VOLUME_PLUGINS,
    yaml::{Data, Entry, Kind, Scalar, Value},
};

const VERSION: &str =
    "the version is that of the node's Kubernetes payload: `image.kubernetes` of the definition";
const IMAGES: &str =
    "the images of the control plane are part of the Kubernetes payload, and no registry is asked";
pub(super) const SOCKET: &str = "the runtime is that of the image: `image.runtime`";
const PATCHES: &str = "no folder is read: write the patches under `kubeadm.patches`";
const DRY_RUN: &str =
    "a node is always set up; see what would be with `lifeboat node apply --dry-run`";
const KEYS: &str = "the certificates are in /etc/kubernetes/pki";

/// A document that has been checked.
pub(super) struct Source<'a> {
    pub(super) document: Document,
    pub(super) path: &'a str,
    /// Paths that are not carried over.
    pub(super) refused: &'a HashSet<String>,
}

pub(super) struct Work<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) report: &'a mut Report,
    pub(super) node: &'a mut Map<String, Json>,
    /// What is laid over kubeadm's document.
    pub(super) fields: Map<String, Json>,
    /// What is laid over `InitConfiguration` by another document.
    init: Map<String, Json>,
}

/// Translates a document into the configuration of a node.
pub(super) fn translate(
    source: &Source<'_>,
    value: &Value,
    report: &mut Report,
    node: &mut Map<String, Json>,
) {
    let mut work = Work {
        source,
        report,
        node,
        fields: Map::new(),
        init: Map::new(),
    };
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        let path = join(source.path, &entry.key);
        if matches!(entry.key.as_str(), "apiVersion" | "kind") || work.is_out(entry, &path) {
            continue;
        }
        work.key(entry, &path);
    }
    let (fields, init) = (work.fields, work.init);
    for (key, fields) in [(source.document.key(), fields), ("init", init)] {
        if fields.is_empty() {
            continue;
        }
        let all = node.entry("kubeadm").or_insert_with(|| json!({}));
        if !all[key].is_object() {
            all[key] = json!({});
        }
        lay(&mut all[key], Json::Object(fields));
    }
}

/// Adds fields, mappings key by key.
pub(super) fn lay(target: &mut Json, more: Json) {
    match (target, more) {
        (Json::Object(target), Json::Object(more)) => {
            for (key, value) in more {
                lay(target.entry(key).or_insert(Json::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}

impl Work<'_> {
    pub(super) fn is_out(&self, entry: &Entry, path: &str) -> bool {
        entry.value.is_null() || self.source.refused.contains(path)
    }

    fn key(&mut self, entry: &Entry, path: &str) {
        let place = entry.span.start;
        let value = &entry.value;
        match (self.source.document, entry.key.as_str()) {
            (Document::Init | Document::Join, "nodeRegistration") => {
                self.registration(value, path);
            }
            (Document::Init | Document::Join, "patches") => {
                self.report.unsupported(path, place, PATCHES);
            }
            (Document::Init | Document::Join, "dryRun") => {
                if matches!(
                    &value.data,
                    Data::Scalar(Scalar {
                        kind: Kind::Bool(false),
                        ..
                    })
                ) {
                    self.report.translated(path, place, "");
                } else {
                    self.report.unsupported(path, place, DRY_RUN);
                }
            }
            (Document::Init, "bootstrapTokens") => self.tokens(entry, path),
            (Document::Join, "discovery") => self.discovery(value, path),
            (Document::Join, "controlPlane") => {
                let Json::Object(control_plane) = self.json(value, path) else {
                    return;
                };
                // A node that joins is a worker unless it is said to be a server.
                self.node.insert("k3s_args".to_owned(), json!(["server"]));
                if !control_plane.is_empty() {
                    let control_plane = Json::Object(control_plane);
                    self.fields.insert("controlPlane".to_owned(), control_plane);
                }
                self.report.translated(
                    path,
                    place,
                    "`k3s_args: [server]` makes it a control plane; its keys are in `kubeadm.join`",
                );
            }
            (Document::Cluster, "kubernetesVersion") => {
                self.report.unsupported(path, place, VERSION);
            }
            (Document::Cluster, "imageRepository" | "useHyperKubeImage") => {
                self.report.unsupported(path, place, IMAGES);
            }
            (Document::Cluster, "certificatesDir") => {
                if text(value) == Some("/etc/kubernetes/pki") {
                    self.report.translated(path, place, "");
                } else {
                    self.report.unsupported(path, place, KEYS);
                }
            }
            (Document::Cluster, "apiServer") => self.api_server(value, path),
            (Document::Cluster, "etcd" | "dns") => self.images(entry, path),
            (Document::Kubelet, "registerWithTaints") => self.taints(value, path),
            (Document::Kubelet, "containerRuntimeEndpoint" | "imageServiceEndpoint") => {
                self.report.unsupported(path, place, SOCKET);
            }
            (Document::Kubelet, "staticPodPath") => {
                if text(value) == Some("/etc/kubernetes/manifests") {
                    self.report.translated(path, place, "");
                } else {
                    let message = "kubeadm writes static pods to /etc/kubernetes/manifests";
                    self.report.unsupported(path, place, message);
                }
            }
            (Document::Kubelet, "cgroupDriver") => {
                if text(value) == Some("systemd") {
                    self.report.translated(path, place, "");
                } else {
                    let message = "the runtime and the kubelet use the systemd driver";
                    self.report.unsupported(path, place, message);
                }
            }
            (Document::Proxy, "mode") if text(value) == Some("ipvs") => {
                self.carry(&entry.key, value, path);
                let message = "the IPVS mode is deprecated since Kubernetes 1.35; write nftables";
                self.report.obsolete(path, place, message);
            }
            _ => {
                self.carry(&entry.key, value, path);
                self.speak(value, path, place);
            }
        }
    }

    /// A value among the fields that are laid over kubeadm's.
    fn carry(&mut self, key: &str, value: &Value, path: &str) {
        let mut json = self.json(value, path);
        if key == "controllerManager"
            && let Some(Json::Array(arguments)) = json.get_mut("extraArgs")
            && !arguments
                .iter()
                .any(|one| one["name"] == "flex-volume-plugin-dir")
        {
            // The list replaces that of Lifeboat, and without this the pod does not start.
            arguments.push(json!({ "name": "flex-volume-plugin-dir", "value": VOLUME_PLUGINS }));
        }
        self.fields.insert(key.to_owned(), json);
    }

    /// Says that a value is carried over: each item of lists of objects by itself.
    pub(super) fn speak(&mut self, value: &Value, path: &str, place: Place) {
        let key = self.source.document.key();
        let message = format!("in `kubeadm.{key}`");
        self.speak_of(value, path, place, &message);
    }

    fn speak_of(&mut self, value: &Value, path: &str, place: Place, message: &str) {
        if self.source.refused.contains(path) {
            return;
        }
        match &value.data {
            Data::List(items) if items.iter().any(|item| matches!(item.data, Data::Map(_))) => {
                for (index, item) in items.iter().enumerate() {
                    let here = join(path, index);
                    if !self.source.refused.contains(&here) {
                        self.report.translated(&here, item.span.start, message);
                    }
                }
            }
            Data::Map(entries) => {
                self.report.translated(path, place, message);
                for entry in entries {
                    if !matches!(entry.value.data, Data::Scalar(_)) {
                        let here = join(path, &entry.key);
                        self.speak_of(&entry.value, &here, entry.span.start, message);
                    }
                }
            }
            _ => self.report.translated(path, place, message),
        }
    }

    /// A value in the form of v1beta4, without what is refused.
    pub(super) fn json(&self, value: &Value, path: &str) -> Json {
        match &value.data {
            Data::Scalar(scalar) => json_scalar(scalar),
            Data::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (join(path, index), item))
                .filter(|(here, item)| !item.is_null() && !self.source.refused.contains(here))
                .map(|(here, item)| self.json(item, &here))
                .collect(),
            Data::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let here = join(path, &entry.key);
                    if self.is_out(entry, &here) {
                        continue;
                    }
                    let arguments = matches!(entry.key.as_str(), "extraArgs" | "kubeletExtraArgs");
                    let json = match &entry.value.data {
                        Data::Map(all) if arguments => arguments_of(all),
                        _ => self.json(&entry.value, &here),
                    };
                    map.insert(entry.key.clone(), json);
                }
                Json::Object(map)
            }
        }
    }

    /// One token is the node's; more, or ones with an end, are kubeadm's.
    fn tokens(&mut self, entry: &Entry, path: &str) {
        let items = entry.value.items();
        if let [item] = items
            && let Data::Map(fields) = &item.data
            && let [only] = fields.as_slice()
            && only.key == "token"
            && let Some(token) = text(&only.value)
        {
            self.node.insert("token".to_owned(), json!(token));
            self.report
                .translated(&join(path, 0), item.span.start, "as `token`");
            return;
        }
        self.carry(&entry.key, &entry.value, path);
        self.speak(&entry.value, path, entry.span.start);
    }

    fn discovery(&mut self, value: &Value, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        let mut fields = Map::new();
        for entry in entries {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if self.is_out(entry, &here) {
                continue;
            }
            match entry.key.as_str() {
                "bootstrapToken" => self.by_token(&entry.value, &here),
                "timeout" => {
                    let timeout = self.json(&entry.value, &here);
                    let timeouts = json!({ "discovery": timeout });
                    lay_key(&mut self.fields, "timeouts", timeouts);
                    let message = "in `kubeadm.join`, as `timeouts.discovery` of v1beta4";
                    self.report.translated(&here, place, message);
                }
                _ => {
                    fields.insert(entry.key.clone(), self.json(&entry.value, &here));
                    self.speak(&entry.value, &here, place);
                }
            }
        }
        if !fields.is_empty() {
            lay_key(&mut self.fields, "discovery", Json::Object(fields));
        }
    }

    fn by_token(&mut self, value: &Value, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        for entry in entries {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if self.is_out(entry, &here) {
                continue;
            }
            let text = text(&entry.value).unwrap_or_default();
            match entry.key.as_str() {
                "token" => {
                    self.node.insert("token".to_owned(), json!(text));
                    self.report.translated(&here, place, "as `token`");
                }
                "apiServerEndpoint" => {
                    let url = format!("https://{text}");
                    let checked = check("server-url", &url);
                    match checked {
                        Ok(()) if !text.is_empty() && !text.contains("//") => {
                            self.node.insert("server_url".to_owned(), json!(url));
                            self.report.translated(&here, place, "as `server_url`");
                        }
                        Ok(()) => self.report.unsupported(&here, place, "must be HOST:PORT"),
                        Err(refusal) => self.report.unsupported(&here, place, refusal.message),
                    }
                }
                "caCertHashes" => {
                    for (index, item) in entry.value.items().iter().enumerate() {
                        let at = join(&here, index);
                        let hash = super::text(item).unwrap_or_default();
                        if self.source.refused.contains(&at) {
                            continue;
                        }
                        match check("authority-hash", hash) {
                            Ok(()) => {
                                let all = self.node.entry("kubeadm").or_insert_with(|| json!({}));
                                if !all["discovery_ca_hashes"].is_array() {
                                    all["discovery_ca_hashes"] = json!([]);
                                }
                                if let Json::Array(hashes) = &mut all["discovery_ca_hashes"] {
                                    hashes.push(json!(hash));
                                }
                                let message = "in `kubeadm.discovery_ca_hashes`";
                                self.report.translated(&at, item.span.start, message);
                            }
                            Err(refusal) => {
                                self.report
                                    .unsupported(&at, item.span.start, refusal.message);
                            }
                        }
                    }
                }
                _ => self.report.translated(
                    &here,
                    place,
                    "without hashes the cluster is trusted by its token",
                ),
            }
        }
    }

    fn api_server(&mut self, value: &Value, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        let mut json = self.json(value, path);
        for entry in entries {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if self.is_out(entry, &here) {
                continue;
            }
            if entry.key == "timeoutForControlPlane" {
                if let Json::Object(fields) = &mut json
                    && let Some(timeout) = fields.shift_remove(&entry.key)
                {
                    let timeouts = json!({ "controlPlaneComponentHealthCheck": timeout });
                    lay_key(&mut self.init, "timeouts", timeouts);
                }
                let message =
                    "in `kubeadm.init`, as `timeouts.controlPlaneComponentHealthCheck` of v1beta4";
                self.report.translated(&here, place, message);
            } else {
                self.speak(&entry.value, &here, place);
            }
        }
        if let Some(Json::Array(names)) = json.get_mut("certSANs") {
            // The list replaces that of Lifeboat, which reaches the API server by these.
            for name in ["127.0.0.1", "localhost"] {
                if !names.iter().any(|known| known == name) {
                    names.push(json!(name));
                }
            }
        }
        if json.as_object().is_some_and(|fields| !fields.is_empty()) {
            self.fields.insert("apiServer".to_owned(), json);
        }
    }

    /// Sections that name images beside other things.
    fn images(&mut self, entry: &Entry, path: &str) {
        let mut json = self.json(&entry.value, path);
        self.without_images(&entry.value, &mut json, path);
        if json.as_object().is_some_and(|fields| !fields.is_empty()) {
            self.fields.insert(entry.key.clone(), json);
        }
    }

    fn without_images(&mut self, value: &Value, json: &mut Json, path: &str) {
        let Data::Map(entries) = &value.data else {
            return;
        };
        for entry in entries {
            let here = join(path, &entry.key);
            let place = entry.span.start;
            if self.is_out(entry, &here) {
                continue;
            }
            let fields = json.as_object_mut();
            match entry.key.as_str() {
                "imageRepository" | "imageTag" => {
                    fields.map(|fields| fields.shift_remove(&entry.key));
                    self.report.unsupported(&here, place, IMAGES);
                }
                "type" => {
                    fields.map(|fields| fields.shift_remove(&entry.key));
                    if text(&entry.value) == Some("CoreDNS") {
                        let message = "gone since v1beta3: CoreDNS is the only one";
                        self.report.obsolete(&here, place, message);
                    } else {
                        let message = "kube-dns is gone since Kubernetes 1.21; CoreDNS is used";
                        self.report.obsolete(&here, place, message);
                    }
                }
                "local" => {
                    if let Some(local) = fields.and_then(|fields| fields.get_mut("local")) {
                        self.without_images(&entry.value, local, &here);
                    }
                }
                _ => self.speak(&entry.value, &here, place),
            }
        }
    }
}

pub(super) fn push(node: &mut Map<String, Json>, key: &str, item: Json) {
    let list = node.entry(key).or_insert_with(|| json!([]));
    if let Json::Array(list) = list {
        list.push(item);
    }
}

fn lay_key(fields: &mut Map<String, Json>, key: &str, value: Json) {
    lay(fields.entry(key).or_insert_with(|| json!({})), value);
}

/// Arguments as a mapping, as the list that they are since v1beta4.
fn arguments_of(entries: &[Entry]) -> Json {
    entries
        .iter()
        .filter_map(|entry| Some(json!({ "name": entry.key, "value": text(&entry.value)? })))
        .collect()
}

fn json_scalar(scalar: &Scalar) -> Json {
    match scalar.kind {
        Kind::Null => Json::Null,
        Kind::Bool(flag) => json!(flag),
        Kind::Integer(number) => i64::try_from(number)
            .map(|number| json!(number))
            .or_else(|_| u64::try_from(number).map(|number| json!(number)))
            .unwrap_or_else(|_| json!(scalar.text)),
        Kind::Float(number) => json!(number),
        Kind::Text | Kind::Binary => json!(scalar.text),
    }
}
