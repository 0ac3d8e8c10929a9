//! The process that becomes a sandbox.
//!
//! It is started twice. *Outside* makes the namespaces; its first child is process 1 of the
//! new process namespace, *inside*, mounts what is needed and starts the program. Each is
//! killed with its parent, and with process 1 everything in its namespace.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use fs_err as fs;
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change},
    process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, wait},
    thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::{
    job::{ARGUMENT, FAILED, FAILURE, Failure, GREETING, Job, Mount, Network, Run, Task},
    scripts, sys,
};

/// Becomes a sandbox if this process was started as one. To be called first in `main`, before
/// any thread is started; then `main` returns the exit code, if there is one.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     if let Some(code) = lifeboat_sandbox::helper_main() {
///         return code;
///     }
///     ExitCode::SUCCESS
/// }
/// ```
pub fn helper_main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let stage = arguments.next()?.into_string().ok()?;
    let text = arguments.next()?.into_string().ok()?;
    let result = serde_json::from_str(&text)
        .map_err(Failure::when("read the sandbox' task"))
        .and_then(|job: Job| match stage.as_str() {
            "outside" => outside(&job, &text),
            _ => inside(&job),
        });
    Some(ExitCode::from(result.unwrap_or_else(|failure| {
        let text = serde_json::to_string(&failure).unwrap_or_default();
        // Nobody is left to tell if standard error is gone.
        let _ = write!(io::stderr(), "\n{FAILURE}{text}\n");
        FAILED
    })))
}

fn outside(job: &Job, text: &str) -> Result<u8, Failure> {
    die_with_parent()?;
    if job.user_namespace {
        sys::unshare(UnshareFlags::NEWUSER).map_err(|error| {
            Failure::new(format_args!(
                "this host gives no user namespace to ordinary users ({error}); allow it with \
                 `sysctl kernel.unprivileged_userns_clone=1` or \
                 `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run this as root"
            ))
        })?;
    }
    let told = io::stdout().write_all(GREETING);
    told.and_then(|()| io::stdout().flush())
        .map_err(Failure::when("answer"))?;
    let mut go = [0];
    match rustix::io::read(io::stdin().as_fd(), &mut go) {
        Ok(1) => {}
        _ => return Err(Failure::new("the parent is gone")),
    }
    if job.user_namespace {
        become_root()?;
        die_with_parent()?;
    }
    let mut namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    if job.network == Network::None {
        namespaces |= UnshareFlags::NEWNET;
    }
    sys::unshare(namespaces).map_err(|error| {
        Failure::new(format_args!(
            "cannot make namespaces ({error}); in a container, give it the capability SYS_ADMIN \
             or run this as an ordinary user"
        ))
    })?;
    let status = Command::new("/proc/self/exe")
        .args([ARGUMENT, "inside", text])
        .status()
        .map_err(Failure::when("start the sandbox' first process"))?;
    Ok(exit_code(status.code(), status))
}

fn become_root() -> Result<(), Failure> {
    use rustix::process::{Gid, Uid};
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    // Where one id only is mapped, groups cannot be set, and there are none to be had.
    let _ = set_thread_groups(&[]);
    set_thread_res_gid(gid, gid, gid).map_err(Failure::when("become root's group"))?;
    set_thread_res_uid(uid, uid, uid).map_err(Failure::when("become root"))
}

fn die_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Failure::when("follow the parent's end"))
}

fn inside(job: &Job) -> Result<u8, Failure> {
    die_with_parent()?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(Failure::when("keep mounts apart from the host's"))?;
    rustix::system::sethostname(b"localhost").map_err(Failure::when("set the host name"))?;
    match &job.task {
        Task::Run(task) => run(task),
        Task::Configure(task) => scripts::configure(task).map(|()| 0),
    }
}

fn run(task: &Run) -> Result<u8, Failure> {
    for given in &task.mounts {
        match given {
            Mount::Bind { from, to } => {
                mount_bind_recursive(from, to)
                    .map_err(Failure::when(format_args!("show {}", from.display())))?;
            }
            Mount::Tmpfs { to } => tmpfs(to, "mode=0755")?,
        }
    }
    if let Some(root) = &task.root {
        pivot(root)?;
    }
    if Path::new("/proc").is_dir() {
        // A host that hides parts of its own /proc does not give a new one; then the host's
        // stays, or none.
        let _ = mount("proc", "/proc", "proc", MountFlags::empty(), None);
    }
    let mut command = Command::new(&task.program);
    command
        .args(&task.arguments)
        .envs(task.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    if let Some(folder) = &task.folder {
        command.current_dir(folder);
    }
    supervise(&mut command)
}

/// Starts a command and waits for it, as process 1: everybody's orphans are waited for too.
pub(crate) fn supervise(command: &mut Command) -> Result<u8, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .spawn()
        .map_err(Failure::when(format_args!("start `{program}`")))?;
    let child = Pid::from_child(&child);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                let code = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                return Ok(code
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(FAILED));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::new(format_args!("cannot wait: {error}"))),
        }
    }
}

pub(crate) fn tmpfs(to: &Path, options: &str) -> Result<(), Failure> {
    let options = std::ffi::CString::new(options).map_err(Failure::when("mount"))?;
    mount("tmpfs", to, "tmpfs", MountFlags::NOSUID, options.as_c_str()).map_err(Failure::when(
        format_args!("mount a tmpfs at {}", to.display()),
    ))
}

/// Makes a mount point the root and lets go of the old one.
pub(crate) fn pivot(root: &Path) -> Result<(), Failure> {
    let failed = || format!("make {} the root", root.display());
    // Must be a mount point, which it then is in any case.
    mount_bind_recursive(root, root).map_err(Failure::when(failed()))?;
    std::env::set_current_dir(root).map_err(Failure::when(failed()))?;
    rustix::process::pivot_root(".", ".").map_err(Failure::when(failed()))?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)
        .map_err(Failure::when(failed()))?;
    std::env::set_current_dir("/").map_err(Failure::when(failed()))
}

fn exit_code(code: Option<i32>, status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    code.or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(FAILED)
}

/// Puts a folder of device nodes and one of processes where the root's are.
pub(crate) fn system_folders(root: &Path) -> Result<(), Failure> {
    let dev = root.join("dev");
    for folder in ["dev", "proc"] {
        fs::create_dir_all(root.join(folder)).map_err(Failure::when("make folders"))?;
    }
    tmpfs(&dev, "mode=0755,size=1m")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = dev.join(name);
        fs::write(&node, "").map_err(Failure::when("make device nodes"))?;
        mount_bind_recursive(Path::new("/dev").join(name), &node)
            .map_err(Failure::when(format_args!("show /dev/{name}")))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, dev.join(name))
            .map_err(Failure::when("make device nodes"))?;
    }
    fs::create_dir(dev.join("shm")).map_err(Failure::when("make device nodes"))?;
    let proc = root.join("proc");
    if mount("proc", &proc, "proc", MountFlags::empty(), None).is_err() {
        // As above: a host that hides parts of its own.
        mount_bind_recursive("/proc", &proc).map_err(Failure::when("show /proc"))?;
    }
    Ok(())
}
