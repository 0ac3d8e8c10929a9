//! The settings of k3s as those of kubeadm: what of a k3OS node's `server_url`, `token`,
//! `k3s_args`, `labels`, `taints` and `environment` becomes of it, and what does not carry over.
//!
//! ```
//! use lifeboat_config::k3s::{Action, Input, plan};
//!
//! let plan = plan(&Input {
//!     server_url: Some("https://first:6443"),
//!     token: Some("a long secret of the cluster"),
//!     k3s_args: &["agent", "--node-label=disk=ssd", "--docker"],
//!     ..Input::default()
//! });
//! assert!(matches!(&plan.action, Action::Join(join) if join.endpoint == "first:6443"));
//! assert_eq!(plan.labels["disk"], "ssd");
//! assert_eq!(plan.notes[0].code, "k3s-flag-no-equivalent");
//! ```

mod apply;
mod args;
mod component;
mod flags;
mod node;
mod page;
mod plan;
mod table;
#[cfg(test)]
mod tests;
pub mod token;

pub(crate) use apply::ipv4_network;
pub use args::{Args, Given, parse as parse_args};
pub use flags::{Flag, Role, Roles, Takes, Verdict, flag, flag_of_variable, flags};
pub use node::of_node;
pub use page::page;
pub use plan::{Action, Addon, Argument, ClusterPlan, ExternalEtcd, Input, Join, Plan, plan};

/// Something of a configuration that does not carry over, or not as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The key below `node`: `k3s_args[2]`, `environment.K3S_URL`, `token`.
    pub path: String,
    /// The kind, stable over versions:
    /// `k3s-flag-not-needed`, `k3s-flag-no-equivalent`, `k3s-flag-unknown`, `k3s-flag-value`,
    /// `k3s-flag-role`, `k3s-argument`, `k3s-variable-unknown`, `k3s-server-url`, `k3s-token`,
    /// `k3s-token-authority`, `k3s-token-short`, `k3s-taint`, `k3s-label`,
    /// `join-trust`, `kubeadm-fields`.
    pub code: &'static str,
    /// What is so and why. Never a secret.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Note {
    pub(crate) fn new(
        path: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self {
            path: path.into(),
            code,
            message: message.into(),
            hint,
        }
    }

    /// Whether nothing is lost by it: a word to the user, and no fault of the configuration.
    pub fn is_harmless(&self) -> bool {
        matches!(self.code, "k3s-flag-not-needed")
    }
}
