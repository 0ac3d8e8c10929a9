//! The state of this node, from what the boot and the provisioning left. Asks no service.

use std::{net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    boot::{Boot, Failure, Payload, source::Source, write_file},
    init::Mode,
    provision,
    report::{self, Event, State},
};

/// What `lifeboat node status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `lifeboat.node-status/1`.
    pub schema: String,
    /// The node's name.
    pub hostname: String,
    /// The address by which others reach it.
    pub address: Option<IpAddr>,
    /// What this boot is for: `disk`, `live`, `install` or `rescue`.
    #[serde(default)]
    pub mode: Mode,
    /// One word: `starting`, `provisioning`, `ready`, `running` (all pods as well), `failed`,
    /// `idle` without a payload, or `rescue`.
    pub state: String,
    /// The payload that is mounted.
    pub payload: Option<Payload>,
    /// Where the configuration came from.
    pub sources: Vec<Source>,
    /// What failed in this boot.
    pub failures: Vec<Failure>,
    /// The last event of each step, in the order of their first.
    pub steps: Vec<Event>,
}

/// Reads the state of this node.
pub fn read() -> Status {
    let boot = Boot::read().unwrap_or_default();
    from(
        boot,
        &report::read_log(Path::new(report::LOG)),
        provision::address(),
    )
}

/// Phases in which the configuration is applied: a node with a fault in it may be ready.
const CONFIGURATION: [&str; 3] = ["initrd", "boot", "runtime"];

fn from(boot: Boot, events: &[Event], address: Option<IpAddr>) -> Status {
    let mut steps: Vec<Event> = Vec::new();
    for event in events {
        match steps
            .iter_mut()
            .find(|step| step.phase == event.phase && step.step == event.step)
        {
            Some(step) => *step = event.clone(),
            None => steps.push(event.clone()),
        }
    }
    let mut failures = boot.failures;
    // What failed before systemd and went well later is no failure any more.
    let failing = |step: &&Event| {
        step.state == State::Failed
            && !(CONFIGURATION.contains(&&*step.phase)
                && steps.iter().any(|later| {
                    later.step == step.step && later.at > step.at && later.state == State::Done
                }))
    };
    for step in steps.iter().filter(failing) {
        if !failures.iter().any(|failure| failure.step == step.step) {
            failures.push(Failure {
                step: step.step.clone(),
                reason: step.message.clone(),
            });
        }
    }
    let done = |phase: &str, name: &str| {
        steps
            .iter()
            .any(|step| step.phase == phase && step.step == name && step.state == State::Done)
    };
    let failed = steps
        .iter()
        .any(|step| !CONFIGURATION.contains(&&*step.phase) && step.state == State::Failed);
    // A boot may go on after the shell.
    let state = if boot.mode == Mode::Rescue && !done("userspace", "services") {
        "rescue"
    } else if done("ready", "pods") {
        "running"
    } else if done("ready", "node") {
        "ready"
    } else if failed {
        "failed"
    } else if boot.payload.is_none() {
        "idle"
    } else if done("userspace", "services") {
        "provisioning"
    } else {
        "starting"
    };
    Status {
        schema: "lifeboat.node-status/1".to_owned(),
        hostname: boot.hostname,
        address,
        mode: boot.mode,
        state: state.to_owned(),
        payload: boot.payload,
        sources: boot.sources,
        failures,
        steps,
    }
}

/// Writes the state to where it survives the machine: `/var/lib/lifeboat/status.json`.
pub(crate) fn save(status: &Status) {
    if let Ok(text) = serde_json::to_string_pretty(status) {
        // It is a convenience: what matters is read from the events.
        let _ = write_file(
            &Path::new(crate::boot::identity::STATE).join("status.json"),
            text.as_bytes(),
            0o644,
        );
    }
}

/// The lines that a console shows.
pub(crate) fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}",
        status.hostname,
        status.address.map_or_else(
            || "no address yet".to_owned(),
            |address| address.to_string()
        ),
        status.state,
    )];
    match status.mode {
        Mode::Disk | Mode::Rescue => {}
        mode => lines.push(format!("  {mode}: all that is kept is in memory")),
    }
    match &status.payload {
        Some(payload) => lines.push(format!(
            "  Kubernetes {} ({}, {})",
            payload.kubernetes,
            payload.runtime.name(),
            payload.cni.name()
        )),
        None => lines.push("  no Kubernetes payload".to_owned()),
    }
    for failure in &status.failures {
        lines.push(format!("  failed: {}: {}", failure.step, failure.reason));
    }
    if status.state == "failed" {
        lines.push("  more: lifeboat node status; journalctl -b; /run/lifeboat/log".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(phase: &str, step: &str, state: State) -> Event {
        Event {
            at: 1.0,
            ..Event::new(phase, step, state, "m")
        }
    }

    #[test]
    fn the_last_event_of_a_step_counts() {
        let mut events = vec![
            event("userspace", "services", State::Done),
            event("kubeadm", "files", State::Failed),
        ];
        let boot = || Boot {
            hostname: "n1".to_owned(),
            payload: Some(crate::boot::Payload {
                name: "p".to_owned(),
                kubernetes: "1.36.3".to_owned(),
                runtime: lifeboat_config::Runtime::Containerd,
                cni: lifeboat_config::Cni::Flannel,
                pause_image: String::new(),
                flannel_image: None,
                images: Vec::new(),
            }),
            ..Boot::default()
        };
        let status = from(boot(), &events, None);
        assert_eq!(status.state, "failed");
        assert_eq!(status.failures[0].step, "files");
        events.push(event("kubeadm", "files", State::Done));
        assert_eq!(from(boot(), &events, None).state, "provisioning");
        events.push(event("ready", "node", State::Done));
        let status = from(boot(), &events, Some([10, 0, 2, 15].into()));
        assert_eq!(
            lines(&status),
            [
                "n1  10.0.2.15  ready",
                "  Kubernetes 1.36.3 (containerd, flannel)"
            ]
        );
        assert_eq!(from(Boot::default(), &[], None).state, "idle");
        let live = Boot {
            mode: Mode::Live,
            ..boot()
        };
        let lines = lines(&from(live, &events, None));
        assert_eq!(lines[1], "  live: all that is kept is in memory");
        let rescue = Boot {
            mode: Mode::Rescue,
            ..boot()
        };
        assert_eq!(from(rescue.clone(), &[], None).state, "rescue");
        assert_eq!(from(rescue, &events, None).state, "ready");
    }
}
