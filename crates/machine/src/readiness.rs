//! What the API says about a node and its system pods, as a pure judgement.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which system pods a whole node runs: per namespace, the beginnings of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Namespace and beginning of the name.
    pub pods: Vec<(String, String)>,
    /// Whether the machine brings its own pod network. Without one a node that lacks nothing
    /// but the network is whole, and so is a cluster whose expected pods run.
    #[serde(default = "yes")]
    pub network: bool,
}

fn yes() -> bool {
    true
}

impl Default for Expected {
    /// What kubeadm runs on a control plane.
    fn default() -> Self {
        let names = [
            "etcd-",
            "kube-apiserver-",
            "kube-controller-manager-",
            "kube-scheduler-",
            "kube-proxy-",
            "coredns-",
        ];
        Self {
            pods: names
                .map(|name| ("kube-system".to_owned(), name.to_owned()))
                .to_vec(),
            network: true,
        }
    }
}

impl Expected {
    /// Adds a pod by namespace and beginning of its name.
    #[must_use]
    pub fn with(mut self, namespace: &str, name: &str) -> Self {
        self.pods.push((namespace.to_owned(), name.to_owned()));
        self
    }

    /// What runs on a control plane whose pod network is still to be brought: all that uses the
    /// node's own.
    pub fn without_network() -> Self {
        let mut expected = Self::default();
        expected.pods.retain(|(_, name)| name != "coredns-");
        expected.network = false;
        expected
    }

    fn is_system(&self, namespace: &str, name: &str) -> bool {
        self.pods.iter().any(|(expected, start)| {
            expected == namespace && (self.network || name.starts_with(start))
        })
    }
}

/// How far nodes or pods are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether there are nodes, and all are Ready.
    pub nodes: bool,
    /// Whether all expected pods are there, and all system pods run and are ready.
    pub pods: bool,
    /// Ready and all system pods.
    pub pods_ready: (usize, usize),
    /// What is not, each with its reason.
    pub lacks: Vec<String>,
}

