//! `kernel_args`: an add-on beside the kernel, which the boot loader's stub adds to the command
//! line at the next start.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use lifeboat_config::{
    NodeConfig,
    definition::types::system::KernelArgument,
    render::{self, Addon},
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{engine::Outcome, state::NewFile, target::Target};
use crate::{boot::kmod, init::kernel_release};

/// The arguments that the add-on has. The partition that it is on is mounted only if others are
/// wanted.
const KEPT: &str = "/var/lib/lifeboat/kernel-args";
/// Where that partition is mounted meanwhile.
const PLACE: &str = "/run/lifeboat/esp";
/// The label that an image gives it.
const LABEL: &str = "esp";

/// Writes the add-on if it is not as wanted, and says if a restart is.
pub(super) fn apply(config: &NodeConfig, target: &mut Target<'_>, outcome: &mut Outcome) {
    let wanted: Vec<&str> = config
        .kernel_args
        .iter()
        .map(KernelArgument::as_str)
        .collect();
    let wanted = wanted.join("\n");
    let line = target.text("/proc/cmdline");
    let plan = render::plan_kernel_args(config, &line, None);
    if !plan.missing.is_empty() {
        outcome.notes.push(format!(
            "kernel_args take effect at the next start: {}",
            plan.missing.join(" ")
        ));
    }
    if target.text(KEPT) == wanted {
        return;
    }
    if target.is_dry() || target.is_trial() {
        outcome
            .notes
            .push("kernel_args are written without a trial only".to_owned());
        return;
    }
    let done = target.kernel.with_boot_partition(&mut |folder| {
        let path = folder.join(render::KERNEL_ADDON);
        let old = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match render::plan_kernel_args(config, &line, old.as_deref()).addon {
            Addon::Keep => Ok(()),
            Addon::Remove => fs::remove_file(&path),
            Addon::Write(bytes) => replace(&path, &bytes),
        }
    });
    let noted = done.and_then(|()| target.put(KEPT, NewFile::new(wanted, 0o644)));
    outcome.check("kernel_args cannot be written", noted);
}

/// Puts a file there as a whole, on a file system that has neither modes nor owners.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("tmp");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Mounts the partition that this machine's boot loader is on while something is done there.
pub(super) fn on_boot_partition(work: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let device = boot_partition()?;
    let modules = PathBuf::from("/usr/lib/modules").join(kernel_release());
    // Without them the mount fails, and says so.
    let _ = kmod::load(
        &modules,
        ["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1"],
    );
    let place = Path::new(PLACE);
    fs::create_dir_all(place)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(&device, place, "vfat", flags, Some(c"umask=0077"))?;
    let done = work(place);
    rustix::fs::sync();
    unmount(place, UnmountFlags::DETACH)?;
    done
}

/// The partition of that label on the disk that holds /var.
fn boot_partition() -> io::Result<PathBuf> {
    let var = rustix::fs::stat("/var")?.st_dev;
    let (major, minor) = (rustix::fs::major(var), rustix::fs::minor(var));
    let partition = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"))?;
    let disk = partition.parent().unwrap_or(&partition);
    for entry in fs::read_dir(disk)?.flatten() {
        let text = fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        if text
            .lines()
            .any(|line| line.strip_prefix("PARTNAME=") == Some(LABEL))
        {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "the disk of this node has no EFI system partition",
    ))
}
