//! Everything that is made ready before systemd starts: the node's identity and configuration,
//! every rendered file, kernel modules and settings, the payload.
//!
//! Each step runs although one before it failed; what failed is in the status and on the
//! console.

pub(crate) mod identity;
pub(crate) mod kmod;
mod payload;
pub(crate) mod source;

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fs_err as fs;
use lifeboat_config::{
    NodeConfig,
    definition::k3os::DataSource,
    render::{self, Facts},
};
use serde::{Deserialize, Serialize};

pub use payload::Payload;
use source::Source;

use crate::{
    datasource,
    init::{self, CommandLine, Mode, kernel_release, log, make_folder, mode},
    provision,
    report::{self, Event, State},
};

/// What the boot made of the node, for the parts that run later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// The node's name.
    pub hostname: String,
    /// What this boot is for.
    #[serde(default)]
    pub mode: Mode,
    /// Where the configuration came from.
    pub sources: Vec<Source>,
    /// The payload that is mounted.
    pub payload: Option<Payload>,
    /// Steps that failed.
    pub failures: Vec<Failure>,
}

/// A step that failed and was gone past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its name.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// Where [`Boot`] is kept for this boot.
pub(crate) const BOOT: &str = "/run/lifeboat/boot.json";
/// Where the configuration is kept for this boot, as JSON; only root may read it.
pub(crate) const CONFIG: &str = "/run/lifeboat/node.json";
/// Logs of what runs before the journal.
pub(crate) const LOGS: &str = "/run/lifeboat/log";

impl Boot {
    /// Reads what the initrd left.
    ///
    /// # Errors
    /// If this machine was not started by Lifeboat's initrd.
    pub fn read() -> io::Result<Self> {
        let text = fs::read_to_string(BOOT)?;
        serde_json::from_str(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn step<T>(&mut self, step: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(step, error.to_string());
                None
            }
        }
    }

    fn fail(&mut self, step: &str, reason: String) {
        log(3, &format!("{step}: {reason}"));
        report::step("initrd", step, State::Failed, &*reason);
        self.failures.push(Failure {
            step: step.to_owned(),
            reason,
        });
    }

    /// The facts that rendering needs; none without a payload.
    pub fn facts(&self) -> Option<Facts> {
        let payload = self.payload.as_ref()?;
        let mut facts = Facts::new(
            &payload.kubernetes,
            payload.runtime,
            payload.cni,
            &self.hostname,
        );
        facts.pause_image.clone_from(&payload.pause_image);
        // The payload's own go before those of the operating system.
        for (name, program) in [
            ("crun", &mut facts.oci_runtime),
            ("conmon", &mut facts.monitor),
        ] {
            let own = Path::new("/opt/kubernetes/current/bin").join(name);
            if own.exists() {
                *program = own.display().to_string();
            }
        }
        facts.pinned_images.clone_from(&payload.images);
        facts.certificate_names.push(self.hostname.clone());
        let mode = self.mode.of_k3os().to_owned();
        facts.labels.insert("k3os.io/mode".to_owned(), mode);
        Some(facts)
    }
}

/// Prepares the root, which is `/` already, and starts what can run while systemd starts.
/// Returns the mode that the configuration allows.
pub(crate) fn prepare(line: &CommandLine, mode: Mode) -> Mode {
    let root = Path::new("/");
    let mut boot = Boot {
        mode,
        ..Boot::default()
    };
    let logs = make_folder(Path::new(LOGS), 0o755);
    boot.step("logs", logs);

    let (config, sources) = source::read();
    for source in sources.iter().filter(|source| !source.problems.is_empty()) {
        boot.fail(
            "configuration",
            format!("{}: {}", source.name, source.problems.join("; ")),
        );
    }
    boot.sources = sources;
    let asked = datasource::request(config.data_sources.iter().map(DataSource::as_str));
    boot.step("data sources", asked);
    let locked = |text: Option<&str>| matches!(text, Some("*" | "!"));
    let password = config.password.as_ref();
    let opens = password.is_some_and(|one| !locked(one.hash()));
    choose_mode(&mut boot, line, opens);
    identity(&mut boot, root, &config, line);
    access(&mut boot, root, &config);

    let mounted = payload::mount_chosen();
    match mounted {
        Ok(payload) => boot.payload = payload,
        Err(error) => {
            boot.fail("payload", error.to_string());
            // There is no Kubernetes without it; the rest comes up to be looked at.
            let log = init::kernel_log();
            report::send(&Event::failed("initrd", "payload", error.to_string(), log));
        }
    }
    if let Some(payload) = &boot.payload {
        report::step("payload", "mount", State::Done, &*payload.name);
    }
    render_files(&mut boot, root, &config);
    kernel(&mut boot, root);
    user_files(&mut boot, &config);
    boot_commands(&mut boot, &config);

    let saved = write_file(Path::new(CONFIG), config.to_json().as_bytes(), 0o600).and_then(|()| {
        let text = serde_json::to_string_pretty(&boot).map_err(io::Error::other)?;
        write_file(Path::new(BOOT), text.as_bytes(), 0o644)
    });
    boot.step("status", saved);
    match boot.mode {
        // It runs if the boot goes on after the shell.
        Mode::Rescue => provision::leave_to_service("not made before the rescue shell"),
        _ if boot.payload.is_some() => provision::prepare_in_background(),
        _ => {}
    }
    boot.mode
}

