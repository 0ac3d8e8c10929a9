//! A client of the Kubernetes API on this node, over one kept connection.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value as Json;
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use super::kubeconfig::Credentials;

/// Why the API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Certificate or key is not PEM.
    #[error("the kubeconfig holds no usable {0}")]
    Credentials(&'static str),
    /// No answer.
    #[error("{method} {path}: {source}")]
    Http {
        /// Method of the request.
        method: &'static str,
        /// Its path.
        path: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// An answer that says no.
    #[error("{method} {path}: {status}: {message}")]
    Refused {
        /// Method of the request.
        method: &'static str,
        /// Its path.
        path: String,
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },
}

/// Where the API server is asked.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// The API server of this node.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
    server: String,
}

/// Of an answer that lists checks, those that fail. Source: Kubernetes API health endpoints,
/// "Individual health checks".
fn failing(text: String) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("[-]"))
        .collect();
    if lines.is_empty() {
        return text;
    }
    lines.join(", ")
}

impl Api {
    /// A client with the credentials of a kubeconfig; the server is asked on the loopback.
    ///
    /// # Errors
    /// [`ApiError::Credentials`] if they are not PEM.
    pub fn new(credentials: &Credentials) -> Result<Self, ApiError> {
        Self::at(credentials, &format!("https://{ADDRESS}"))
    }

    /// A client of the API server at `https://HOST:PORT`.
    ///
    /// # Errors
    /// [`ApiError::Credentials`] if they are not PEM.
    pub fn at(credentials: &Credentials, server: &str) -> Result<Self, ApiError> {
        let pem = |bytes: &[u8], what| {
            Certificate::from_pem(bytes).map_err(|_| ApiError::Credentials(what))
        };
        let authority = pem(&credentials.authority, "authority")?;
        let certificate = pem(&credentials.certificate, "client certificate")?;
        let key = PrivateKey::from_pem(&credentials.key)
            .map_err(|_| ApiError::Credentials("client key"))?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[authority]))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            server: server.to_owned(),
        })
    }

    /// Whether anything listens on the server's port.
    pub fn listens() -> bool {
        TcpStream::connect_timeout(&ADDRESS, Duration::from_secs(1)).is_ok()
    }

    /// Whether the server answers that it lives; if not, which of its parts does not.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn lives(&self) -> Result<(), ApiError> {
        self.get_text("/livez").map(|_| ())
    }

    /// Gets an object.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get(&self, path: &str) -> Result<Json, ApiError> {
        let text = self.get_text(path)?;
        serde_json::from_str(&text).map_err(|error| ApiError::Refused {
            method: "GET",
            path: path.to_owned(),
            status: 200,
            message: format!("not JSON: {error}"),
        })
    }

    fn get_text(&self, path: &str) -> Result<String, ApiError> {
        let answer = self.agent.get(format!("{}{path}", self.server)).call();
        Self::answer("GET", path, answer)
    }

    /// Applies an object, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn apply(&self, path: &str, yaml: &str) -> Result<(), ApiError> {
        let answer = self
            .agent
            .patch(format!(
                "{}{path}?fieldManager=lifeboat&force=true",
                self.server
            ))
            .header("Content-Type", "application/apply-patch+yaml")
            .send(yaml);
        Self::answer("PATCH", path, answer).map(|_| ())
    }

    fn answer(
        method: &'static str,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, ApiError> {
        let failed = |source| ApiError::Http {
            method,
            path: path.to_owned(),
            source: Box::new(source),
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status();
        let text = answer
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .map_err(failed)?;
        if status.is_success() {
            return Ok(text);
        }
        let message = serde_json::from_str::<Json>(&text)
            .ok()
            .and_then(|json| Some(json.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| failing(text));
        Err(ApiError::Refused {
            method,
            path: path.to_owned(),
            status: status.as_u16(),
            message: message.chars().take(500).collect(),
        })
    }
}

/// Whether a node object says that it is Ready.
pub fn node_ready(node: &Json) -> bool {
    node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a node object says that only the pod network keeps it from being Ready: the
/// kubelet's words, which it uses when all else is well.
pub fn lacks_network(node: &Json) -> bool {
    node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|condition| condition["type"] == "Ready")
        .filter_map(|condition| condition["message"].as_str())
        .any(|message| message.contains("cni plugin not initialized"))
}

/// How the names of the pods begin that every control plane by kubeadm has, if nothing is left
/// out.
pub const EXPECTED: [&str; 6] = [
    "etcd-",
    "kube-apiserver-",
    "kube-controller-manager-",
    "kube-scheduler-",
    "kube-proxy-",
    "coredns-",
];

/// The pods of a list that are not running yet, with what they wait for; none if all run and
/// none that is expected is missing. Without a `network` only the expected count: all others wait
/// for it.
pub fn waiting_pods<'a>(
    list: &Json,
    expected: impl IntoIterator<Item = &'a str>,
    network: bool,
) -> Vec<String> {
    let pods = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let expected: Vec<&str> = expected.into_iter().collect();
    let missing = expected
        .iter()
        .filter(|start| !pods.iter().any(|pod| name(pod).starts_with(**start)))
        .map(|start| format!("{start}*: not there yet"));
    let counts = |pod: &Json| network || expected.iter().any(|start| name(pod).starts_with(start));
    let waiting = pods
        .iter()
        .filter(|pod| counts(pod) && !pod_runs(pod))
        .map(why_it_waits);
    missing.chain(waiting).collect()
}

