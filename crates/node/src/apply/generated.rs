//! Files that `lifeboat-config` renders, by the step that they belong to.

use std::collections::BTreeSet;

use lifeboat_config::{
    Cni, NodeConfig,
    render::{self, Facts, RenderedFile, RenderedLink},
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
    links: Vec<(Step, RenderedLink)>,
    /// Programs that some step needs and the image lacks.
    lacks: Vec<(Step, String)>,
}

impl Generated {
    /// Renders a configuration. Without a payload there are only the operating system's files.
    pub fn render(
        config: &NodeConfig,
        facts: Option<&Facts>,
        hostname: &str,
        target: &Target<'_>,
    ) -> Self {
        let mut files = if let Some(facts) = facts {
            render::node_files(config, facts)
        } else {
            let mut files = render::operating_system_files(config, hostname);
            files.extend(render::module_files(config, Cni::None));
            files
        };
        files.extend(render::sudo_file(config));
        let mut links = render::node_links(config);
        links.extend(enabled_units(config, target));
        // Where there are both, the link is right.
        files.retain(|file| links.iter().all(|link| link.path != file.path));
        let lacks = render::wanted_programs(config)
            .into_iter()
            .filter(|program| !target.root().exists(program.path))
            .map(|program| {
                let step = match program.key {
                    "wifi" => Step::Network,
                    "users" => Step::Accounts,
                    _ => Step::System,
                };
                let (key, path, package) = (program.key, program.path, program.package);
                let reason = format!("{key} needs {path}: add {package} to image.packages");
                (step, reason)
            })
            .collect();
        Self {
            files: files
                .into_iter()
                .map(|file| (step_of(&file.path), file))
                .collect(),
            links: links
                .into_iter()
                .map(|link| (step_of(&link.path), link))
                .collect(),
            lacks,
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
        for (_, link) in self.links.iter().filter(|(of, _)| *of == step) {
            let done = target.generate_link(&link.path, &link.target);
            outcome.check(&format!("cannot write {}", link.path), done);
        }
        for (_, reason) in self.lacks.iter().filter(|(of, _)| *of == step) {
            outcome.fail(reason.as_str());
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
        let files = self.files.iter().map(|(_, file)| file.path.as_str());
        files.chain(self.links.iter().map(|(_, link)| link.path.as_str()))
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
    } else if starts(&["/etc/sudoers.d/"]) {
        Step::Accounts
    } else if starts(&["/etc/ssl/"]) {
        Step::Certificates
    } else if starts(&[
        "/etc/environment",
        "/etc/profile.d/",
        "/etc/systemd/system.conf.d/",
    ]) {
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

/// The links of the image's units that the configuration enables.
fn enabled_units(config: &NodeConfig, target: &Target<'_>) -> Vec<RenderedLink> {
    let mut links = Vec::new();
    let enabled = render::image_units(config)
        .into_iter()
        .filter(|(_, enabled)| *enabled);
    let mut names: Vec<String> = enabled.map(|(name, _)| name.to_string()).collect();
    let mut at = 0;
    // Units may name others that are enabled with them, and those again.
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        let Some(installed) = installed(&name, target) else {
            continue;
        };
        links.extend(installed.links);
        for also in installed.also {
            if !names.contains(&also) {
                names.push(also);
            }
        }
    }
    links
}

/// What the `[Install]` section of a unit of the image says; none if there is no such unit.
fn installed(name: &str, target: &Target<'_>) -> Option<render::Installed> {
    let file = match name.split_once('@') {
        Some((stem, rest)) => format!("{stem}@.{}", rest.rsplit_once('.')?.1),
        None => name.to_owned(),
    };
    ["/etc/systemd/system", "/usr/lib/systemd/system"]
        .iter()
        .map(|folder| format!("{folder}/{file}"))
        .find(|path| target.root().exists(path))
        .map(|path| render::install_links(name, &path, &target.text(&path)))
}

/// Units of the image that the configuration wants or does not want.
pub(super) fn image_units(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    for (name, enabled) in render::image_units(config) {
        let Some(installed) = installed(name.as_str(), target) else {
            outcome.fail(format!("there is no unit {name} to enable or disable"));
            continue;
        };
        // Those that are enabled are links like others.
        for link in installed.links.iter().filter(|_| !enabled) {
            let done = target.retire(&link.path);
            outcome.check(&format!("cannot disable {name}"), done);
        }
    }
}

/// The authorities that all programs trust: those of the image and of the configuration.
pub(super) fn authorities(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    let before = target.text(render::CA_BUNDLE);
    let after = render::ca_bundle(&before, config);
    if after != before {
        let done = target.generate(render::CA_BUNDLE, after, 0o644);
        outcome.check("cannot add the authorities", done);
    }
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

/// The text of /etc/hosts with the lines of `rendered`: the node's own, 127.0.1.1, in place of
/// an older one, the others where their address has no line. All else in it stays.
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
    let address = |line: &str| line.split_whitespace().next().map(str::to_owned);
    for line in rendered.lines() {
        if !lines.iter().any(|other| address(other) == address(line)) {
            lines.push(line);
        }
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
    let users = config.users.iter().map(|user| &user.password);
    let nobody = [&config.password]
        .into_iter()
        .chain(users)
        .flatten()
        .all(|password| matches!(password.as_str(), "" | "*" | "!"));
    for unit in ["getty@tty1.service", "serial-getty@.service"] {
        let path = format!("/etc/systemd/system/{unit}");
        let done = match (nobody, target.look(&path)) {
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
        let ip6 = "::1 localhost ip6-localhost ip6-loopback\n";
        assert_eq!(
            own("127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.1 nas # disk\n"),
            format!("127.0.0.1 localhost\n127.0.1.1 n1.lan n1\n10.0.0.1 nas # disk\n{ip6}")
        );
        assert_eq!(
            own("127.0.0.1\tlocalhost\n::1 localhost"),
            "127.0.0.1\tlocalhost\n127.0.1.1 n1.lan n1\n::1 localhost\n"
        );
        assert_eq!(
            own("127.0.1.1 a\n127.0.1.1 b\n"),
            format!("127.0.1.1 n1.lan n1\n127.0.0.1 localhost\n{ip6}")
        );
    }
}
