//! Lets programs believe that they give files to other users, where there are none.
//!
//! An ordinary user on a host without `newuidmap` is the only user of their namespace. What
//! programs do with owners then stops at a seccomp filter and is answered from here: changes
//! are noted ([`Owners`]), and who asks is told what is noted.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::AsFd as _,
        unix::{
            ffi::OsStringExt as _,
            fs::{FileExt as _, PermissionsExt as _},
        },
    },
    path::PathBuf,
    sync::mpsc,
    thread,
};

use fs_err as fs;
use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{AtFlags, Statx},
};

use crate::{
    job::Failure,
    owners::{Key, Owners, look_with, mode_of_list},
    sys::{self, Answer, Call},
};

/// Calls about owners, which come here.
const ANSWERED: [i64; 12] = [
    libc::SYS_stat,
    libc::SYS_fstat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_chown,
    libc::SYS_fchown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
];
/// Calls that become another user: there is none, so they do nothing.
const IGNORED: [i64; 9] = [
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setgroups,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
];
/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const X86_64: u32 = 0xc000_003e;
/// Where the processor and the number of a call stand in `struct seccomp_data`.
const ARCHITECTURE_AT: u32 = 4;
const NUMBER_AT: u32 = 0;

/// Does `work` in a thread of its own, whose programs are answered from `owners`.
pub(crate) fn supervised<T: Send>(
    owners: &mut Owners,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let worker = scope.spawn(move || {
            let listener =
                sys::listen(&mut filter()).map_err(Failure::when("watch system calls"))?;
            sender
                .send(listener)
                .map_err(Failure::when("watch system calls"))?;
            drop(sender);
            work()
        });
        if let Ok(listener) = receiver.recv() {
            let mut ready = [PollFd::new(&listener, PollFlags::IN)];
            let patience = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            loop {
                match poll(&mut ready, Some(&patience)) {
                    Ok(0) if worker.is_finished() => break,
                    Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                    Ok(_) if ready[0].revents().contains(PollFlags::IN) => {}
                    _ => break,
                }
                let call = sys::receive(listener.as_fd());
                if let Some(call) = call.map_err(Failure::when("watch system calls"))? {
                    let answer = answer(&call, owners).unwrap_or_else(|error| {
                        Answer::Failed(error.raw_os_error().unwrap_or(libc::EIO))
                    });
                    sys::answer(listener.as_fd(), &call, answer)
                        .map_err(Failure::when("watch system calls"))?;
                }
            }
        }
        worker
            .join()
            .unwrap_or_else(|_| Err(Failure::new("the sandbox' thread ended early")))
    })
}