/// Settles the mode, and says what cannot be had of it.
fn choose_mode(boot: &mut Boot, line: &CommandLine, has_password: bool) {
    for problem in line.problems.iter().filter(|one| one.contains("mode=")) {
        boot.fail("mode", problem.clone());
    }
    boot.mode = match mode::allowed(boot.mode, has_password) {
        Ok(mode) => mode,
        Err((instead, why)) => {
            boot.fail("mode", why.to_owned());
            instead
        }
    };
    if boot.mode == Mode::Install {
        boot.fail(
            "mode",
            "installation to a disk is not in this version; the node runs as live".to_owned(),
        );
    }
}

/// Writes a file as a whole with this mode, making its folders.
pub(crate) fn write_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    use std::io::Write as _;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lifeboat-tmp");
    let unfinished = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        // The umask has no say.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        // What is kept must be whole after a power cut; the rest is in memory.
        if path.starts_with("/var") {
            file.sync_all()?;
        }
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&unfinished);
    })
}

fn identity(boot: &mut Boot, root: &Path, config: &NodeConfig, line: &CommandLine) {
    let id = identity::machine_id(root);
    let id = boot.step("machine id", id).unwrap_or_default();
    if !id.is_empty() {
        let written = write_file(
            &root.join("etc/machine-id"),
            format!("{id}\n").as_bytes(),
            0o444,
        );
        boot.step("machine id", written);
    }
    let name = identity::host_name(root, config, line.hostname.as_deref(), &id);
    boot.hostname = boot
        .step("host name", name)
        .unwrap_or_else(|| "lifeboat".to_owned());
    let set = rustix::system::sethostname(boot.hostname.as_bytes()).map_err(io::Error::from);
    boot.step("host name", set);
    let key = identity::ssh_host_key(root, &boot.hostname);
    boot.step("ssh host key", key);
}

/// Who may log in.
fn access(boot: &mut Boot, root: &Path, config: &NodeConfig) {
    let mut keys = String::new();
    let written_out = config.ssh_authorized_keys.iter();
    for key in written_out.filter(|key| key.source().is_none()) {
        keys.push_str(key.as_str());
        keys.push('\n');
    }
    let written = write_file(
        &root.join("etc/ssh/authorized_keys.d/root"),
        keys.as_bytes(),
        0o600,
    );
    boot.step("ssh keys", written);

    let shadow = root.join("etc/shadow");
    let changed = fs::read_to_string(&shadow).and_then(|text| {
        let hash = config
            .password
            .as_ref()
            .and_then(lifeboat_config::definition::types::Password::hash);
        let new = identity::shadow(&text, hash);
        if new == text {
            return Ok(());
        }
        write_file(&shadow, new.as_bytes(), 0o640)
    });
    boot.step("password", changed);
    if config.password.is_none() {
        // Without a password nobody can log in there: no prompt among the status lines.
        for unit in ["getty@tty1.service", "serial-getty@.service"] {
            let path = root.join("etc/systemd/system").join(unit);
            let masked = match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => std::os::unix::fs::symlink("/dev/null", &path),
            };
            boot.step("consoles", masked);
        }
    }
}

/// Everything that `lifeboat-config` renders.
fn render_files(boot: &mut Boot, root: &Path, config: &NodeConfig) {
    let facts = boot.facts();
    // Without a payload the operating system's files are wanted all the same.
    let files = match &facts {
        Some(facts) => render::node_files(config, facts),
        None => operating_system_files(config, &boot.hostname),
    };
    for file in files {
        let path = root.join(file.path.trim_start_matches('/'));
        let written = write_file(&path, file.content.as_bytes(), file.mode);
        boot.step("files", written);
    }
    let resolver = root.join("etc/resolv.conf");
    if fs::read_link(&resolver).is_err() {
        let linked = match fs::remove_file(&resolver) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", &resolver),
        };
        boot.step("resolver", linked);
    }
    if let Some(Facts {
        cni: lifeboat_config::Cni::Flannel,
        ..
    }) = &facts
    {
        // The first pods need not wait for flanneld, which writes the same.
        let text = facts
            .as_ref()
            .and_then(|facts| provision::flannel_subnet_env(config, facts));
        if let Some(text) = text {
            let written = write_file(Path::new("/run/flannel/subnet.env"), text.as_bytes(), 0o644);
            boot.step("pod network", written);
        }
    }
}

fn operating_system_files(config: &NodeConfig, hostname: &str) -> Vec<render::RenderedFile> {
    let file = |path: &str, content: String| render::RenderedFile {
        path: path.to_owned(),
        mode: 0o644,
        content,
    };
    let mut files = vec![
        file("/etc/hostname", format!("{hostname}\n")),
        file("/etc/hosts", render::hosts(hostname)),
        file("/etc/sysctl.d/90-lifeboat.conf", render::sysctls(config)),
    ];
    files.extend(render::module_files(config, lifeboat_config::Cni::None));
    files.extend(render::network_files(config));
    files.extend(render::environment(config));
    files
}

