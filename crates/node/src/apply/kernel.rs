//! The kernel: its modules, its settings, its host name.

use std::{collections::BTreeMap, fmt, io, path::Path};

use fs_err as fs;

use super::{
    engine::Outcome,
    state::{Change, Place, Subject, text},
    target::Target,
};
use crate::{boot::kmod, sys};

/// What of the kernel is no file.
pub(crate) trait Kernel: fmt::Debug + Sync {
    /// Its release, which names the folder of its modules.
    fn release(&self) -> String;
    /// The host name.
    fn host_name(&self) -> String;
    /// Sets the host name.
    fn set_host_name(&self, name: &str) -> io::Result<()>;
    /// Does something in the partition that the next kernel is started from.
    fn with_boot_partition(&self, work: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()>;
    /// Loads the module in this file. One that is loaded is no error.
    fn load(&self, file: fs::File, parameters: &str, packed: sys::Compression) -> io::Result<()>;
}

/// The kernel that runs this.
#[derive(Debug)]
pub(crate) struct Running;

impl Kernel for Running {
    fn release(&self) -> String {
        crate::init::kernel_release()
    }

    fn host_name(&self) -> String {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    }

    fn with_boot_partition(&self, work: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
        super::kernel_args::on_boot_partition(work)
    }

    fn set_host_name(&self, name: &str) -> io::Result<()> {
        Ok(rustix::system::sethostname(name.as_bytes())?)
    }

    fn load(&self, file: fs::File, parameters: &str, packed: sys::Compression) -> io::Result<()> {
        sys::load_module(file.file(), parameters, packed)
    }
}

/// A kernel that nothing is told to.
#[derive(Debug)]
pub(super) struct Deaf;

impl Kernel for Deaf {
    fn release(&self) -> String {
        Running.release()
    }

    fn host_name(&self) -> String {
        String::new()
    }

    fn set_host_name(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn with_boot_partition(&self, _: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }

    fn load(&self, _: fs::File, _: &str, _: sys::Compression) -> io::Result<()> {
        Ok(())
    }
}

/// Loads the modules that modules-load.d names and are not there yet, each with what it needs
/// and with its parameters of modprobe.d.
pub(super) fn modules(target: &mut Target<'_>, outcome: &mut Outcome) {
    let mut files = BTreeMap::new();
    for folder in ["/usr/lib/modules-load.d", "/etc/modules-load.d"] {
        for name in target.root().names(folder) {
            let text = target.text(&format!("{folder}/{name}"));
            files.insert(name, text);
        }
    }
    // A dry run has not written it.
    let own = target.text(super::generated::MODULES);
    files.insert("90-lifeboat.conf".to_owned(), own);
    let mut options = BTreeMap::new();
    for name in target.root().names("/etc/modprobe.d") {
        options.extend(kmod::parse_options(
            &target.text(&format!("/etc/modprobe.d/{name}")),
        ));
    }
    options.extend(kmod::parse_options(
        &target.text(super::generated::MODULE_OPTIONS),
    ));
    let is_loaded =
        |target: &Target<'_>, name: &str| target.root().exists(&format!("/sys/module/{name}"));
    let wanted: Vec<String> = files
        .values()
        .flat_map(|text| kmod::parse_list(text))
        .filter(|module| !is_loaded(target, &kmod::name(module)))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let folder = format!("/usr/lib/modules/{}", target.kernel.release());
    let read = |name: &str| target.text(&format!("{folder}/{name}"));
    let catalogue = kmod::Catalogue {
        dependencies: kmod::Dependencies::parse(&read("modules.dep")),
        aliases: &|| read("modules.alias"),
        builtin: &|| read("modules.builtin"),
    };
    let plan = catalogue.plan(wanted.iter().map(String::as_str));
    for module in &plan.unknown {
        outcome.fail(format!(
            "{module}: this kernel has no such module, neither as a file nor built in"
        ));
    }
    for file in &plan.files {
        let name = kmod::name(file);
        if is_loaded(target, &name) {
            continue;
        }
        let parameters = options.get(&name).map_or("", String::as_str);
        if !target.is_dry() {
            let done = target
                .root()
                .file(&format!("{folder}/{file}"))
                .and_then(|open| target.kernel.load(open, parameters, kmod::compressed(file)));
            if let Err(error) = done {
                outcome.fail(format!("cannot load {name}: {error}"));
                continue;
            }
        }
        target.made(Change {
            subject: Subject::Module(name),
            before: Place::Nothing,
            after: text(parameters),
        });
    }
}

/// Sets every setting of Lifeboat's file in sysctl.d, each although one before it failed.
pub(super) fn settings(target: &mut Target<'_>, outcome: &mut Outcome) {
    let text = target.text(super::generated::SETTINGS);
    for (key, value) in lines(&text) {
        let name = path(key, |folder| {
            target.root().exists(&format!("/proc/sys/{folder}"))
        });
        if let Err(error) = target.setting(&name, value) {
            outcome.fail(format!("cannot set {key}: {error}"));
        }
    }
}

/// Keys and values of a sysctl.d file (sysctl.d(5)).
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key.trim().trim_start_matches('-'), value.trim()))
        })
}

/// The path below /proc/sys of a key. The first separator says whether `.` or `/` separates
/// (sysctl.d(5)). Where dots separate, a part may be the name of an interface that has dots in
/// it, `net.ipv4.conf.eth0.5.forwarding`: which parts belong together shows in what is there.
fn path(key: &str, exists: impl Fn(&str) -> bool) -> String {
    let dots = key
        .find(['.', '/'])
        .is_some_and(|at| key[at..].starts_with('.'));
    if !dots {
        return key.trim_matches('/').to_owned();
    }
    let plain: String = key
        .chars()
        .map(|letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    if exists(&plain) {
        return plain;
    }
    let parts: Vec<&str> = plain.split('/').collect();
    joined(&parts, &exists).unwrap_or(plain)
}

/// The path of these parts with two or more neighbours joined by dots, if there is one such.
fn joined(parts: &[&str], exists: &impl Fn(&str) -> bool) -> Option<String> {
    // No key of the kernel has more.
    if parts.len() > 16 {
        return None;
    }
    for start in 0..parts.len() {
        for end in start + 2..=parts.len() {
            let middle = parts[start..end].join(".");
            let all: Vec<&str> = parts[..start]
                .iter()
                .copied()
                .chain([middle.as_str()])
                .chain(parts[end..].iter().copied())
                .collect();
            let path = all.join("/");
            if exists(&path) {
                return Some(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_with_dots_or_slashes() {
        let there = [
            "net/ipv4/ip_forward",
            "net/ipv4/conf/eth0.5/forwarding",
            "net/ipv6/conf/bond0/mtu",
        ];
        let exists = |path: &str| there.contains(&path);
        for (key, wanted) in [
            ("net.ipv4.ip_forward", there[0]),
            ("net/ipv4/ip_forward", there[0]),
            ("net.ipv4.conf.eth0/5.forwarding", there[1]),
            ("net/ipv4/conf/eth0.5/forwarding", there[1]),
            ("net.ipv4.conf.eth0.5.forwarding", there[1]),
            ("net.ipv6.conf.bond0.mtu", there[2]),
            ("no.such.key", "no/such/key"),
            ("one", "one"),
        ] {
            assert_eq!(path(key, exists), wanted, "{key}");
        }
    }
}