/// The filter: calls of another processor's kind and all others are let through.
fn filter() -> Vec<sock_filter> {
    let load = |at| instruction(BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
    let give = |value| instruction(BPF_RET | BPF_K, value, 0, 0);
    let equals = |value, yes, no| instruction(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
    let mut filter = vec![
        load(ARCHITECTURE_AT),
        equals(X86_64, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        load(NUMBER_AT),
    ];
    let answered = ANSWERED.map(|number| (number, libc::SECCOMP_RET_USER_NOTIF));
    let ignored = IGNORED.map(|number| (number, libc::SECCOMP_RET_ERRNO));
    for (number, action) in answered.into_iter().chain(ignored) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        filter.extend([equals(number, 0, 1), give(action)]);
    }
    filter.push(give(libc::SECCOMP_RET_ALLOW));
    filter
}

fn instruction(code: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        // All codes of classic BPF are below 256.
        code: u16::try_from(code).unwrap_or_default(),
        jt: yes,
        jf: no,
        k: value,
    }
}

/// A file that a call names, and how.
struct Named {
    path: PathBuf,
    follow: bool,
}

fn answer(call: &Call, owners: &mut Owners) -> io::Result<Answer> {
    let [first, second, third, fourth, fifth, _] = call.arguments;
    let caller = Caller::of(call);
    match call.number {
        libc::SYS_stat => caller.stat(&caller.path(first, true)?, second, owners),
        libc::SYS_lstat => caller.stat(&caller.path(first, false)?, second, owners),
        libc::SYS_fstat => caller.stat(&caller.descriptor(first), second, owners),
        libc::SYS_newfstatat => caller.stat(&caller.at(first, second, fourth)?, third, owners),
        libc::SYS_statx => caller.statx(&caller.at(first, second, third)?, fifth, owners),
        libc::SYS_chown => chown(&caller.path(first, true)?, second, third, owners),
        libc::SYS_lchown => chown(&caller.path(first, false)?, second, third, owners),
        libc::SYS_fchown => chown(&caller.descriptor(first), second, third, owners),
        libc::SYS_fchownat => chown(&caller.at(first, second, fifth)?, third, fourth, owners),
        libc::SYS_setxattr => {
            caller.attribute(&caller.path(first, true)?, second, third, fourth, owners)
        }
        libc::SYS_lsetxattr => {
            caller.attribute(&caller.path(first, false)?, second, third, fourth, owners)
        }
        libc::SYS_fsetxattr => {
            caller.attribute(&caller.descriptor(first), second, third, fourth, owners)
        }
        _ => Ok(Answer::Continue),
    }
}

fn look(named: &Named) -> io::Result<Statx> {
    let flags = if named.follow {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    look_with(&named.path, flags)
}

fn chown(named: &Named, uid: u64, gid: u64, owners: &mut Owners) -> io::Result<Answer> {
    let file = look(named)?;
    owners.own(Key::of(&file), low(uid), low(gid));
    // A change of owner takes set-user-id and set-group-id bits from what can be executed
    // (chown(2)).
    let mode = u32::from(file.stx_mode);
    let regular = mode & libc::S_IFMT == libc::S_IFREG;
    let mut left = mode & 0o7777 & !0o4000;
    if mode & 0o010 != 0 {
        left &= !0o2000;
    }
    if regular && left != mode & 0o7777 {
        fs::set_permissions(&named.path, std::fs::Permissions::from_mode(left))?;
    }
    Ok(Answer::Done)
}

/// Who made a call.
struct Caller {
    thread: u32,
}

impl Caller {
    fn of(call: &Call) -> Self {
        Self {
            thread: call.thread,
        }
    }

    fn process(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }

    fn memory(&self) -> io::Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.process("mem"))
    }

    /// Text that ends with a NUL byte, in the caller's memory.
    fn text(&self, at: u64) -> io::Result<Vec<u8>> {
        let memory = self.memory()?;
        let mut text = Vec::new();
        let mut page = [0; 4096];
        while text.len() <= 4096 {
            // Never over a page's end: the next one need not be there.
            let here = at + text.len() as u64;
            let length = usize::try_from(4096 - here % 4096).unwrap_or(1).min(256);
            let read = memory.read_at(&mut page[..length], here)?;
            if let Some(end) = page[..read].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&page[..end]);
                return Ok(text);
            }
            if read == 0 {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
            text.extend_from_slice(&page[..read]);
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    fn descriptor(&self, descriptor: u64) -> Named {
        Named {
            path: self.process(&format!("fd/{}", low(descriptor))),
            follow: true,
        }
    }

    fn path(&self, at: u64, follow: bool) -> io::Result<Named> {
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        self.at(
            u64::from(libc::AT_FDCWD.cast_unsigned()),
            at,
            u64::from(flags.cast_unsigned()),
        )
    }

    fn at(&self, folder: u64, path: u64, flags: u64) -> io::Result<Named> {
        let flags = low(flags).cast_signed();
        // Since Linux 6.11 the path may be missing as well.
        let text = if path == 0 && flags & libc::AT_EMPTY_PATH != 0 {
            Vec::new()
        } else {
            self.text(path)?
        };
        if text.is_empty() {
            if flags & libc::AT_EMPTY_PATH == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOENT));
            }
            if low(folder).cast_signed() == libc::AT_FDCWD {
                return Ok(Named {
                    path: self.process("cwd"),
                    follow: true,
                });
            }
            return Ok(self.descriptor(folder));
        }
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let text = PathBuf::from(OsString::from_vec(text));
        let path = if let Ok(own) = text.strip_prefix("/proc/self") {
            self.process("").join(own)
        } else if low(folder).cast_signed() == libc::AT_FDCWD {
            self.process("cwd").join(text)
        } else {
            self.descriptor(folder).path.join(text)
        };
        Ok(Named { path, follow })
    }

    /// Writes `struct stat` with the noted owner; without a note the kernel does it all.
    fn stat(&self, named: &Named, to: u64, owners: &Owners) -> io::Result<Answer> {
        let Ok(file) = look(named) else {
            return Ok(Answer::Continue);
        };
        let Some(note) = owners.get(&Key::of(&file)) else {
            return Ok(Answer::Continue);
        };
        let device = rustix::fs::makedev(file.stx_dev_major, file.stx_dev_minor);
        let special = rustix::fs::makedev(file.stx_rdev_major, file.stx_rdev_minor);
        let mut bytes = [0; 144];
        put(&mut bytes, 0, device);
        put(&mut bytes, 8, file.stx_ino);
        put(&mut bytes, 16, u64::from(file.stx_nlink));
        put(&mut bytes, 24, pair(u32::from(file.stx_mode), note.uid));
        put(&mut bytes, 32, u64::from(note.gid));
        put(&mut bytes, 40, special);
        put(&mut bytes, 48, file.stx_size);
        put(&mut bytes, 56, u64::from(file.stx_blksize));
        put(&mut bytes, 64, file.stx_blocks);
        let times = [file.stx_atime, file.stx_mtime, file.stx_ctime];
        for (at, time) in [72, 88, 104].into_iter().zip(times) {
            put(&mut bytes, at, time.tv_sec.cast_unsigned());
            put(&mut bytes, at + 8, u64::from(time.tv_nsec));
        }
        self.memory()?.write_all_at(&bytes, to)?;
        Ok(Answer::Done)
    }

    /// As [`Caller::stat`], for `struct statx`.
    fn statx(&self, named: &Named, to: u64, owners: &Owners) -> io::Result<Answer> {
        let Ok(file) = look(named) else {
            return Ok(Answer::Continue);
        };
        let Some(note) = owners.get(&Key::of(&file)) else {
            return Ok(Answer::Continue);
        };
        let mut bytes = [0; 256];
        put(&mut bytes, 0, pair(file.stx_mask, file.stx_blksize));
        put(&mut bytes, 16, pair(file.stx_nlink, note.uid));
        put(&mut bytes, 24, pair(note.gid, u32::from(file.stx_mode)));
        put(&mut bytes, 32, file.stx_ino);
        put(&mut bytes, 40, file.stx_size);
        put(&mut bytes, 48, file.stx_blocks);
        let times = [
            file.stx_atime,
            file.stx_btime,
            file.stx_ctime,
            file.stx_mtime,
        ];
        for (at, time) in [64, 80, 96, 112].into_iter().zip(times) {
            put(&mut bytes, at, time.tv_sec.cast_unsigned());
            put(&mut bytes, at + 8, u64::from(time.tv_nsec));
        }
        put(
            &mut bytes,
            128,
            pair(file.stx_rdev_major, file.stx_rdev_minor),
        );
        put(
            &mut bytes,
            136,
            pair(file.stx_dev_major, file.stx_dev_minor),
        );
        self.memory()?.write_all_at(&bytes, to)?;
        Ok(Answer::Done)
    }

    fn attribute(
        &self,
        named: &Named,
        name: u64,
        value: u64,
        size: u64,
        owners: &mut Owners,
    ) -> io::Result<Answer> {
        let name = self.text(name)?;
        if !Owners::takes(&name) {
            return Ok(Answer::Continue);
        }
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= 1 << 16)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::E2BIG))?;
        let mut bytes = vec![0; size];
        self.memory()?.read_exact_at(&mut bytes, value)?;
        let file = look(named)?;
        let mode = u32::from(file.stx_mode) & 0o7777;
        if let Some(mode) = mode_of_list(&name, &bytes, mode) {
            fs::set_permissions(&named.path, std::fs::Permissions::from_mode(mode))?;
        }
        owners.set(Key::of(&file), &name, &bytes);
        Ok(Answer::Done)
    }
}

/// The low half of a register: what a 32-bit argument is.
fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}

/// Two 32-bit fields, the first at the lower address.
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
