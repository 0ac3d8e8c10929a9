//! The mounts of the initrd and of the new root, and the switch to it.

use std::{
    convert::Infallible, ffi::CString, io, os::unix::process::CommandExt as _, path::Path,
    process::Command,
};

use fs_err as fs;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_move,
};

use super::{At as _, CommandLine, InitError, Mode, disk::Disk, log, mode, verity};

const STEP: &str = "mounts";

/// Mounts what the kernel gives: /dev, /proc, /sys and a /run that the root will keep.
pub(super) fn mount_kernel_file_systems() -> Result<(), InitError> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounts = [
        ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
        ("proc", "/proc", quiet, c""),
        ("sysfs", "/sys", quiet, c""),
        (
            "tmpfs",
            "/run",
            MountFlags::NOSUID | MountFlags::NODEV,
            c"mode=0755,size=20%",
        ),
    ];
    for (kind, target, flags, data) in mounts {
        fs::create_dir_all(target).at(STEP, target)?;
        match mount(kind, target, kind, flags, Some(data)) {
            // The kernel itself mounts /dev where it is configured so.
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(error).at(STEP, target),
        }
    }
    Ok(())
}

/// Mounts the root of the slot, verified on each read.
pub(super) fn mount_verified(
    disk: &Disk,
    root_hash: &[u8; 32],
    sysroot: &Path,
) -> Result<(), InitError> {
    let part = |number: u32| {
        disk.partition(number)
            .ok_or_else(|| InitError::new("root", format!("partition {number} went away")))
    };
    let (data, hash) = (part(disk.root.number)?, part(disk.verity.number)?);
    let device = verity::activate("root", &data, &hash, 0, root_hash).at(
        "verity",
        &format!("cannot verify the root on `{}`", data.display()),
    )?;
    fs::create_dir_all(sysroot).at("root", "cannot make the mount point")?;
    mount(
        &device,
        sysroot,
        "erofs",
        MountFlags::RDONLY,
        None::<&std::ffi::CStr>,
    )
    .at(
        "root",
        &format!(
            "cannot mount the verified root on `{}` (erofs); \
             a corrupted block is named in the kernel's log below",
            data.display()
        ),
    )
}

/// Makes the rest of the tree below the mounted root: /etc as an overlay in memory, and the
/// folders that are kept on the state partition.
pub(super) fn assemble(sysroot: &Path) -> Result<(), InitError> {
    const STEP: &str = "tree";
    for folder in ["upper", "work"] {
        fs::create_dir_all(Path::new("/run/lifeboat/etc").join(folder)).at(STEP, "/etc")?;
    }
    let etc = sysroot.join("etc");
    let options = format!(
        "lowerdir={},upperdir=/run/lifeboat/etc/upper,workdir=/run/lifeboat/etc/work",
        etc.display()
    );
    let options = CString::new(options).at(STEP, "/etc")?;
    mount(
        "overlay",
        &etc,
        "overlay",
        MountFlags::empty(),
        Some(&*options),
    )
    .at(STEP, "cannot mount the overlay of /etc")?;

    let var = sysroot.join("var");
    for (kept, place, mode) in [
        ("lifeboat/kubernetes", "etc/kubernetes", 0o755),
        ("lifeboat/root", "root", 0o700),
        ("home", "home", 0o755),
        ("srv", "srv", 0o755),
        ("opt", "opt", 0o755),
    ] {
        let (from, to) = (var.join(kept), sysroot.join(place));
        make_folder(&from, mode).at(STEP, place)?;
        // Only /etc can be added to; the others are in the image or not wanted.
        if place.starts_with("etc/") {
            fs::create_dir_all(&to).at(STEP, place)?;
        }
        if let Err(error) = mount_bind(&from, &to) {
            if error != rustix::io::Errno::NOENT {
                return Err(error).at(STEP, &format!("cannot bind /{place}"));
            }
            log(4, &format!("the image has no /{place} to mount on"));
        }
    }
    Ok(())
}

/// Makes a folder with this mode, whatever the umask; one that is there keeps its own.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

/// Moves the kernel's mounts into the new root and makes it `/`. The old one, the initrd, is
/// emptied: it would stay in memory.
pub(super) fn enter(sysroot: &Path) -> Result<(), InitError> {
    const STEP: &str = "switch";
    for place in ["dev", "proc", "sys", "run"] {
        mount_move(Path::new("/").join(place), sysroot.join(place))
            .at(STEP, &format!("cannot move /{place} to the new root"))?;
    }
    free_initrd();
    rustix::process::chdir(sysroot).at(STEP, "cannot enter the new root")?;
    mount_move(".", "/").at(STEP, "cannot move the new root to /")?;
    rustix::process::chroot(".").at(STEP, "cannot make the new root /")?;
    rustix::process::chdir("/").at(STEP, "cannot enter /")?;
    // As systemd would do itself; mounts made by containers must be seen everywhere.
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::SHARED,
    )
    .at(STEP, "cannot share the mounts")
}

/// Starts the root's own init in place of this one.
pub(super) fn start_init(line: &CommandLine, mode: Mode) -> Result<Infallible, InitError> {
    let init = line.init.as_deref().unwrap_or("/usr/lib/systemd/systemd");
    let error = Command::new(init)
        .args(mode::unit(mode, line.says_rescue))
        .env_clear()
        .exec();
    Err(InitError::new(
        "switch",
        format!("cannot start {init}: {error}"),
    ))
}

/// Removes the initrd's files. Mount points stay: they are on other file systems.
fn free_initrd() {
    for folder in ["/lib", "/usr"] {
        // What cannot be removed only costs memory.
        let _ = fs::remove_dir_all(folder);
    }
    let _ = fs::remove_file("/init");
}