/// The pods of the system on a node that are not running yet; `None` if there are no pods of the
/// system at all.
pub fn waiting_on_node(list: &Json) -> Option<Vec<String>> {
    let pods = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let system = |pod: &&Json| {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        namespace.starts_with("kube-") && pod["status"]["phase"] != "Succeeded"
    };
    let pods: Vec<&Json> = pods.iter().filter(system).collect();
    let waiting = pods
        .iter()
        .filter(|pod| !pod_runs(pod))
        .map(|pod| why_it_waits(pod));
    (!pods.is_empty()).then(|| waiting.collect())
}

fn name(pod: &Json) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or("?")
}

fn why_it_waits(pod: &Json) -> String {
    let reason = pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
        .as_str()
        .or_else(|| pod["status"]["phase"].as_str())
        .unwrap_or("?");
    format!("{}: {reason}", name(pod))
}

fn pod_runs(pod: &Json) -> bool {
    pod["status"]["phase"] == "Running"
        && pod["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_list_of_checks_those_that_fail_are_told() {
        let list = "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n";
        assert_eq!(failing(list.to_owned()), "[-]etcd failed: reason withheld");
        assert_eq!(failing("no list".to_owned()), "no list");
    }

    #[test]
    fn readiness_is_read_from_conditions() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert!(node_ready(&ready));
        assert!(!node_ready(&json!({"status": {}})));
        let pods: Vec<_> = EXPECTED
            .iter()
            .map(|start| {
                json!({"metadata": {"name": format!("{start}a")}, "status": {"phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}]}})
            })
            .collect();
        assert!(waiting_pods(&json!({"items": pods}), EXPECTED, true).is_empty());
        let waits = json!({"metadata": {"name": "b"}, "status": {"phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}});
        let with = |more: &serde_json::Value| {
            let all: Vec<_> = pods.iter().chain([more]).cloned().collect();
            waiting_pods(&json!({"items": all}), EXPECTED, true)
        };
        assert_eq!(with(&waits), ["b: ContainerCreating"]);
        assert_eq!(
            waiting_pods(&json!({"items": pods[1..]}), EXPECTED, true),
            ["etcd-*: not there yet"]
        );
        assert_eq!(
            waiting_pods(&json!({}), EXPECTED, true).len(),
            EXPECTED.len()
        );
        assert!(
            waiting_pods(
                &json!({"items": pods[1..]}),
                EXPECTED[1..].iter().copied(),
                true
            )
            .is_empty()
        );
        let without = json!({"items": pods[..5]});
        let expected = EXPECTED[..5].iter().copied();
        assert!(waiting_pods(&without, expected.clone(), false).is_empty());
        let all = [&pods[..5], &[waits]].concat();
        let coredns = json!({"items": all});
        assert!(
            waiting_pods(&coredns, expected, false).is_empty(),
            "it waits"
        );
        let lacking = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
            "message": "container runtime network not ready: cni plugin not initialized"}]}});
        assert!(lacks_network(&lacking) && !node_ready(&lacking));
    }

    #[test]
    fn a_worker_waits_for_the_pods_of_the_system() {
        let pod = |namespace: &str, phase: &str| {
            json!({"metadata": {"namespace": namespace, "name": "p"}, "status": {"phase": phase,
                "conditions": [{"type": "Ready", "status": if phase == "Running" { "True" } else { "False" }}]}})
        };
        let waiting = |pods: &[Json]| waiting_on_node(&json!({"items": pods}));
        assert_eq!(waiting(&[]), None);
        assert_eq!(
            waiting(&[pod("default", "Pending"), pod("kube-system", "Succeeded")]),
            None
        );
        assert_eq!(waiting(&[pod("kube-system", "Running")]), Some(Vec::new()));
        assert_eq!(
            waiting(&[
                pod("kube-flannel", "Pending"),
                pod("kube-system", "Running")
            ]),
            Some(vec!["p: Pending".to_owned()])
        );
    }
}