/// Modules of the root, then kernel settings, of which some exist only with their module.
fn kernel(boot: &mut Boot, root: &Path) {
    let folder = PathBuf::from("/usr/lib/modules").join(kernel_release());
    let options =
        fs::read_to_string(root.join("etc/modprobe.d/90-lifeboat.conf")).unwrap_or_default();
    let wanted = kmod::lists(root);
    for (module, error) in kmod::load(
        &folder,
        wanted.iter().map(String::as_str),
        &kmod::parse_options(&options),
    ) {
        boot.fail("modules", format!("cannot load {module}: {error}"));
    }
    let settings =
        fs::read_to_string(root.join("etc/sysctl.d/90-lifeboat.conf")).unwrap_or_default();
    for (path, value) in sysctl_files(&settings) {
        let set = fs::write(&path, value);
        boot.step("sysctls", set);
    }
}

/// The file in /proc and the value of each line of a sysctl.d file (sysctl.d(5)): the first
/// separator says whether `.` or `/` separates.
fn sysctl_files(text: &str) -> Vec<(PathBuf, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let key = key.trim();
            let dots = key
                .find(['.', '/'])
                .is_some_and(|at| key[at..].starts_with('.'));
            let key: String = key
                .chars()
                .map(|letter| match letter {
                    '.' if dots => '/',
                    '/' if dots => '.',
                    other => other,
                })
                .collect();
            Some((
                Path::new("/proc/sys").join(key.trim_start_matches('/')),
                value.trim().to_owned(),
            ))
        })
        .collect()
}

/// `write_files`, in their order.
fn user_files(boot: &mut Boot, config: &NodeConfig) {
    for file in &config.write_files {
        let path = Path::new(file.path.as_str());
        let written = file
            .bytes()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            .and_then(|bytes| write_file(path, &bytes, file.permissions.bits()))
            .and_then(|()| change_owner(path, file.owner.parts()));
        boot.step(
            "write_files",
            written.map_err(|error| io::Error::other(format!("{}: {error}", file.path.as_str()))),
        );
    }
}

fn change_owner(path: &Path, (user, group): (&str, Option<&str>)) -> io::Result<()> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let unknown = |name: &str| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("`{name}` is not known here"),
        )
    };
    let uid = find_id(&passwd, user).ok_or_else(|| unknown(user))?;
    let group = group.filter(|group| !group.is_empty());
    let gid = match group {
        Some(group) => find_id(&groups, group).ok_or_else(|| unknown(group))?,
        None => primary_group(&passwd, uid),
    };
    std::os::unix::fs::chown(path, Some(uid), Some(gid))
}

/// The number of a name in the text of /etc/passwd or /etc/group; a number is itself.
fn find_id(text: &str, name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        })
    })
}

fn primary_group(passwd: &str, uid: u32) -> u32 {
    passwd
        .lines()
        .find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(uid)).then(|| fields.get(3)?.parse().ok())?
        })
        .unwrap_or(uid)
}

/// `boot_cmd`: each in a shell of its own.
fn boot_commands(boot: &mut Boot, config: &NodeConfig) {
    let count = config.boot_cmd.len();
    for (index, command) in config.boot_cmd.iter().enumerate() {
        // Not its text, which may hold a secret.
        let which = format!("command {} of {count}", index + 1);
        report::step("initrd", "boot_cmd", State::Started, which);
        let done = shell(command.as_str(), "boot_cmd");
        boot.step("boot_cmd", done);
    }
    if !config.run_cmd.is_empty() {
        // The unit that runs them has this as its condition.
        let marked = write_file(Path::new("/run/lifeboat/run_cmd"), b"", 0o644);
        boot.step("run_cmd", marked);
    }
}

/// Runs a command of the user in a shell; its output goes to a log of that name.
pub(crate) fn shell(command: &str, log: &str) -> io::Result<()> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(Path::new(LOGS).join(log))?
        .into_file();
    let status = Command::new("/bin/sh")
        .args(["-c", command])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("`{command}`: {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_its_file() {
        assert_eq!(
            sysctl_files(
                "# c\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0/1.x=2\nnet/ipv4/a.b/c = 3\nnonsense\n"
            ),
            [
                ("/proc/sys/net/ipv4/ip_forward", "1"),
                ("/proc/sys/net/ipv4/conf/eth0.1/x", "2"),
                ("/proc/sys/net/ipv4/a.b/c", "3"),
            ]
            .map(|(path, value)| (PathBuf::from(path), value.to_owned()))
        );
    }

    #[test]
    fn owners_are_names_or_numbers() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(find_id(passwd, "nobody"), Some(65534));
        assert_eq!(find_id(passwd, "1000"), Some(1000));
        assert_eq!(find_id(passwd, "nob"), None);
        assert_eq!(primary_group(passwd, 65534), 65533);
        assert_eq!(primary_group(passwd, 7), 7);
    }
}
