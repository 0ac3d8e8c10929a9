//! Times of a machine from power-on, and its memory. In emulation, so that machines with and
//! without KVM can be compared.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    command::{Place, Run},
    report::Report,
};

/// Rows that are measured here.
pub const IDS: &[&str] = &["boot-ready", "boot-pods", "memory"];
/// The name of the machine.
const NAME: &str = "bench";
/// Phases from power-on to a node that is Ready, by either way of booting.
const TO_READY: [&str; 5] = ["firmware", "kernel", "userspace", "kubeadm", "ready"];

/// A machine that ends with its measurement.
struct Machine(Place);

impl Drop for Machine {
    fn drop(&mut self) {
        // The folder with its state goes away in any case.
        let _ = self.0.output(&["--quiet", "down", NAME]);
    }
}

/// Boots a machine by its kernel, for the rows, and one by firmware, for comparison.
pub fn measure(report: &mut Report) -> Result<()> {
    for (kind, suffix) in [("kernel", ""), ("firmware", "-firmware")] {
        let machine = Machine(Place::new("")?);
        let place = &machine.0;
        place.run(&["build"])?;
        let run = place.run(&[
            "up",
            "--name",
            NAME,
            "--acceleration",
            "tcg",
            "--boot",
            kind,
        ])?;
        let ready: f64 = TO_READY.iter().map(|phase| seconds(&run, phase)).sum();
        let pods = ready + seconds(&run, "pods");
        let more = json!({
            "cpu_seconds": [run.cpu],
            "phases": [run.document["seconds"]],
            "acceleration": run.document["acceleration"],
            "boot": kind,
        });
        let memory = memory_in_use(place)?;
        report.add(&format!("boot-ready{suffix}"), &[ready], &more)?;
        report.add(&format!("boot-pods{suffix}"), &[pods], &more)?;
        if suffix.is_empty() {
            report.add("memory", &[memory], &json!({"boot": kind}))?;
        }
    }
    Ok(())
}

/// A phase that this way of booting has not takes no time.
fn seconds(run: &Run, phase: &str) -> f64 {
    run.document["seconds"][phase].as_f64().unwrap_or(0.0)
}

/// MiB of the node that are not available to programs.
fn memory_in_use(place: &Place) -> Result<f64> {
    let text = place.output(&["ssh", NAME, "--", "cat", "/proc/meminfo"])?;
    let kib = |name: &str| -> Result<f64> {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(value.with_context(|| format!("no {name}"))?.parse()?)
    };
    Ok((kib("MemTotal:")? - kib("MemAvailable:")?) / 1024.0)
}
