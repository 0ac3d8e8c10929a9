//! `machine`: the virtual machine that `lifeboat up` makes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{Boot, PortForward, Size};

/// The virtual machine that `lifeboat up` makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MachineConfig {
    /// Virtual processors; kubeadm wants two.
    #[schemars(range(min = 2, max = 256))]
    pub cpus: u32,
    /// Memory, such as 4GiB; a bare number counts MiB. At least 1700MiB, as kubeadm wants.
    pub memory: Size,
    /// The disk as the machine sees it; it takes space here only as it fills.
    pub disk: Size,
    /// Forwarded TCP ports besides those of SSH, Kubernetes and the bundles.
    pub ports: Vec<PortForward>,
    /// How the machine starts: through firmware as on metal, or by QEMU loading the kernel.
    pub boot: Boot,
}

impl Default for MachineConfig {
    fn default() -> Self {
        Self {
            cpus: 2,
            memory: Size::gib(4),
            disk: Size::gib(20),
            ports: Vec::new(),
            boot: Boot::default(),
        }
    }
}
