//! What provisioning has to do, from what an earlier boot left.

use std::path::Path;

use lifeboat_config::k3s::{Action, Join};
use serde::{Deserialize, Serialize};

/// How far an earlier boot came; each is true only once the step before it is whole on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Certificates, kubeconfigs, manifests and the kubelet's configuration are made.
    pub files: Mark,
    /// The cluster has its configuration and add-ons.
    pub cluster: Mark,
    /// The node joined a cluster.
    pub joined: Mark,
    /// Something of a cluster is there: files that Lifeboat or a person made.
    pub leftovers: Mark,
}

/// Whether something was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// No.
    #[default]
    Missing,
    /// Yes.
    There,
}

impl Mark {
    fn of(path: impl AsRef<Path>) -> Self {
        if path.as_ref().exists() {
            Self::There
        } else {
            Self::Missing
        }
    }
}

/// A step of provisioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Remove what an interrupted attempt left.
    Clean,
    /// kubeadm's phases that make files.
    Files,
    /// kubeadm's phases that need the API, and the add-ons.
    Cluster,
}

/// Where the marks are.
pub const MARKS: &str = "/var/lib/lifeboat/provision";

impl Progress {
    /// Reads the marks below `root`.
    pub fn read(root: &Path) -> Self {
        let marks = root.join(MARKS.trim_start_matches('/'));
        let leftovers = LEFTOVERS
            .iter()
            .any(|path| root.join(path.trim_start_matches('/')).exists());
        Self {
            files: Mark::of(marks.join("files")),
            cluster: Mark::of(marks.join("cluster")),
            joined: Mark::of(marks.join("joined")),
            leftovers: if leftovers {
                Mark::There
            } else {
                Mark::Missing
            },
        }
    }
}

/// What the phases that make files write; removed before they are run again.
pub const LEFTOVERS: [&str; 12] = [
    "/etc/kubernetes/pki",
    MANIFESTS,
    WAITING,
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/var/lib/etcd",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/pki",
];

/// Static pods that wait until the API server listens: without it they do nothing but try.
pub const HELD_BACK: [&str; 2] = ["kube-controller-manager.yaml", "kube-scheduler.yaml"];
/// Where kubeadm puts the manifests of static pods.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where those of [`HELD_BACK`] wait.
pub const WAITING: &str = "/etc/kubernetes/manifests-held-back";

/// The steps that are left. Files whose making was interrupted are made anew: nothing has run
/// from them, as the kubelet starts after them. A cluster step is simply done again: each of
/// its parts leaves what is there.
pub fn plan(progress: Progress) -> Vec<Step> {
    match progress {
        Progress {
            files: Mark::There,
            cluster: Mark::There,
            ..
        } => Vec::new(),
        Progress {
            files: Mark::There, ..
        } => vec![Step::Cluster],
        Progress {
            leftovers: Mark::There,
            ..
        } => vec![Step::Clean, Step::Files, Step::Cluster],
        Progress { .. } => vec![Step::Files, Step::Cluster],
    }
}

/// What a node is, or is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The control plane of a cluster of its own.
    ControlPlane,
    /// A worker that has joined.
    Worker,
    /// A worker that is to join.
    Join(Join),
    /// Nothing: why.
    Refused(String),
}

/// What a node does, by its configuration and what it did. It stays what it once became: what
/// runs on it would be lost otherwise.
pub fn task(action: &Action, progress: Progress) -> Task {
    match (progress, action) {
        (
            Progress {
                joined: Mark::There,
                ..
            },
            _,
        ) => Task::Worker,
        (
            Progress {
                files: Mark::There, ..
            },
            _,
        )
        | (_, Action::Init { .. }) => Task::ControlPlane,
        (_, Action::Join(how)) => Task::Join(how.clone()),
        (_, Action::Refuse(why)) => Task::Refused(why.clone()),
    }
}

