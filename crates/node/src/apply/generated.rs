//! Files that `lifeboat-config` renders, by the step that they belong to.

use std::collections::BTreeSet;

use lifeboat_config::{
    Cni, NodeConfig,
    render::{self, Facts, RenderedFile},
};

use super::{
    engine::{Outcome, Phase, Step},
    state::{NewFile, Place},
    target::Target,
};
use crate::provision;

/// Kernel settings.
pub(super) const SETTINGS: &str = "/etc/sysctl.d/90-lifeboat.conf";
/// Modules to load.
pub(super) const MODULES: &str = "/etc/modules-load.d/90-lifeboat.conf";
/// Parameters of modules.
pub(super) const MODULE_OPTIONS: &str = "/etc/modprobe.d/90-lifeboat.conf";
const HOSTNAME: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";
/// Paths that a boot has generated, so that a later configuration takes away what it no longer
/// has. Not kept over boots, as /etc is not either.
const LIST: &str = "/run/lifeboat/generated";

/// Everything that is rendered.
#[derive(Debug)]
pub(super) struct Generated {
    files: Vec<(Step, RenderedFile)>,
}

impl Generated {
    /// Renders a configuration. Without a payload there are only the operating system's files.
    pub fn render(config: &NodeConfig, facts: Option<&Facts>, hostname: &str) -> Self {
        let files = match facts {
            Some(facts) => render::node_files(config, facts),
            None => operating_system_files(config, hostname),
        };
        Self {
            files: files
                .into_iter()
                .map(|file| (step_of(&file.path), file))
                .collect(),
        }
    }

    /// Writes the files of a step.
    pub fn write(&self, step: Step, phase: Phase, target: &mut Target<'_>, outcome: &mut Outcome) {
        for (_, file) in self.files.iter().filter(|(of, _)| *of == step) {
            // The address is added to it where it is used; kubeadm may be reading it now.
            if phase == Phase::Runtime && file.path == render::KUBEADM_CONFIG {
                continue;
            }
            if [HOSTNAME, HOSTS].contains(&file.path.as_str()) {
                continue;
            }
            let done = target.generate(&file.path, file.content.as_bytes(), file.mode);
            outcome.check(&format!("cannot write {}", file.path), done);
        }
        self.retire(step, target, outcome);
    }

    /// Takes away what the configuration before has generated in this step.
    fn retire(&self, step: Step, target: &mut Target<'_>, outcome: &mut Outcome) {
        let now: BTreeSet<&str> = self.paths().collect();
        let before = target.text(LIST);
        for path in before
            .lines()
            .filter(|path| step_of(path) == step && !now.contains(path))
        {
            let done = target.retire(path);
            outcome.check(&format!("cannot take {path} away"), done);
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(_, file)| file.path.as_str())
    }

    /// Notes what is generated now.
    pub fn remember(&self, target: &mut Target<'_>, outcome: &mut Outcome) {
        let paths: Vec<&str> = self.paths().collect();
        let text = paths.join("\n") + "\n";
        let done = target.put(LIST, NewFile::new(text, 0o644));
        outcome.check("cannot note which files are generated", done);
    }
}

/// The step to which a generated file belongs.
fn step_of(path: &str) -> Step {
    let starts = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    if starts(&["/etc/sysctl.d/"]) {
        Step::Sysctls
    } else if starts(&["/etc/modules-load.d/", "/etc/modprobe.d/"]) {
        Step::Modules
    } else if [HOSTNAME, HOSTS].contains(&path) {
        Step::Hostname
    } else if starts(&[
        "/etc/systemd/network",
        "/etc/systemd/resolved",
        "/etc/systemd/timesyncd",
        "/etc/wpa_supplicant",
        "/etc/iwd",
        "/var/lib/iwd",
    ]) {
        Step::Network
    } else if starts(&["/etc/environment", "/etc/systemd/system.conf.d/"]) {
        Step::Environment
    } else if starts(&[
        "/etc/kubernetes",
        "/etc/crictl",
        "/etc/containerd",
        "/etc/crio",
        "/etc/containers",
        "/etc/cni",
    ]) {
        Step::Kubernetes
    } else {
        Step::System
    }
}

fn operating_system_files(config: &NodeConfig, hostname: &str) -> Vec<RenderedFile> {
    let file = |path: &str, content: String| RenderedFile {
        path: path.to_owned(),
        mode: 0o644,
        content,
    };
    let mut files = vec![
        file(HOSTNAME, format!("{hostname}\n")),
        file(HOSTS, render::hosts(hostname)),
        file(SETTINGS, render::sysctls(config)),
    ];
    files.extend(render::module_files(config, Cni::None));
    files.extend(render::network_files(config));
    files.extend(render::environment(config));
    files
}

