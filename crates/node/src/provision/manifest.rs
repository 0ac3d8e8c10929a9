//! Where the objects of a manifest are in the Kubernetes API.

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Path in the API, e.g. `/api/v1/namespaces/kube-flannel`.
    pub path: String,
    /// Its YAML.
    pub text: String,
}

/// A document that cannot be applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It lacks what names it.
    #[error("a document of the manifest has no {0}")]
    Lacks(&'static str),
    /// Its kind is none of those that our manifests hold.
    #[error("the manifest holds a {0}, whose place in the API is not known")]
    Kind(String),
}

/// Kinds of our manifests: name, plural, and whether they are in a namespace.
const KINDS: [(&str, &str, Scope); 7] = [
    ("Namespace", "namespaces", Scope::Cluster),
    ("ServiceAccount", "serviceaccounts", Scope::Namespace),
    ("ConfigMap", "configmaps", Scope::Namespace),
    ("ClusterRole", "clusterroles", Scope::Cluster),
    ("ClusterRoleBinding", "clusterrolebindings", Scope::Cluster),
    ("DaemonSet", "daemonsets", Scope::Namespace),
    ("Secret", "secrets", Scope::Namespace),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespace,
}

/// The objects of a manifest in block style, as `lifeboat-config` renders it, in its order.
///
/// # Errors
/// [`ManifestError`] for a document that lacks its kind or name, or has an unknown kind.
pub fn objects(text: &str) -> Result<Vec<Object>, ManifestError> {
    text.split("---\n")
        .filter(|document| !document.trim().is_empty())
        .map(object)
        .collect()
}

fn object(text: &str) -> Result<Object, ManifestError> {
    let mut version = None;
    let mut kind = None;
    let (mut name, mut namespace) = (None, None);
    let mut section = "";
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match key {
            "apiVersion" => version = Some(value),
            "kind" => kind = Some(value),
            "  name" if section == "metadata" => name = Some(value),
            "  namespace" if section == "metadata" => namespace = Some(value),
            _ => {}
        }
        if !key.starts_with(' ') && !key.starts_with('-') {
            section = key;
        }
    }
    let version = version.ok_or(ManifestError::Lacks("apiVersion"))?;
    let kind = kind.ok_or(ManifestError::Lacks("kind"))?;
    let name = name.ok_or(ManifestError::Lacks("name"))?;
    let (_, plural, scope) = KINDS
        .iter()
        .find(|(known, _, _)| *known == kind)
        .ok_or_else(|| ManifestError::Kind(kind.to_owned()))?;
    let group = if version.contains('/') {
        "/apis"
    } else {
        "/api"
    };
    let place = match scope {
        Scope::Cluster => String::new(),
        Scope::Namespace => format!(
            "/namespaces/{}",
            namespace.ok_or(ManifestError::Lacks("namespace"))?
        ),
    };
    Ok(Object {
        path: format!("{group}/{version}{place}/{plural}/{name}"),
        text: text.to_owned(),
    })
}

/// The binding that gives admin.conf its rights, the same that kubeadm makes: made at once, so
/// that the host sees the node as soon as it is there.
pub const ADMINISTRATORS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: \"kubeadm:cluster-admins\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: \"kubeadm:cluster-admins\"
";

#[cfg(test)]
mod tests {
    use lifeboat_config::{k3s::token, render};

    use super::*;

    #[test]
    fn every_object_of_flannel_has_its_place() {
        let text =
            render::flannel_manifest("image", "/opt/bin/flanneld", &render::PodNetwork::default());
        let paths: Vec<_> = objects(&text)
            .unwrap()
            .into_iter()
            .map(|object| object.path)
            .collect();
        assert_eq!(paths[0], "/api/v1/namespaces/kube-flannel");
        assert!(
            paths
                .iter()
                .any(|path| path.starts_with("/apis/apps/v1/namespaces/kube-flannel/daemonsets/"))
        );
        assert!(paths.len() >= 5);
    }

    #[test]
    fn a_token_has_its_place() {
        let text = render::bootstrap_token(&token::bootstrap("abcdef.0123456789abcdef"));
        assert_eq!(
            objects(&text).unwrap()[0].path,
            "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef"
        );
    }

    #[test]
    fn the_binding_has_its_place() {
        assert_eq!(
            objects(ADMINISTRATORS).unwrap()[0].path,
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:cluster-admins"
        );
    }

    #[test]
    fn what_has_no_place_is_refused() {
        assert_eq!(
            objects("kind: Pod\n"),
            Err(ManifestError::Lacks("apiVersion"))
        );
        assert_eq!(
            objects("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"),
            Err(ManifestError::Kind("Pod".to_owned()))
        );
    }
}