/// Why a control plane does not do what its configuration says, if it does not.
pub fn stays(action: &Action) -> Option<String> {
    let wanted = match action {
        Action::Init { .. } => return None,
        Action::Join(how) => format!("it joins {}", how.endpoint),
        Action::Refuse(why) => why.clone(),
    };
    Some(format!(
        "this node is the control plane of a cluster of its own and stays it, although by its configuration {wanted}; for a new beginning remove {MARKS} and restart it: its cluster is lost then"
    ))
}

/// Phases of `kubeadm init` that the first call leaves out. `preflight` checks what the image
/// guarantees and costs three seconds under emulation; the rest needs the API.
pub const NOT_FILES: &str = "preflight,wait-control-plane,upload-config,upload-certs,\
     mark-control-plane,bootstrap-token,kubelet-finalize,addon,show-join-command";

/// Phases of `kubeadm init` that the second call leaves out: those of the first; waiting, which
/// is done before; certificates for other control planes and the join command, which are made
/// when they are asked for, as they expire; and `kubelet-finalize`, whose only effect was had
/// before the kubelet's first start and which would start it a second time.
pub const NOT_CLUSTER: &str = "preflight,certs,kubeconfig,etcd,control-plane,kubelet-start,\
     wait-control-plane,upload-certs,kubelet-finalize,show-join-command";

#[cfg(test)]
mod tests {
    use lifeboat_config::k3s::{self, Input};

    use super::{
        Mark::{Missing, There},
        *,
    };

    #[test]
    fn each_state_has_its_plan() {
        let at = |files, cluster, leftovers| {
            plan(Progress {
                files,
                cluster,
                leftovers,
                ..Progress::default()
            })
        };
        assert_eq!(at(Missing, Missing, Missing), [Step::Files, Step::Cluster]);
        assert_eq!(
            at(Missing, Missing, There),
            [Step::Clean, Step::Files, Step::Cluster]
        );
        assert_eq!(at(There, Missing, There), [Step::Cluster]);
        assert!(at(There, There, There).is_empty());
        // A mark without the one before it is not believed.
        assert_eq!(
            at(Missing, There, There),
            [Step::Clean, Step::Files, Step::Cluster]
        );
    }

    #[test]
    fn a_node_stays_what_it_became() {
        let action = |server_url: Option<&str>, k3s_args: &[&str]| {
            let input = Input {
                server_url,
                token: Some("a secret of some length"),
                k3s_args,
                ..Input::default()
            };
            k3s::plan(&input).action
        };
        let (init, join) = (action(None, &[]), action(Some("https://a:1"), &[]));
        let refuse = action(Some("https://a:1"), &["server"]);
        let none = Progress::default();
        let files = Progress {
            files: There,
            ..none
        };
        let joined = Progress {
            joined: There,
            ..none
        };
        assert_eq!(task(&init, none), Task::ControlPlane);
        assert!(matches!(task(&join, none), Task::Join(how) if how.endpoint == "a:1"));
        assert!(matches!(task(&refuse, none), Task::Refused(_)));
        for action in [&init, &join, &refuse] {
            assert_eq!(task(action, files), Task::ControlPlane);
            assert_eq!(task(action, joined), Task::Worker);
        }
        assert_eq!(stays(&init), None);
        assert!(stays(&join).is_some_and(|why| why.contains("a:1") && !why.contains("secret")));
    }

    #[test]
    fn every_phase_is_run_once_or_left_out_for_good() {
        let phases = [
            "preflight",
            "certs",
            "kubeconfig",
            "etcd",
            "control-plane",
            "kubelet-start",
            "wait-control-plane",
            "upload-config",
            "upload-certs",
            "mark-control-plane",
            "bootstrap-token",
            "kubelet-finalize",
            "addon",
            "show-join-command",
        ];
        let left_out = [
            "preflight",
            "wait-control-plane",
            "upload-certs",
            "kubelet-finalize",
            "show-join-command",
        ];
        let skips = |list: &str, phase: &str| list.split(',').any(|skipped| skipped == phase);
        for phase in phases {
            let runs = [NOT_FILES, NOT_CLUSTER]
                .iter()
                .filter(|list| !skips(list, phase))
                .count();
            assert_eq!(runs, usize::from(!left_out.contains(&phase)), "{phase}");
        }
    }
}
