//! What this host can do, and what to do about each lack.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use fs_err as fs;
use serde::Serialize;

use crate::{Acceleration, Tools, choose_acceleration};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// All is there.
    Ok,
    /// Lifeboat works, and would work better with it.
    Slow,
    /// Something does not work without it.
    Lacking,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: &'static str,
    /// How it ended.
    pub state: Check,
    /// What was found.
    pub found: String,
    /// What to do about a lack; empty if there is none.
    pub advice: String,
}

/// What the checks need to know.
#[derive(Debug)]
pub struct Doctor<'a> {
    /// The folder of the cache.
    pub cache: &'a Path,
    /// The folder of the machines.
    pub state: &'a Path,
    /// The tools tree, if it is there already.
    pub tools: Option<&'a dyn Tools>,
    /// An address on the mirror that answers `HEAD`.
    pub mirror: &'a str,
    /// The search path for programs (`PATH`).
    pub path: OsString,
}

/// The version of Go that the modules of the payload need.
const GO: (u32, u32) = (1, 26);
/// What a build keeps in the cache, and a machine on its disk, in GiB.
const DISK_GIB: u64 = 10;
/// A machine of the default size and what QEMU needs beside it, in MiB.
const MEMORY_MIB: u64 = 5_000;

impl Doctor<'_> {
    /// Runs all checks.
    pub fn examine(&self) -> Vec<Finding> {
        vec![
            self.acceleration(),
            namespaces(),
            self.subordinate_ids(),
            disk("cache disk", self.cache),
            disk("machine disk", self.state),
            memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            processors(),
            self.network(),
            self.go(),
        ]
    }

    fn acceleration(&self) -> Finding {
        let Some(tools) = self.tools else {
            let there = Path::new("/dev/kvm").exists();
            let found = if there {
                "there is /dev/kvm; whether it runs a guest is tried once the tools are fetched"
            } else {
                "there is no /dev/kvm; machines run in emulation"
            };
            let state = if there { Check::Ok } else { Check::Slow };
            return finding("acceleration", state, found, KVM_ADVICE);
        };
        let trial = choose_acceleration(tools);
        match trial.acceleration {
            Acceleration::Kvm => finding("acceleration", Check::Ok, "KVM ran a trial guest", ""),
            Acceleration::Emulation => {
                let found = format!("{}; machines run in emulation", trial.reason);
                finding("acceleration", Check::Slow, found, KVM_ADVICE)
            }
        }
    }

    fn subordinate_ids(&self) -> Finding {
        let name = "subordinate ids";
        let uid = rustix::process::getuid();
        if uid.is_root() {
            return finding(name, Check::Ok, "not needed as root", "");
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = user_name(&passwd, uid.as_raw());
        let who = user.clone().unwrap_or_else(|| uid.as_raw().to_string());
        let advice = format!(
            "apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}"
        );
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(file).unwrap_or_default();
            let count = subordinate_count(&text, user.as_deref(), uid.as_raw());
            if count < 65_536 {
                let found = format!("{file} gives {who} {count} ids, 65536 are needed");
                return finding(name, Check::Lacking, found, advice);
            }
        }
        for program in ["newuidmap", "newgidmap"] {
            if self.program(program).is_none() {
                let found = format!("there is no {program}");
                return finding(name, Check::Lacking, found, advice);
            }
        }
        finding(name, Check::Ok, format!("{who} has 65536 or more"), "")
    }

    fn network(&self) -> Finding {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(15)))
            .build()
            .into();
        match agent.head(self.mirror).call() {
            Ok(_) => finding("network", Check::Ok, format!("{} answers", self.mirror), ""),
            Err(error) => finding(
                "network",
                Check::Lacking,
                format!("{} does not answer: {error}", self.mirror),
                "check network, proxy and the host's apt sources; what the cache has can still be built",
            ),
        }
    }

    fn go(&self) -> Finding {
        let version = self.program("go").and_then(|go| {
            let output = Command::new(go)
                .arg("version")
                .stdin(Stdio::null())
                .output();
            go_version(&String::from_utf8_lossy(&output.ok()?.stdout))
        });
        let needed = format!("{}.{}", GO.0, GO.1);
        match version {
            Some(version) if version >= GO => {
                let found = format!("the host's Go {}.{} is used", version.0, version.1);
                finding("go toolchain", Check::Ok, found, "")
            }
            Some((major, minor)) => finding(
                "go toolchain",
                Check::Ok,
                format!("the host's Go {major}.{minor} is older than {needed}; one is fetched"),
                "",
            ),
            None => finding(
                "go toolchain",
                Check::Ok,
                "the host has none; one is fetched",
                "",
            ),
        }
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    }
}

const KVM_ADVICE: &str =
    "use a host with KVM (in a VM: nested virtualisation), and be in the group `kvm`";

fn finding(
    check: &'static str,
    state: Check,
    found: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    Finding {
        check,
        state,
        found: found.into(),
        advice: if state == Check::Ok {
            String::new()
        } else {
            advice.into()
        },
    }
}

