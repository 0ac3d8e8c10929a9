//! The administrator's kubeconfig: read as kubeadm wrote it, pointed at the forwarded port,
//! merged into a user's own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{YamlError, from_yaml, to_yaml};

/// A name that kubeadm puts into each API server certificate. The forwarded port is on
/// 127.0.0.1, which is not in it.
pub(crate) const SERVER_NAME: &str = "kubernetes";

/// A cluster's address and an administrator's credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// The authority that signs the server's certificate (PEM).
    pub authority: Vec<u8>,
    /// The client's certificate (PEM).
    pub certificate: Vec<u8>,
    /// The client's key (PEM).
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key: debug output ends in logs.
        formatter.write_str("Kubeconfig { .. }")
    }
}

/// Why a text is no kubeconfig that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// It is no YAML.
    #[error("the kubeconfig is not YAML that can be read")]
    Yaml(#[from] YamlError),
    /// Something is missing.
    #[error("the kubeconfig has no usable `{0}`")]
    Missing(&'static str),
}

impl Kubeconfig {
    /// Reads the first cluster and the first user of a kubeconfig, with their data inside.
    ///
    /// # Errors
    /// [`KubeconfigError`] if it is not YAML, or lacks one of them.
    pub fn parse(text: &str) -> Result<Self, KubeconfigError> {
        let value = from_yaml(text)?;
        let data = |list: &str, kind: &str, key: &'static str| {
            value[list][0][kind][key]
                .as_str()
                .and_then(|text| STANDARD.decode(text).ok())
                .ok_or(KubeconfigError::Missing(key))
        };
        Ok(Self {
            authority: data("clusters", "cluster", "certificate-authority-data")?,
            certificate: data("users", "user", "client-certificate-data")?,
            key: data("users", "user", "client-key-data")?,
        })
    }

    /// The kubeconfig for this host: the forwarded `port`, and entries named for the machine.
    pub fn for_host(&self, machine: &str, port: u16) -> Value {
        let name = format!("lifeboat-{machine}");
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "tls-server-name": SERVER_NAME,
                "certificate-authority-data": STANDARD.encode(&self.authority),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate-data": STANDARD.encode(&self.certificate),
                "client-key-data": STANDARD.encode(&self.key),
            }}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        })
    }

    /// [`Kubeconfig::for_host`] as text.
    pub fn text_for_host(&self, machine: &str, port: u16) -> String {
        to_yaml(&self.for_host(machine, port))
    }
}

/// Puts the clusters, users and contexts of `added` into `existing` (null if there is none),
/// in place of those of the same name. All else stays, the current context too if there is one.
///
/// # Errors
/// [`KubeconfigError::Missing`] if `existing` is no kubeconfig.
pub fn merge(existing: Value, added: &Value) -> Result<Value, KubeconfigError> {
    let mut merged = match existing {
        Value::Null => json!({"apiVersion": "v1", "kind": "Config"}),
        Value::Object(entries) => Value::Object(entries),
        _ => return Err(KubeconfigError::Missing("mapping")),
    };
    for list in ["clusters", "users", "contexts"] {
        let target = &mut merged[list];
        if target.is_null() {
            *target = json!([]);
        }
        let Some(target) = target.as_array_mut() else {
            return Err(KubeconfigError::Missing(list));
        };
        for entry in added[list].as_array().into_iter().flatten() {
            match target.iter_mut().find(|old| old["name"] == entry["name"]) {
                Some(old) => *old = entry.clone(),
                None => target.push(entry.clone()),
            }
        }
    }
    let current = &mut merged["current-context"];
    if current.as_str().unwrap_or_default().is_empty() {
        *current = added["current-context"].clone();
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Kubeconfig {
        let text = "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: https://10.0.2.15:6443\n  name: kubernetes\ncontexts: []\nkind: Config\nusers:\n- name: a\n  user:\n    client-certificate-data: Qg==\n    client-key-data: Qw==\n";
        Kubeconfig::parse(text).unwrap()
    }

    #[test]
    fn the_server_becomes_the_forwarded_port() {
        let kubeconfig = example();
        assert_eq!(kubeconfig.key, b"C");
        let text = kubeconfig.text_for_host("one", 40_123);
        insta::assert_snapshot!(text);
        assert_eq!(Kubeconfig::parse(&text).unwrap(), kubeconfig);
    }

    #[test]
    fn merging_keeps_everything_else_and_replaces_its_own() {
        let existing = json!({
            "apiVersion": "v1", "extensions": [1], "current-context": "work",
            "clusters": [{"name": "work", "cluster": {"server": "x"}},
                         {"name": "lifeboat-one", "cluster": {"server": "old"}}],
            "users": null,
        });
        let merged = merge(existing, &example().for_host("one", 1)).unwrap();
        assert_eq!(merged["current-context"], "work");
        assert_eq!(merged["extensions"], json!([1]));
        assert_eq!(merged["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(
            merged["clusters"][1]["cluster"]["server"],
            "https://127.0.0.1:1"
        );
        assert_eq!(merged["users"][0]["name"], "lifeboat-one");
        assert!(merge(json!("text"), &json!({})).is_err());
    }
}
