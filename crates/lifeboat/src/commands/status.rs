//! `lifeboat status`

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::Result;
use lifeboat_machine::{Acceleration, Folder, Forward, Hardware, MachineName, Readiness};
use serde::Serialize;

use crate::{cli::NameArg, context::Context, exit::Exit};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    name: MachineName,
    state: &'static str,
    step: Option<Step>,
    image: String,
    kubernetes: String,
    created: String,
    hardware: Hardware,
    acceleration: Option<Acceleration>,
    since: Option<String>,
    ports: Vec<Forward>,
    kubeconfig: Option<PathBuf>,
    folder: PathBuf,
    cluster: Option<Readiness>,
    silence: Option<String>,
    seconds: BTreeMap<String, f64>,
}

/// The last that the node reported.
#[derive(Serialize)]
struct Step {
    step: String,
    message: String,
}

/// `stopped`, `starting`, or `ready` once this start was seen to be; the API says more.
pub fn state(folder: &Folder) -> Result<&'static str> {
    Ok(match folder.running()? {
        None => "stopped",
        Some(run) if run.ready => "ready",
        Some(_) => "starting",
    })
}

pub fn run(arguments: &NameArg, context: &Context) -> Result<Exit> {
    let folder = context.machine(&arguments.name)?;
    let record = folder.record()?;
    let run = folder.running()?;
    let answer = match &run {
        Some(_) => folder.ask_kubernetes(Duration::from_secs(10)),
        None => None,
    };
    let state = match (&answer, state(&folder)?) {
        (Some(Ok(cluster)), _) if cluster.nodes && cluster.pods => "ready",
        (Some(_), "ready") => "degraded",
        (_, other) => other,
    };
    let (cluster, silence) = match answer {
        Some(Ok(cluster)) => (Some(cluster), None),
        Some(Err(silence)) => (None, Some(silence)),
        None => (None, None),
    };
    let kubeconfig = Some(folder.file("kubeconfig")).filter(|path| path.is_file());
    let facts = Facts {
        schema: "lifeboat.status/1",
        state,
        step: folder
            .last_step()
            .map(|(step, message)| Step { step, message }),
        acceleration: run.as_ref().map(|run| run.acceleration),
        ports: if run.is_some() {
            record.ports
        } else {
            Vec::new()
        },
        since: run.map(|run| run.since),
        name: record.name,
        image: record.image,
        kubernetes: record.kubernetes,
        created: record.created,
        hardware: record.hardware,
        kubeconfig,
        folder: folder.path().to_owned(),
        cluster,
        silence,
        seconds: record.seconds,
    };
    context.printer.facts(&facts, describe)?;
    Ok(Exit::Done)
}

fn describe(facts: &Facts) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<12} {value}");
    };
    line("machine", facts.name.to_string());
    line("state", facts.state.to_owned());
    if let Some(step) = facts.step.as_ref().filter(|_| facts.state != "ready") {
        line("step", format!("{} {}", step.step, step.message));
    }
    if let (Some(since), Some(acceleration)) = (&facts.since, facts.acceleration) {
        line("running", format!("since {since}, {acceleration}"));
    }
    line("kubernetes", facts.kubernetes.clone());
    line("image", facts.image.clone());
    let Hardware {
        cpus,
        memory_mib,
        disk_mib,
    } = facts.hardware;
    line(
        "hardware",
        format!("{cpus} processors, {memory_mib} MiB memory, {disk_mib} MiB disk"),
    );
    for port in &facts.ports {
        line(
            "port",
            format!("127.0.0.1:{} -> {} ({})", port.host, port.guest, port.name),
        );
    }
    if let Some(kubeconfig) = &facts.kubeconfig {
        line("kubeconfig", kubeconfig.display().to_string());
    }
    if let Some(cluster) = &facts.cluster {
        let (ready, all) = cluster.pods_ready;
        line("pods", format!("{ready} of {all} system pods run"));
        for lack in &cluster.lacks {
            line("lack", lack.clone());
        }
    }
    if let Some(silence) = &facts.silence {
        line("lack", silence.clone());
    }
    text
}
