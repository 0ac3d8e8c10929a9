//! How long reading a node's configuration takes.

use anyhow::{Result, ensure};

use crate::{command::Place, report::Report};

/// What is measured here.
pub const IDS: &[&str] = &["config-show"];

const RUNS: usize = 50;

/// Every source of k3OS, with a file of some size in between.
const SOURCES: [(&str, &str); 8] = [
    (
        "k3os/system/config.yaml",
        "hostname: a\nssh_authorized_keys: [github:a]\nk3os: {modules: [kvm], sysctls: {vm.swappiness: 1}}\n",
    ),
    (
        "proc/cmdline",
        "BOOT_IMAGE=/vmlinuz quiet k3os.token=t k3os.labels.zone=b run_cmd=\"sleep 1\"\n",
    ),
    (
        "var/lib/rancher/k3os/config.yaml",
        "k3os: {dns_nameservers: [192.0.2.1], wifi: [{name: a, passphrase: b}]}\n",
    ),
    ("run/config/local_hostname", "b\n"),
    ("run/config/ssh/authorized_keys", "ssh-ed25519 AAAA a\n"),
    ("run/config/userdata", "#!/bin/sh\nuptime\n"),
    ("var/lib/rancher/k3os/config.d/10", "hostname: c\n"),
    (
        "var/lib/rancher/k3os/config.d/20",
        "k3os: {labels: {a: b}, taints: ['a=b:NoSchedule']}\n",
    ),
];

/// Measures `config show`.
pub fn measure(report: &mut Report) -> Result<()> {
    let place = Place::new("")?;
    let put = |name: &str, text: &str| -> Result<()> {
        let path = place.file("root").join(name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(fs_err::write(path, text)?)
    };
    for (name, text) in SOURCES {
        put(name, text)?;
    }
    let line = "    0123456789abcdef0123456789abcdef0123456789abcdef\n";
    let large = format!(
        "write_files:\n- path: /a\n  content: |\n{}",
        line.repeat(1000)
    );
    put("var/lib/rancher/k3os/config.d/30", &large)?;
    let root = place.file("root");
    let root = root.to_string_lossy();
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let run = place.run(&["config", "show", "--as", "k3os", "--root", &root])?;
        ensure!(
            run.document["hostname"] == "c",
            "config show showed something else"
        );
        runs.push(run);
    }
    report.add_runs("config-show", &runs)
}
