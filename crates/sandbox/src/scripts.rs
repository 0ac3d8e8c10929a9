//! Runs maintainer scripts, inside the sandbox.

use std::{
    collections::BTreeSet,
    io::{self, BufReader, BufWriter, Write as _},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

use fs_err as fs;
use lifeboat_archive::{tar::Streamed, write_tar};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use crate::{
    helper::{pivot, supervise, system_folders, tmpfs},
    job::{Configure, Failure},
    materialise::{Owning, materialise_archive},
    normalise::normalise,
    owners::Owners,
    scan::scan,
    supervisor::supervised,
};

const INFO: &str = "/var/lib/dpkg/info";
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Programs that do nothing while scripts run: the initrd is ours and no service starts.
const SILENCED: [&str; 2] = ["/usr/sbin/update-initramfs", "/usr/sbin/start-stop-daemon"];

/// Lays out the tree that comes on standard input, runs its scripts, and writes the result to
/// standard output.
pub(crate) fn configure(task: &Configure) -> Result<(), Failure> {
    empty(&task.work).map_err(Failure::when("empty the work folder"))?;
    if let Some(bytes) = task.memory {
        tmpfs(&task.work, &format!("mode=0755,size={bytes}"))?;
    }
    let input = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(Failure::when("read the tree"))?;
    let input = BufReader::with_capacity(1 << 17, std::fs::File::from(input));
    let mut owners = task.note_owners.then(Owners::default);
    let owning = owners.as_mut().map_or(Owning::Keep, Owning::Note);
    materialise_archive(Streamed(input), &task.work, owning).map_err(|error| {
        let cause = error.source.to_string();
        Failure::new(format_args!("{error}: {cause}"))
    })?;
    system_folders(&task.work)?;
    pivot(&task.work)?;
    let done = match &mut owners {
        Some(owners) => supervised(owners, || run_scripts(task.epoch)),
        None => run_scripts(task.epoch),
    };
    let result = done.and_then(|()| write_result(task.epoch, owners.as_ref()));
    if task.memory.is_none() {
        // Its files belong to users that only exist in here, so nobody else could remove them.
        let emptied = empty(Path::new("/"));
        result?;
        return emptied.map_err(Failure::when("empty the work folder"));
    }
    result
}

fn run_scripts(epoch: i64) -> Result<(), Failure> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    executable(Path::new(POLICY), "#!/bin/sh\nexit 101\n")
        .map_err(Failure::when("forbid services"))?;
    let nothing = Path::new("/dev/nothing");
    executable(nothing, "#!/bin/sh\nexit 0\n").map_err(Failure::when("silence programs"))?;
    let silenced: Vec<&str> = SILENCED
        .into_iter()
        .filter(|program| Path::new(program).exists())
        .collect();
    for program in &silenced {
        mount_bind(nothing, *program).map_err(Failure::when(format_args!("silence {program}")))?;
    }
    let all = packages().map_err(Failure::when("read dpkg's database"))?;
    for script in with_preinst()? {
        preinst(&script, &all, epoch)?;
    }
    let code = supervise(command("dpkg", epoch).args([
        "--force-unsafe-io",
        "--force-confnew",
        "--configure",
        "-a",
    ]))?;
    if code != 0 {
        return Err(Failure::new(format_args!(
            "dpkg ended with exit code {code}"
        )));
    }
    for program in silenced {
        let _ = unmount(program, UnmountFlags::DETACH);
    }
    all_installed()
}

/// Packages in which something is still to be done would come to nodes half-configured.
fn all_installed() -> Result<(), Failure> {
    let packages = packages().map_err(Failure::when("read dpkg's database"))?;
    match packages
        .iter()
        .find(|package| package.status != "install ok installed")
    {
        None => Ok(()),
        Some(package) => Err(Failure {
            package: Some(package.name.clone()),
            message: format!("dpkg leaves it in the state `{}`", package.status),
        }),
    }
}

#[derive(Default)]
struct Package {
    name: String,
    status: String,
    architecture: String,
}

fn packages() -> io::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for line in fs::read_to_string("/var/lib/dpkg/status")?.lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            packages.push(Package {
                name: name.to_owned(),
                ..Package::default()
            });
        }
        if let Some(package) = packages.last_mut() {
            if let Some(status) = line.strip_prefix("Status: ") {
                status.clone_into(&mut package.status);
            } else if let Some(architecture) = line.strip_prefix("Architecture: ") {
                architecture.clone_into(&mut package.architecture);
            }
        }
    }
    Ok(packages)
}

fn with_preinst() -> Result<Vec<String>, Failure> {
    let failed = "read dpkg's database";
    let mut packages = BTreeSet::new();
    for entry in fs::read_dir(INFO).map_err(Failure::when(failed))? {
        let entry = entry.map_err(Failure::when(failed))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(package) = name.strip_suffix(".preinst") {
            packages.insert(package.to_owned());
        }
    }
    // The users that the others may ask for.
    let (mut first, rest): (Vec<_>, Vec<_>) =
        packages.into_iter().partition(|name| name == "base-passwd");
    first.extend(rest);
    Ok(first)
}

fn preinst(script: &str, all: &[Package], epoch: i64) -> Result<(), Failure> {
    let name = script.split(':').next().unwrap_or(script);
    let architecture = all
        .iter()
        .find(|package| package.name == name)
        .map_or("", |package| &package.architecture);
    let mut script = command(&format!("{INFO}/{script}.preinst"), epoch);
    script
        .arg("install")
        .env("DPKG_MAINTSCRIPT_PACKAGE", name)
        .env("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1")
        .env("DPKG_MAINTSCRIPT_ARCH", architecture)
        .env("DPKG_MAINTSCRIPT_NAME", "preinst")
        .env("DPKG_RUNNING_VERSION", "1.22.0")
        .env("DPKG_ADMINDIR", "/var/lib/dpkg")
        .env("DPKG_ROOT", "");
    let code = supervise(&mut script)?;
    if code != 0 {
        return Err(Failure {
            package: Some(name.to_owned()),
            message: format!("its script `preinst install` ended with exit code {code}"),
        });
    }
    Ok(())
}

/// A command with the environment of scripts, whose output is kept for the error.
fn command(program: &str, epoch: i64) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("DEBCONF_NOWARNINGS", "yes"),
            ("SYSTEMD_OFFLINE", "1"),
            ("PERL_HASH_SEED", "0"),
            ("PERL_PERTURB_KEYS", "0"),
            ("PYTHONHASHSEED", "0"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ])
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .current_dir("/")
        .stdin(Stdio::null());
    // Standard output is the result's; if it cannot be doubled nothing is shown at all.
    command.stdout(
        io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .map_or_else(|_| Stdio::null(), Stdio::from),
    );
    command
}

fn write_result(epoch: i64, owners: Option<&Owners>) -> Result<(), Failure> {
    for folder in ["/proc", "/dev"] {
        unmount(folder, UnmountFlags::DETACH).map_err(Failure::when("unmount"))?;
    }
    let mut tree = scan(Path::new("/"), owners).map_err(Failure::when("read the result"))?;
    normalise(&mut tree, epoch);
    let out = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(Failure::when("write the result"))?;
    let mut out = BufWriter::with_capacity(1 << 17, std::fs::File::from(out));
    write_tar(&tree, &mut out).map_err(Failure::when("write the result"))?;
    out.flush().map_err(Failure::when("write the result"))
}

fn executable(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
