//! Children of the initrd that run in the new root.

use std::{io, os::unix::process::CommandExt as _, path::Path, process::Command};

/// Lets a command run with `root` as its root folder.
#[expect(unsafe_code, reason = "Command has no chroot on stable")]
pub fn in_root<'a>(command: &'a mut Command, root: &Path) -> &'a mut Command {
    let root = root.to_owned();
    let enter = move || -> io::Result<()> {
        rustix::process::chroot(&root)?;
        rustix::process::chdir("/")?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls; the path was allocated
    // before, and converting it allocates only on the stack for paths of this length.
    unsafe { command.pre_exec(enter) }
}