/// Judges the lists of nodes and of pods (`None` if they were not asked). What was written
/// before `since` (RFC 3339) does not count: after a restart the API serves the old state until
/// the kubelet reports.
pub fn judge(nodes: &Value, pods: Option<&Value>, expected: &Expected, since: &str) -> Readiness {
    let mut lacks = Vec::new();
    let nodes = items(nodes);
    if nodes.is_empty() {
        lacks.push("no node is registered yet".to_owned());
    }
    lacks.extend(
        nodes
            .iter()
            .filter_map(|node| node_lack(node, expected.network, since)),
    );
    let nodes_ready = lacks.is_empty();
    let mut ready = 0;
    let mut all = 0;
    let mut pod_lacks = Vec::new();
    if let Some(pods) = pods {
        let pods = items(pods);
        let system = pods.iter().filter(|pod| {
            let namespace = text(pod, "/metadata/namespace");
            let name = text(pod, "/metadata/name");
            expected.is_system(namespace, name) && text(pod, "/status/phase") != "Succeeded"
        });
        for pod in system {
            all += 1;
            match pod_lack(pod, since) {
                None => ready += 1,
                Some(lack) => pod_lacks.push(lack),
            }
        }
        for (namespace, name) in &expected.pods {
            let there = pods.iter().any(|pod| {
                text(pod, "/metadata/namespace") == namespace
                    && text(pod, "/metadata/name").starts_with(name)
            });
            if !there {
                let name = name.trim_end_matches('-');
                pod_lacks.push(format!("pod {namespace}/{name} is not made yet"));
            }
        }
    }
    let pods_ready = pods.is_some() && pod_lacks.is_empty();
    lacks.extend(pod_lacks);
    Readiness {
        nodes: nodes_ready,
        pods: pods_ready,
        pods_ready: (ready, all),
        lacks,
    }
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Reason and message of something that waits, as far as it gives them.
fn told(value: &Value) -> String {
    let (reason, message) = (text(value, "/reason"), text(value, "/message"));
    match (reason, message) {
        ("", "") => String::new(),
        (reason, "") => format!(": {reason}"),
        ("", message) => format!(": {message}"),
        (reason, message) => format!(": {reason}: {message}"),
    }
}

fn node_lack(node: &Value, network: bool, since: &str) -> Option<String> {
    let name = text(node, "/metadata/name");
    let Some(ready) = condition(node, "Ready") else {
        return Some(format!("node {name} has not reported yet"));
    };
    if text(ready, "/lastHeartbeatTime") < since {
        return Some(format!(
            "node {name} has not reported since the machine started"
        ));
    }
    // The kubelet's words, which name the network only when all else is well.
    if !network && text(ready, "/message").contains("cni plugin not initialized") {
        return None;
    }
    (ready["status"] != "True").then(|| format!("node {name} is not Ready{}", told(ready)))
}

fn pod_lack(pod: &Value, since: &str) -> Option<String> {
    let name = format!(
        "{}/{}",
        text(pod, "/metadata/namespace"),
        text(pod, "/metadata/name")
    );
    let containers = |field: &str| {
        let list = pod.pointer(&format!("/status/{field}"));
        list.and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    for container in containers("initContainerStatuses") {
        let failed = container
            .pointer("/state/terminated/exitCode")
            .and_then(Value::as_i64);
        if failed.is_some_and(|code| code != 0) {
            let state = &container["state"]["terminated"];
            return Some(format!(
                "pod {name}: its initialisation failed{}",
                told(state)
            ));
        }
    }
    for container in containers("containerStatuses") {
        let state = &container["state"];
        for kind in ["waiting", "terminated"] {
            if let Some(state) = state.get(kind) {
                return Some(format!("pod {name} is {kind}{}", told(state)));
            }
        }
        if text(state, "/running/startedAt") < since {
            return Some(format!("pod {name} has not run since the machine started"));
        }
    }
    match condition(pod, "Ready") {
        Some(ready) if ready["status"] == "True" => None,
        Some(ready) => Some(match condition(pod, "PodScheduled") {
            Some(scheduled) if scheduled["status"] != "True" => {
                format!("pod {name} has no node{}", told(scheduled))
            }
            _ => format!("pod {name} is not ready{}", told(ready)),
        }),
        None => Some(format!(
            "pod {name} is {}",
            text(pod, "/status/phase").to_lowercase()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SINCE: &str = "2026-01-01T10:00:00Z";

    fn node(status: &str, heartbeat: &str) -> Value {
        json!({"items": [{"metadata": {"name": "n1"}, "status": {"conditions": [
            {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat,
             "reason": "KubeletNotReady", "message": "cni plugin not initialized"}]}}]})
    }

    fn pod(name: &str, state: &Value, ready: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "name": name},
            "status": {"phase": "Running", "containerStatuses": [{"state": state}],
                "conditions": [{"type": "Ready", "status": ready, "reason": "ContainersNotReady"}]}})
    }

    #[test]
    fn a_node_is_ready_only_by_a_report_of_this_start() {
        let expected = Expected::default();
        let fresh = judge(
            &node("True", "2026-01-01T10:01:00Z"),
            None,
            &expected,
            SINCE,
        );
        assert!(fresh.nodes && !fresh.pods);
        let stale = judge(
            &node("True", "2026-01-01T09:59:00Z"),
            None,
            &expected,
            SINCE,
        );
        assert_eq!(
            stale.lacks,
            ["node n1 has not reported since the machine started"]
        );
        let not = judge(
            &node("False", "2026-01-01T10:01:00Z"),
            None,
            &expected,
            SINCE,
        );
        assert_eq!(
            not.lacks,
            ["node n1 is not Ready: KubeletNotReady: cni plugin not initialized"]
        );
        let without = Expected::without_network();
        let lacking = node("False", "2026-01-01T10:01:00Z");
        assert!(judge(&lacking, None, &without, SINCE).nodes);
        assert!(!without.pods.iter().any(|(_, name)| name == "coredns-"));
        let coredns = pod("coredns-1", &json!({"waiting": {}}), "False");
        let judged = judge(
            &lacking,
            Some(&json!({"items": [coredns]})),
            &without,
            SINCE,
        );
        assert_eq!(judged.pods_ready, (0, 0), "coredns waits for the network");
        assert_eq!(judged.lacks.len(), without.pods.len());
        assert!(!judge(&json!({"items": []}), None, &expected, SINCE).nodes);
    }

    #[test]
    fn pods_are_whole_when_all_expected_ones_run() {
        let expected = Expected {
            pods: vec![("kube-system".into(), "coredns-".into())],
            network: true,
        };
        let nodes = node("True", "2026-01-01T10:01:00Z");
        let running = json!({"running": {"startedAt": "2026-01-01T10:01:00Z"}});
        let old = json!({"running": {"startedAt": "2026-01-01T09:01:00Z"}});
        let waiting =
            json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        let cases = [
            (vec![], vec!["pod kube-system/coredns is not made yet"]),
            (vec![pod("coredns-1", &running, "True")], vec![]),
            (
                vec![
                    pod("coredns-1", &running, "True"),
                    pod("other", &waiting, "False"),
                ],
                vec!["pod kube-system/other is waiting: ImagePullBackOff: no such image"],
            ),
            (
                vec![pod("coredns-1", &running, "False")],
                vec!["pod kube-system/coredns-1 is not ready: ContainersNotReady"],
            ),
            (
                vec![pod("coredns-1", &old, "True")],
                vec!["pod kube-system/coredns-1 has not run since the machine started"],
            ),
        ];
        for (pods, lacks) in cases {
            let judged = judge(&nodes, Some(&json!({"items": pods})), &expected, SINCE);
            assert_eq!(judged.lacks, lacks);
            assert_eq!(judged.pods, lacks.is_empty());
        }
    }
}