/// The host name: in the kernel, in /etc/hostname and as a line of /etc/hosts.
pub(super) fn host_name(name: &str, target: &mut Target<'_>, outcome: &mut Outcome) {
    let set = target.host_name(name);
    outcome.check("cannot set it", set);
    let written = target.generate(HOSTNAME, format!("{name}\n"), 0o644);
    outcome.check(&format!("cannot write {HOSTNAME}"), written);
    let hosts = with_own_line(&target.text(HOSTS), &render::hosts(name));
    let written = target.generate(HOSTS, hosts, 0o644);
    outcome.check(&format!("cannot write {HOSTS}"), written);
}

/// The text of /etc/hosts with this node's own line, 127.0.1.1, as in `rendered`; all else in it
/// stays.
fn with_own_line(text: &str, rendered: &str) -> String {
    let is_own = |line: &&str| line.split_whitespace().next() == Some("127.0.1.1");
    let own = rendered.lines().find(is_own).unwrap_or_default();
    if text.trim().is_empty() {
        return rendered.to_owned();
    }
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !is_own(&line) {
            lines.push(line);
        } else if !lines.contains(&own) {
            lines.push(own);
        }
    }
    if !lines.contains(&own) {
        // Where Debian has it: behind that of localhost.
        let at = lines
            .iter()
            .position(|line| line.starts_with("127.0.0.1"))
            .map_or(0, |at| at + 1);
        lines.insert(at, own);
    }
    lines.join("\n") + "\n"
}

/// The link by which programs find systemd's resolver, unless the user has a file there.
pub(super) fn resolver(target: &mut Target<'_>, outcome: &mut Outcome) {
    const RESOLVER: &str = "/etc/resolv.conf";
    const STUB: &str = "../run/systemd/resolve/stub-resolv.conf";
    let linked = match target.look(RESOLVER) {
        Ok(Place::Link(_)) => Ok(()),
        Ok(_) if target.is_claimed(RESOLVER) => Ok(()),
        Ok(_) => target.link(RESOLVER, STUB),
        Err(error) => Err(error),
    };
    outcome.check("cannot link resolv.conf", linked);
}

/// What flanneld writes too, so that the first pods need not wait for it.
pub(super) fn first_subnet(
    config: &NodeConfig,
    facts: &Facts,
    target: &mut Target<'_>,
    outcome: &mut Outcome,
) {
    const SUBNET: &str = "/run/flannel/subnet.env";
    if facts.cni == Cni::Flannel
        && !target.root().exists(SUBNET)
        && let Some(text) = provision::flannel_subnet_env(config, facts)
    {
        let done = target.put(SUBNET, NewFile::new(text, 0o644));
        outcome.check("cannot write the pods' subnet", done);
    }
}

/// `run_cmd` is done before the kubelet starts, as in k3OS.
pub(super) fn commands_first(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    const ORDER: &str = "/etc/systemd/system/kubelet.service.d/20-run-cmd.conf";
    let done = if config.run_cmd.is_empty() {
        target.retire(ORDER)
    } else {
        target.generate(
            ORDER,
            "# run_cmd of the node's configuration comes first.\n[Unit]\nAfter=lifeboat-run.service\n",
            0o644,
        )
    };
    outcome.check("cannot order the kubelet after run_cmd", done);
}

/// Without a password nobody can log in at a console: no prompt among the status lines.
pub(super) fn consoles(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    const MASK: &str = "/dev/null";
    for unit in ["getty@tty1.service", "serial-getty@.service"] {
        let path = format!("/etc/systemd/system/{unit}");
        let done = match (config.password.is_none(), target.look(&path)) {
            (true, Ok(_)) if target.is_claimed(&path) => Ok(()),
            (true, Ok(_)) => target.link(&path, MASK),
            // An earlier configuration had none.
            (false, Ok(Place::Link(to))) if to == MASK => target.remove(&path),
            (_, Err(error)) => Err(error),
            (false, Ok(_)) => Ok(()),
        };
        outcome.check(&format!("cannot set up {unit}"), done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_keeps_what_else_is_in_it() {
        let rendered = render::hosts("n1.lan");
        let own = |text: &str| with_own_line(text, &rendered);
        assert_eq!(own(""), rendered);
        assert_eq!(own(&rendered), rendered);
        assert_eq!(
            own("127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.1 nas # disk\n"),
            "127.0.0.1 localhost\n127.0.1.1 n1.lan n1\n10.0.0.1 nas # disk\n"
        );
        assert_eq!(
            own("127.0.0.1\tlocalhost\n::1 localhost"),
            "127.0.0.1\tlocalhost\n127.0.1.1 n1.lan n1\n::1 localhost\n"
        );
        assert_eq!(own("127.0.1.1 a\n127.0.1.1 b\n"), "127.0.1.1 n1.lan n1\n");
    }
}
