//! What a node that comes up waits for, and what it keeps of it.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use fs_err as fs;

use super::{
    API, ProvisionError,
    api::{self, Api},
    plan, wait,
};
use crate::{
    boot::write_file,
    report::{self, State},
};

/// Waits until the node is Ready, unless something `failed` meanwhile.
pub(super) fn wait_for_node(
    api: &Api,
    node: &str,
    network: bool,
    failed: &AtomicBool,
) -> Result<(), ProvisionError> {
    let path = format!("/api/v1/nodes/{node}");
    let ready = wait(API, Duration::from_secs(1), || {
        if failed.load(Ordering::Relaxed) {
            return Some(false);
        }
        let node = api.get(&path).ok()?;
        (api::node_ready(&node) || (!network && api::lacks_network(&node))).then_some(true)
    });
    match ready {
        Some(true) if network => report::step("ready", "node", State::Done, ""),
        Some(true) => {
            let message = "but for the pod network, which is to be brought";
            report::step("ready", "node", State::Done, message);
        }
        // Who failed says why.
        Some(false) => {}
        None => {
            return Err(ProvisionError::Files(format!(
                "the node is not Ready after {} s; see `journalctl -u kubelet`",
                API.as_secs()
            )));
        }
    }
    Ok(())
}

/// Reports the pods of kube-system running. The service goes on for as long as it takes.
pub(super) fn wait_for_pods(api: &Api, network: bool) -> Result<(), ProvisionError> {
    // As the cluster was made; before there was a choice, with all of them.
    let kept = fs::read_to_string(Path::new(plan::MARKS).join("pods"));
    let expected = kept.unwrap_or_else(|_| api::EXPECTED.join("\n"));
    let mut waiting = Vec::new();
    wait(API, Duration::from_secs(2), || {
        match api.get("/api/v1/namespaces/kube-system/pods") {
            Ok(list) => waiting = api::waiting_pods(&list, expected.lines(), network),
            Err(error) => waiting = vec![error.to_string()],
        }
        waiting.is_empty().then_some(())
    })
    .ok_or_else(|| {
        ProvisionError::Files(format!(
            "pods of kube-system do not run after {} s: {}",
            API.as_secs(),
            waiting.join(", ")
        ))
    })?;
    report::step("ready", "pods", State::Done, "");
    Ok(())
}

/// Keeps what flanneld wrote for the next boot.
pub(super) fn keep_subnet() {
    let text = fs::read_to_string("/run/flannel/subnet.env").unwrap_or_default();
    let subnet = text
        .lines()
        .find_map(|line| line.strip_prefix("FLANNEL_SUBNET="));
    if let Some(subnet) = subnet {
        // Without it the next boot waits for flanneld.
        let _ = write_file(
            &Path::new(plan::MARKS).join("subnet"),
            subnet.as_bytes(),
            0o644,
        );
    }
}
