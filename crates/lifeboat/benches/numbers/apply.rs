//! What a boot takes to apply a configuration.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use lifeboat_config::{Cni, Runtime, parse_node, render::Facts};
use serde_json::{Value as Json, json};

use crate::report::Report;

/// Rows that are measured here.
pub const IDS: &[&str] = &["apply-boot"];
const RUNS: usize = 15;

/// Applies a configuration with something for every key, and a hundred files, to an empty root.
pub fn measure(report: &mut Report) -> Result<()> {
    let text = configuration();
    let config = parse_node("full.json", text.as_bytes()).map_err(anyhow::Error::from)?;
    let facts = Facts::new("1.36.3", Runtime::Containerd, Cni::Flannel, "node1");
    let mut seconds = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..RUNS {
        let root = tempfile::tempdir()?;
        prepare(&root)?;
        let start = Instant::now();
        let done = lifeboat_node::rehearse(root.path(), "node1", &config, Some(&facts))?;
        seconds.push(start.elapsed().as_secs_f64());
        ensure!(
            fs::read_to_string(root.path().join("opt/files/99"))? == "content 99\n",
            "the configuration was not applied"
        );
        steps = done
            .iter()
            .map(|step| json!({"step": step.step, "seconds": step.seconds, "failures": step.failures}))
            .collect::<Vec<Json>>();
    }
    report.add(IDS[0], &seconds, &json!({ "steps": steps }))?;
    Ok(())
}

fn prepare(root: &tempfile::TempDir) -> Result<()> {
    let put = |path: &str, text: &str| -> Result<()> {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().context("it is in a folder")?)?;
        Ok(fs::write(path, text)?)
    };
    put("etc/passwd", "root:x:0:0::/root:/bin/sh\n")?;
    put("etc/group", "root:x:0:\n")?;
    put("etc/shadow", "root:*:1::::::\n")?;
    for name in ["kernel/printk", "net/ipv4/ip_forward"] {
        put(&format!("proc/sys/{name}"), "0\n")?;
    }
    Ok(())
}

fn configuration() -> String {
    let files: Vec<Json> = (0..100)
        .map(|number| {
            json!({
                "path": format!("/opt/files/{number}"),
                "content": format!("content {number}\n"),
                "permissions": "0600",
            })
        })
        .collect();
    let environment: serde_json::Map<String, Json> = (0..50)
        .map(|number| {
            (
                format!("VARIABLE_{number}"),
                json!(format!("value {number}")),
            )
        })
        .collect();
    json!({
        "hostname": "node1",
        "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"],
        // In clear text, so that it has to be hashed.
        "password": "correct horse",
        "write_files": files,
        "modules": ["bonding mode=4"],
        "sysctls": {"kernel.printk": "4 4 1 7"},
        "dns_nameservers": ["192.0.2.1"],
        "ntp_servers": ["ntp.example.org"],
        "environment": environment,
        "labels": {"a": "b"},
        "taints": ["a=b:NoSchedule"],
    })
    .to_string()
}
