//! The system calls that have no safe form elsewhere.

use std::{
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use rustix::{
    process::{Signal, set_parent_process_death_signal},
    thread::{UnshareFlags, unshare_unsafe},
};

/// Lets the kernel kill a child when the thread that starts it ends, as all threads of a killed
/// process do: what goes on writing would write into what the next run makes.
#[expect(unsafe_code, reason = "std has no safe call for prctl(2) in a child")]
pub fn end_with_us(command: &mut Command) -> &mut Command {
    let set = || -> io::Result<()> { Ok(set_parent_process_death_signal(Some(Signal::KILL))?) };
    // SAFETY: between fork and exec the closure makes one system call, allocates nothing and
    // takes no lock.
    unsafe { command.pre_exec(set) }
}

/// Leaves namespaces of the parent for new ones.
#[expect(unsafe_code, reason = "rustix marks unshare(2) unsafe for CLONE_FILES")]
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    let namespaces = namespaces.difference(UnshareFlags::FILES);
    // SAFETY: what can break other code is a file table that is no longer shared between
    // threads (CLONE_FILES), and that flag is taken out above.
    Ok(unsafe { unshare_unsafe(namespaces) }?)
}

/// A system call that waits for an answer (`seccomp_unotify(2)`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    id: u64,
    /// The thread that made it.
    pub(crate) thread: u32,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

/// What a system call that waits is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it as it is.
    Continue,
    /// It is done.
    Done,
    /// It failed with this error number.
    Failed(i32),
}

/// Puts system calls of this thread, and of all processes that it starts, under a filter, and
/// returns where the calls that wait come in.
#[expect(unsafe_code, reason = "nothing wraps seccomp(2)")]
pub(crate) fn listen(filter: &mut [libc::sock_filter]) -> io::Result<OwnedFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_mut_ptr(),
    };
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: `program` points to `filter`, which lives and is not changed during the call;
    // the kernel checks and copies it.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    let listener = RawFd::try_from(listener)
        .ok()
        .filter(|listener| *listener >= 0)
        .ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the call returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// The next call that waits; `None` if who made it has ended meanwhile.
#[expect(unsafe_code, reason = "nothing wraps SECCOMP_IOCTL_NOTIF_RECV")]
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<Option<Call>> {
    // SAFETY: the structure is made of integers, and the kernel wants it to be all zeros.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure of this type, which `call` is.
    let done = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut call,
        )
    };
    if done < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    Ok(Some(Call {
        id: call.id,
        thread: call.pid,
        number: call.data.nr.into(),
        arguments: call.data.args,
    }))
}

/// Answers a call. That its maker has ended meanwhile is no error.
#[expect(unsafe_code, reason = "nothing wraps SECCOMP_IOCTL_NOTIF_SEND")]
pub(crate) fn answer(listener: BorrowedFd<'_>, call: &Call, answer: Answer) -> io::Result<()> {
    let mut response = libc::seccomp_notif_resp {
        id: call.id,
        val: 0,
        error: match answer {
            Answer::Failed(error) => -error,
            _ => 0,
        },
        flags: match answer {
            // The flag is 1; its type differs from the field's in libc.
            Answer::Continue => 1,
            _ => 0,
        },
    };
    // SAFETY: the kernel reads one structure of this type, which `response` is.
    let done = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut response,
        )
    };
    let error = io::Error::last_os_error();
    if done < 0 && error.raw_os_error() != Some(libc::ENOENT) {
        return Err(error);
    }
    Ok(())
}
