//! A folder that is `/` for all that is applied: no path, `..` or symbolic link leads out of it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat,
        openat2, readlinkat, renameat, statat, symlinkat, unlinkat,
    },
    io::Errno,
};

use super::state::{NewFile, Place};

/// The most that is read of a file to compare it, and that is kept of it for the way back.
const MOST_BYTES: u64 = 64 << 20;

/// Whether owners are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// As wanted; needs root.
    Set,
    /// All is owned by who runs this.
    Own,
}

/// A folder that is `/`.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    owners: Owners,
}

/// The parts of a path below the root. `..` goes up, but never out; what is relative starts at
/// the root.
pub(crate) fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The one spelling of a path below the root, with `/` at its start.
pub(crate) fn normal(path: &str) -> String {
    format!("/{}", parts(path).join("/"))
}

impl Root {
    /// Takes a folder as the root.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let owners = if rustix::process::geteuid().is_root() {
            Owners::Set
        } else {
            Owners::Own
        };
        Ok(Self {
            folder: rustix::fs::open(path, flags, Mode::empty())?,
            owners,
        })
    }

    /// Whether owners are set.
    pub fn owners(&self) -> Owners {
        self.owners
    }

    fn resolve(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.folder,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            inside,
        )
    }

    fn folder(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// The folder that a path is in, and its last part. `None` if the folder is not there.
    fn parent<'p>(&self, path: &'p str) -> io::Result<Option<(OwnedFd, &'p str)>> {
        let mut parts = parts(path);
        let name = parts.pop().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path names the root itself",
            )
        })?;
        match self.folder(&parts.join("/")) {
            Ok(folder) => Ok(Some((folder, name))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.blame(&parts, error)),
        }
    }

    /// The same, with the folders made that are missing, of mode 0755.
    fn made_parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        if let Some(found) = self.parent(path)? {
            return Ok(found);
        }
        let mut parts = parts(path);
        // `parent` has refused a path without one.
        let name = parts.pop().unwrap_or_default();
        Ok((self.make_folders(&parts)?, name))
    }

    fn make_folders(&self, parts: &[&str]) -> io::Result<OwnedFd> {
        let mut folder = self.folder("")?;
        for end in 1..=parts.len() {
            let upto = parts[..end].join("/");
            folder = match self.folder(&upto) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    let name = parts[end - 1];
                    mkdirat(&folder, name, Mode::from_raw_mode(0o755)).map_err(|error| {
                        // A link that leads nowhere: there is an entry and there is no folder.
                        if error == Errno::EXIST {
                            named(&upto, Errno::NOTDIR)
                        } else {
                            named(&upto, error)
                        }
                    })?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    let made = openat(&folder, name, flags | OFlags::CLOEXEC, Mode::empty())?;
                    // The umask has no say.
                    fchmod(&made, Mode::from_raw_mode(0o755))?;
                    made
                }
                Err(error) => return Err(self.blame(&parts[..end], error)),
            };
        }
        Ok(folder)
    }

    /// Names the part of a path that is in the way.
    fn blame(&self, parts: &[&str], error: Errno) -> io::Error {
        for end in 1..=parts.len() {
            let upto = parts[..end].join("/");
            if let Err(error) = self.folder(&upto) {
                return named(&upto, error);
            }
        }
        error.into()
    }

    /// What is at a path. The path's own last part is not followed if it is a symbolic link.
    pub fn look(&self, path: &str) -> io::Result<Place> {
        let Some((folder, name)) = self.parent(path)? else {
            return Ok(Place::Nothing);
        };
        let stat = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Place::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mode = stat.st_mode & 0o7777;
        let (uid, gid) = (stat.st_uid, stat.st_gid);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(&folder, name, Vec::new())?;
                Ok(Place::Link(target.to_string_lossy().into_owned()))
            }
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                if size > MOST_BYTES {
                    return Ok(Place::Large { size });
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = File::from(openat(&folder, name, flags, Mode::empty())?);
                let mut bytes = Vec::new();
                file.take(MOST_BYTES).read_to_end(&mut bytes)?;
                Ok(Place::File(NewFile {
                    bytes,
                    mode,
                    uid,
                    gid,
                }))
            }
            FileType::Directory => Ok(Place::Folder { mode, uid, gid }),
            _ => Ok(Place::Other),
        }
    }

    /// The bytes of a file, with symbolic links followed inside the root. `None` if there is
    /// none.
    pub fn bytes(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.resolve(&parts(path).join("/"), OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Opens a file to read, with symbolic links followed inside the root.
    pub fn file(&self, path: &str) -> io::Result<fs_err::File> {
        let file = self.resolve(&parts(path).join("/"), OFlags::RDONLY)?;
        Ok(fs_err::File::from_parts(File::from(file), path))
    }

    /// The names in a folder, sorted; none if it is not there.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(folder) = self.resolve(&parts(path).join("/"), OFlags::RDONLY | OFlags::DIRECTORY)
        else {
            return Vec::new();
        };
        let Ok(entries) = rustix::fs::Dir::new(folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != "." && name != "..")
            .collect();
        names.sort();
        names
    }

    /// Whether something is there, with symbolic links followed inside the root.
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(&parts(path).join("/"), OFlags::PATH).is_ok()
    }

    /// Puts a whole file in place of what was there, at once: whoever opens it has the old or
    /// the new one. A symbolic link is itself replaced.
    pub fn put(&self, path: &str, new: &NewFile) -> io::Result<()> {
        let (folder, name) = self.made_parent(path)?;
        let kept = parts(path).first() == Some(&"var");
        replace(&folder, name, |unfinished| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let flags = flags | OFlags::CLOEXEC;
            let mut file = File::from(openat(
                &folder,
                unfinished,
                flags,
                Mode::from_raw_mode(0o600),
            )?);
            file.write_all(&new.bytes)?;
            // In this order: a change of the owner takes special bits away.
            if self.owners == Owners::Set {
                fchown(
                    &file,
                    Some(Uid::from_raw(new.uid)),
                    Some(Gid::from_raw(new.gid)),
                )?;
            }
            fchmod(&file, Mode::from_raw_mode(new.mode))?;
            // What is kept must be whole after a power cut; the rest is in memory.
            if kept {
                file.sync_all()?;
            }
            Ok(())
        })
    }

    /// Puts a symbolic link in place of what was there.
    pub fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let (folder, name) = self.made_parent(path)?;
        replace(&folder, name, |unfinished| {
            Ok(symlinkat(target, &folder, unfinished)?)
        })
    }

    /// Makes a folder, or gives one that is there this mode and owner.
    pub fn make_folder(&self, path: &str, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
        let folder = self.make_folders(&parts(path))?;
        // The descriptor that only names it can change nothing.
        let folder = openat(
            folder.as_fd(),
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if self.owners == Owners::Set {
            fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(fchmod(&folder, Mode::from_raw_mode(mode))?)
    }

    /// Removes a file, a symbolic link or an empty folder. What is not there is no error.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let Some((folder, name)) = self.parent(path)? else {
            return Ok(());
        };
        match unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Ok(unlinkat(&folder, name, AtFlags::REMOVEDIR)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes into a file that is there, such as one of /proc/sys.
    pub fn write_into(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NONBLOCK;
        let file = self.resolve(&parts(path).join("/"), flags)?;
        File::from(file).write_all(bytes)
    }
}

fn named(path: &str, error: Errno) -> io::Error {
    let reason = match error {
        Errno::NOTDIR => "is not a folder".to_owned(),
        Errno::LOOP => "is a symbolic link that leads in a circle".to_owned(),
        error => format!("cannot be used: {}", io::Error::from(error)),
    };
    io::Error::new(io::Error::from(error).kind(), format!("/{path} {reason}"))
}

/// Makes a thing under a name of its own, then gives it this one. Leaves nothing behind where
/// that fails.
fn replace(
    folder: &OwnedFd,
    name: &str,
    make: impl FnOnce(&str) -> io::Result<()>,
) -> io::Result<()> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let unfinished = format!(".lifeboat-{}", crate::init::hex(&random));
    make(&unfinished)
        .and_then(|()| {
            renameat(folder, &unfinished, folder, name).map_err(|error| match error {
                Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "there is a folder of this name",
                ),
                error => error.into(),
            })
        })
        .inspect_err(|_| {
            // The first error is the one to report.
            let _ = unlinkat(folder, &unfinished, AtFlags::empty());
        })
}
