//! `node.kubeadm`: what a user lays over kubeadm's configuration.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{formats::Refusal, types::text_types};

text_types! {
    /// The hash of an authority's public key: `sha256:` and 64 hexadecimal digits.
    AuthorityHash: "authority-hash", "string", "a hash such as sha256:…", authority_hash, false;
}

/// What is laid over kubeadm's configuration. Its documents are merged with what is written here
/// as RFC 7386 has it: mappings key by key, anything else replaces, `null` removes. The fields
/// are those of kubeadm.k8s.io/v1beta4; kubeadm warns of ones that it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KubeadmConfig {
    /// `InitConfiguration`, on the node that makes a cluster.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub init: Fields,
    /// `JoinConfiguration`, on a node that joins one.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub join: Fields,
    /// `ClusterConfiguration`, on the node that makes a cluster.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub cluster: Fields,
    /// `KubeletConfiguration`, on every node.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub kubelet: Fields,
    /// `KubeProxyConfiguration`, on the node that makes a cluster.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub proxy: Fields,
    /// Patches of what kubeadm makes, in their order.
    pub patches: Vec<KubeadmPatch>,
    /// Hashes of the authorities of clusters that this node may join:
    /// `sha256:` and 64 hexadecimal digits. Without any, the cluster whose description is signed
    /// with the token is trusted.
    pub discovery_ca_hashes: Vec<AuthorityHash>,
}

/// A patch of what kubeadm makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeadmPatch {
    /// What is patched.
    pub target: PatchTarget,
    /// The kind of the patch.
    #[serde(default, rename = "type")]
    pub kind: PatchKind,
    /// The patch: a mapping, for `json` a list of operations, or either as text.
    pub content: AnyValue,
}

/// What kubeadm patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PatchTarget {
    /// The static pod of etcd.
    #[serde(rename = "etcd")]
    Etcd,
    /// The static pod of the API server.
    #[serde(rename = "kube-apiserver")]
    ApiServer,
    /// The static pod of the controller manager.
    #[serde(rename = "kube-controller-manager")]
    ControllerManager,
    /// The static pod of the scheduler.
    #[serde(rename = "kube-scheduler")]
    Scheduler,
    /// The kubelet's configuration.
    #[serde(rename = "kubeletconfiguration")]
    Kubelet,
    /// The Deployment of `CoreDNS`.
    #[serde(rename = "corednsdeployment")]
    CoreDns,
}

impl PatchTarget {
    /// Its name in kubeadm.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubeletconfiguration",
            Self::CoreDns => "corednsdeployment",
        }
    }
}

/// The kinds of patches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchKind {
    /// Kubernetes' strategic merge patch.
    #[default]
    Strategic,
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
}

impl PatchKind {
    /// Its name in kubeadm.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strategic => "strategic",
            Self::Merge => "merge",
            Self::Json => "json",
        }
    }
}

/// Fields of a document of Kubernetes, as they are written. They may hold tokens and keys, so
/// none is shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(pub Map<String, Json>);

impl Fields {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl JsonSchema for Fields {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}

/// Any value, as it is written; not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnyValue(pub Json);

impl fmt::Debug for AnyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl JsonSchema for AnyValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "array", "string"], "additionalProperties": true })
    }
}

fn authority_hash(text: &str) -> Result<(), Refusal> {
    let digits = text.strip_prefix("sha256:");
    let fine =
        |digits: &str| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.is_some_and(fine) {
        return Ok(());
    }
    Err(
        Refusal::new("an authority's hash is `sha256:` and 64 hexadecimal digits").hint(
            "openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum",
        ),
    )
}
