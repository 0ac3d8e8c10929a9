//! `nodeRegistration`: the name, labels, taints and kubelet arguments of a node.

use serde_json::{Map, Value as Json, json};

use super::{
    documents::{SOCKET, Work, lay, push},
    text,
};
use crate::{
    convert::report::join,
    definition::formats::check,
    finding::Place,
    yaml::{Data, Entry, Value},
};

impl Work<'_> {
    /// `nodeRegistration` of the first and of further nodes.
    pub(super) fn registration(&mut self, value: &Value, path: &str) {
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
                "name" => {
                    let name = text(&entry.value).unwrap_or_default();
                    match check("hostname", name) {
                        Ok(()) => {
                            self.node.insert("hostname".to_owned(), json!(name));
                            let message = "the host name, which is the node's name";
                            self.report.translated(&here, place, message);
                        }
                        Err(refusal) => self.report.unsupported(&here, place, refusal.message),
                    }
                }
                "criSocket" => self.report.unsupported(&here, place, SOCKET),
                "taints" => {
                    if entry.value.items().is_empty() {
                        let message = "without taints of its own a node takes all pods";
                        self.report.translated(&here, place, message);
                    }
                    self.taints(&entry.value, &here);
                }
                "kubeletExtraArgs" => {
                    if let Some(rest) = self.kubelet_arguments(entry, &here) {
                        fields.insert(entry.key.clone(), rest);
                    }
                }
                _ => {
                    fields.insert(entry.key.clone(), self.json(&entry.value, &here));
                    self.speak(&entry.value, &here, place);
                }
            }
        }
        if !fields.is_empty() {
            self.fields
                .insert("nodeRegistration".to_owned(), Json::Object(fields));
        }
    }

    /// Arguments of the kubelet. Labels and taints alone are keys of the node; with others they
    /// stay together, as the list replaces that of Lifeboat.
    fn kubelet_arguments(&mut self, entry: &Entry, path: &str) -> Option<Json> {
        /// Flags that are gone, and what does their work.
        const GONE: [(&str, &str); 7] = [
            (
                "container-runtime",
                "gone since Kubernetes 1.27: there is one kind of runtime",
            ),
            (
                "network-plugin",
                "gone since Kubernetes 1.24: the runtime sets up the network",
            ),
            (
                "cni-bin-dir",
                "gone since Kubernetes 1.24: the runtime sets up the network",
            ),
            (
                "cni-conf-dir",
                "gone since Kubernetes 1.24: the runtime sets up the network",
            ),
            (
                "pod-infra-container-image",
                "gone since Kubernetes 1.35: the runtime knows its image",
            ),
            (
                "dynamic-config-dir",
                "gone since Kubernetes 1.24; write `kubeadm.kubelet`",
            ),
            ("container-runtime-endpoint", SOCKET),
        ];
        let mut arguments: Vec<(String, String, String, Place)> = Vec::new();
        match &entry.value.data {
            Data::Map(entries) => {
                for entry in entries {
                    let here = join(path, &entry.key);
                    if let Some(value) = text(&entry.value) {
                        let value = value.to_owned();
                        arguments.push((here, entry.key.clone(), value, entry.span.start));
                    }
                }
            }
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let here = join(path, index);
                    let part = |key: &str| item.get(key).and_then(text).map(str::to_owned);
                    let (name, value) = (part("name"), part("value"));
                    if let Some(name) = name
                        && !self.source.refused.contains(&here)
                    {
                        let value = value.unwrap_or_default();
                        arguments.push((here, name, value, item.span.start));
                    }
                }
            }
            Data::Scalar(_) => {}
        }
        arguments.retain(|(here, name, _, place)| {
            let Some((_, message)) = GONE.iter().find(|(gone, _)| gone == name) else {
                return true;
            };
            if message.starts_with("gone") {
                self.report.obsolete(here, *place, *message);
            } else {
                self.report.unsupported(here, *place, *message);
            }
            false
        });
        let own = |name: &str| matches!(name, "node-labels" | "register-with-taints");
        if arguments.iter().all(|(_, name, _, _)| own(name)) {
            for (here, name, value, place) in &arguments {
                if name == "node-labels" {
                    self.labels(value, here, *place);
                } else {
                    self.text_taints(value, here, *place);
                }
            }
            return None;
        }
        let key = self.source.document.key();
        let message = format!("in `kubeadm.{key}`, in place of the arguments that Lifeboat gives");
        let list = arguments.into_iter().map(|(here, name, value, place)| {
            self.report.translated(&here, place, message.clone());
            json!({ "name": name, "value": value })
        });
        Some(list.collect())
    }

    fn labels(&mut self, value: &str, here: &str, place: Place) {
        let mut labels = Map::new();
        for label in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            let checked = check("label-key", key).and_then(|()| check("label-value", value));
            if let Err(refusal) = checked {
                self.report.unsupported(here, place, refusal.message);
                return;
            }
            labels.insert(key.to_owned(), json!(value));
        }
        let all = self.node.entry("labels").or_insert_with(|| json!({}));
        lay(all, Json::Object(labels));
        self.report.translated(here, place, "as `labels`");
    }

    fn text_taints(&mut self, value: &str, here: &str, place: Place) {
        for taint in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            if let Err(refusal) = check("taint", taint) {
                self.report.unsupported(here, place, refusal.message);
                return;
            }
        }
        for taint in value
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
        {
            push(self.node, "taints", json!(taint));
        }
        self.report.translated(here, place, "as `taints`");
    }

    pub(super) fn taints(&mut self, value: &Value, path: &str) {
        for (index, item) in value.items().iter().enumerate() {
            let here = join(path, index);
            let part = |key: &str| item.get(key).and_then(text).unwrap_or_default();
            if self.source.refused.contains(&here) || !matches!(item.data, Data::Map(_)) {
                continue;
            }
            let taint = match part("value") {
                "" => format!("{}:{}", part("key"), part("effect")),
                value => format!("{}={value}:{}", part("key"), part("effect")),
            };
            match check("taint", &taint) {
                Ok(()) => {
                    push(self.node, "taints", json!(taint));
                    let message = format!("as `{taint}` in `taints`");
                    self.report.translated(&here, item.span.start, message);
                }
                Err(refusal) => {
                    self.report
                        .unsupported(&here, item.span.start, refusal.message);
                }
            }
        }
    }
}