/// Whether this user may have a user and a mount namespace, by trying.
#[expect(
    unsafe_code,
    reason = "namespaces are tried in a child, before it would run a program"
)]
fn namespaces() -> Finding {
    let name = "namespaces";
    let attempt = || {
        use rustix::{
            mount::{MountPropagationFlags, mount_change},
            thread::{UnshareFlags, unshare_unsafe},
        };
        // SAFETY: the child has one thread, and no table of open files is parted.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }?;
        // Some hosts give the namespace and none of its rights.
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        Ok(())
    };
    // There is no such program: that it is missed tells that all before it worked.
    let mut command = Command::new("/proc/lifeboat/none");
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec the closure makes two system calls, allocates nothing and
    // takes no lock.
    unsafe {
        command.pre_exec(attempt);
    }
    match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            finding(name, Check::Ok, "user and mount namespaces can be made", "")
        }
        Err(error) => finding(
            name,
            Check::Lacking,
            format!("no user and mount namespace can be made: {error}"),
            "allow them: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0, as far as this kernel has these",
        ),
        Ok(mut child) => {
            let _ = child.wait();
            finding(name, Check::Ok, "user and mount namespaces can be made", "")
        }
    }
}

fn disk(name: &'static str, folder: &Path) -> Finding {
    // The folder may not be there yet: its file system is that of the nearest one that is.
    let Some(there) = folder.ancestors().find(|path| path.exists()) else {
        return finding(name, Check::Lacking, "there is no such folder", "");
    };
    match rustix::fs::statvfs(there) {
        Ok(free) => {
            let gib = free.f_bavail.saturating_mul(free.f_frsize) >> 30;
            let found = format!("{gib} GiB free for {}", folder.display());
            let state = if gib >= DISK_GIB {
                Check::Ok
            } else {
                Check::Lacking
            };
            let advice = format!(
                "have {DISK_GIB} GiB free there: `lifeboat cache gc`, or set LIFEBOAT_CACHE and LIFEBOAT_STATE to folders elsewhere"
            );
            finding(name, state, found, advice)
        }
        Err(error) => finding(
            name,
            Check::Lacking,
            format!("{} cannot be looked at: {error}", there.display()),
            "",
        ),
    }
}

fn memory(meminfo: &str) -> Finding {
    let available = meminfo.lines().find_map(|line| {
        let value = line.strip_prefix("MemAvailable:")?.trim();
        value.strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let mib = available.unwrap_or(0) / 1024;
    let state = if mib >= MEMORY_MIB {
        Check::Ok
    } else {
        Check::Lacking
    };
    finding(
        "memory",
        state,
        format!("{mib} MiB available"),
        "a machine of the default size needs 4 GiB: end other programs, or set `machine.memory` lower (2 GiB at least)",
    )
}

fn processors() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let state = if count >= 2 { Check::Ok } else { Check::Slow };
    finding(
        "processors",
        state,
        count.to_string(),
        "kubeadm wants two; a machine gets as many virtual ones as it is given, only slower",
    )
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// The largest range of subordinate ids of a user (subuid(5)).
fn subordinate_count(text: &str, name: Option<&str>, uid: u32) -> u64 {
    let uid = uid.to_string();
    let counts = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let count = fields.nth(1)?.parse().ok()?;
        (Some(who) == name || who == uid).then_some(count)
    });
    counts.max().unwrap_or(0)
}

/// Major and minor version of `go version go1.26.3 linux/amd64`.
fn go_version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor.trim_end_matches(|other: char| !other.is_ascii_digit());
    let digits = digits.split(|other: char| !other.is_ascii_digit()).next()?;
    Some((major, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_say_is_read() {
        assert_eq!(go_version("go version go1.26.3 linux/amd64"), Some((1, 26)));
        assert_eq!(
            go_version("go version go1.27rc1 linux/amd64"),
            Some((1, 27))
        );
        assert_eq!(go_version("gccgo"), None);
        let subuid = "other:100000:65536\nme:165536:65536\n1000:1:2\n";
        assert_eq!(subordinate_count(subuid, Some("me"), 1000), 65_536);
        assert_eq!(subordinate_count(subuid, None, 1000), 2);
        assert_eq!(subordinate_count("junk\n::\n", None, 7), 0);
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("me"));
        let low = memory("MemTotal: 9 kB\nMemAvailable:    2048000 kB\n");
        assert_eq!(
            (low.state, low.found.as_str()),
            (Check::Lacking, "2000 MiB available")
        );
    }

    #[test]
    fn a_lack_comes_with_advice_and_all_well_without() {
        let folder = Path::new("/proc/none");
        let low = disk("disk", folder);
        assert_eq!(low.state, Check::Lacking);
        assert!(low.advice.contains("lifeboat cache gc"));
        assert!(finding("x", Check::Ok, "y", "z").advice.is_empty());
    }
}
