//! What running services have to be told after files have changed. A boot needs none of it: its
//! services start after the files are written.

use std::{collections::BTreeSet, path::Path, process::Command};

use super::{
    diff::folded,
    state::{Change, Place, Subject},
};

/// Commands for a running systemd, in their order; each once.
/// `shipped` tells which units the image itself has.
pub(super) fn commands(changes: &[Change], shipped: &dyn Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut reload = false;
    let mut network = false;
    let mut later: BTreeSet<(&str, String)> = BTreeSet::new();
    for change in folded(changes) {
        let Subject::Path(path) = &change.subject else {
            continue;
        };
        let starts = |start: &str| path.starts_with(start);
        if starts("/etc/systemd/network/") {
            network = true;
        } else if starts("/etc/systemd/networkd") {
            later.insert(("try-restart", "systemd-networkd.service".to_owned()));
        } else if starts("/etc/systemd/resolved") {
            later.insert(("try-restart", "systemd-resolved.service".to_owned()));
        } else if starts("/etc/systemd/timesyncd") {
            later.insert(("try-restart", "systemd-timesyncd.service".to_owned()));
        } else if starts("/etc/systemd/system.conf") {
            reload = true;
        } else if let Some(rest) = path.strip_prefix("/etc/systemd/system/") {
            reload = true;
            unit(rest, &change, shipped, &mut later);
        } else if starts("/etc/ssh/sshd_config") {
            later.insert(("try-reload-or-restart", "ssh.service".to_owned()));
        } else if path == "/etc/containerd/config.toml" {
            later.insert(("try-restart", "containerd.service".to_owned()));
        } else if starts("/etc/crio/") || path == "/etc/containers/policy.json" {
            later.insert(("try-restart", "crio.service".to_owned()));
        }
    }
    // What is stopped as it is gone has nothing to restart.
    let stopped: BTreeSet<String> = later
        .iter()
        .filter(|(verb, _)| *verb == "stop")
        .map(|(_, unit)| unit.clone())
        .collect();
    later.retain(|(verb, unit)| *verb != "try-restart" || !stopped.contains(unit));
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let mut commands = Vec::new();
    if reload {
        commands.push(words(&["systemctl", "daemon-reload"]));
    }
    if network {
        commands.push(words(&["networkctl", "reload"]));
    }
    for (verb, unit) in &later {
        commands.push(words(&["systemctl", "--no-block", verb, unit]));
    }
    commands
}

/// What a change below /etc/systemd/system means for a unit.
fn unit(
    path: &str,
    change: &Change,
    shipped: &dyn Fn(&str) -> bool,
    later: &mut BTreeSet<(&'static str, String)>,
) {
    let masked = |place: &Place| matches!(place, Place::Link(to) if to == "/dev/null");
    let verb_and_unit = match path.split_once('/') {
        None if masked(&change.after) => ("stop", path),
        // One that is new is started by what wants it.
        None if change.before == Place::Nothing || masked(&change.before) => return,
        // Where the image has one of that name, it is in force again.
        None if change.after == Place::Nothing && !shipped(path) => ("stop", path),
        None => ("try-restart", path),
        Some((folder, unit))
            if [".wants", ".requires"]
                .iter()
                .any(|kind| folder.strip_suffix(kind).is_some()) =>
        {
            if change.after == Place::Nothing {
                ("stop", unit)
            } else {
                ("start", unit)
            }
        }
        Some((folder, _)) => match folder.strip_suffix(".d") {
            Some(unit) => ("try-restart", unit),
            None => return,
        },
    };
    let (verb, unit) = verb_and_unit;
    // A device is not started or stopped; a template and what is for many units are none.
    let many = !unit.contains('.') || unit.contains("@.") || unit.contains("-.");
    if many || unit.ends_with(".device") {
        return;
    }
    // A console that somebody types at, or what runs this.
    let spared = ["getty@", "serial-getty@", "lifeboat-run", "kubelet."];
    if !spared.iter().any(|spared| unit.starts_with(spared)) {
        later.insert((verb, unit.to_owned()));
    }
}

/// Tells the services of this machine, if systemd runs. Returns what failed.
pub(super) fn tell(changes: &[Change]) -> Vec<String> {
    if !Path::new("/run/systemd/system").exists() {
        return Vec::new();
    }
    let shipped = |unit: &str| Path::new("/usr/lib/systemd/system").join(unit).exists();
    commands(changes, &shipped)
        .iter()
        .filter_map(|command| {
            let error = run(command).err()?;
            // What did not run was forgotten together with its file.
            let gone = command.iter().any(|word| word == "stop") && error.contains("not loaded");
            (!gone).then_some(error)
        })
        .collect()
}

/// Runs a program of the system to its end.
pub(super) fn run(command: &[String]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("nothing to run")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{}`: {} {}",
        command.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::{
        super::state::{NewFile, text},
        *,
    };

    #[test]
    fn services_are_told_once_of_what_concerns_them() {
        let change = |path: &str, before: Place, after: Place| Change {
            subject: Subject::Path(path.to_owned()),
            before,
            after,
        };
        let file = || text("x");
        let other = || Place::File(NewFile::new("y", 0o644));
        let link = |to: &str| Place::Link(to.to_owned());
        let changes = [
            change("/etc/systemd/network/80-wired.network", file(), other()),
            change("/etc/systemd/network/90-x.network", Place::Nothing, other()),
            change("/etc/systemd/system/a.service", Place::Nothing, file()),
            change("/etc/systemd/system/b.service", file(), other()),
            change(
                "/etc/systemd/system/multi-user.target.wants/a.service",
                Place::Nothing,
                link("../a.service"),
            ),
            change(
                "/etc/systemd/system/c.timer",
                Place::Nothing,
                link("/dev/null"),
            ),
            change(
                "/etc/systemd/system/d.service.d/10.conf",
                Place::Nothing,
                file(),
            ),
            change(
                "/etc/systemd/system/serial-getty@.service",
                Place::Nothing,
                link("/dev/null"),
            ),
            change(
                "/etc/ssh/sshd_config.d/05-lifeboat-keys.conf",
                Place::Nothing,
                file(),
            ),
            change("/etc/motd", Place::Nothing, file()),
            change("/etc/systemd/system/gone.service", file(), Place::Nothing),
            change(
                "/etc/systemd/system/gone.service.d/10.conf",
                file(),
                Place::Nothing,
            ),
            change("/etc/systemd/system/own.service", file(), Place::Nothing),
            change(
                "/etc/systemd/system/dev-ttyS0.device.d/10.conf",
                Place::Nothing,
                file(),
            ),
        ];
        let told: Vec<String> = commands(&changes, &|unit| unit == "own.service")
            .iter()
            .map(|words| words.join(" "))
            .collect();
        assert_eq!(
            told,
            [
                "systemctl daemon-reload",
                "networkctl reload",
                "systemctl --no-block start a.service",
                "systemctl --no-block stop c.timer",
                "systemctl --no-block stop gone.service",
                "systemctl --no-block try-reload-or-restart ssh.service",
                "systemctl --no-block try-restart b.service",
                "systemctl --no-block try-restart d.service",
                "systemctl --no-block try-restart own.service",
            ]
        );
        assert!(commands(&[], &|_| false).is_empty());
    }
}
