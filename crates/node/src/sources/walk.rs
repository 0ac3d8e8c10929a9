//! Opens files below a root where the kernel, or a container's filter, knows no openat2(2).

use std::{
    ffi::OsStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::{Errno, Result},
};

/// As many links as Linux follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Opens what is at `path` as if `root` were `/`, step by step: no step can lead out of it.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut steps = steps(path.as_os_str().as_bytes());
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(step) = steps.pop() {
        if step == b".." {
            folders.pop();
            continue;
        }
        let folder = folders.last().map_or(root, AsFd::as_fd);
        let name = OsStr::from_bytes(&step);
        let found = rustix::fs::openat(folder, name, look, Mode::empty())?;
        let stat = rustix::fs::statat(&found, c"", AtFlags::EMPTY_PATH)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink if steps.is_empty() && flags.contains(OFlags::NOFOLLOW) => {
                return rustix::fs::openat(folder, name, flags, Mode::empty());
            }
            FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&found, c"", Vec::new())?;
                let target = target.as_bytes();
                if target.starts_with(b"/") {
                    folders.clear();
                }
                steps.extend(self::steps(target));
            }
            FileType::Directory => folders.push(found),
            _ if steps.is_empty() => {
                let flags = flags | OFlags::NOFOLLOW;
                return rustix::fs::openat(folder, name, flags, Mode::empty());
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    let folder = folders.last().map_or(root, AsFd::as_fd);
    rustix::fs::openat(folder, c".", flags, Mode::empty())
}

/// The names of a path, the last one first.
fn steps(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').rev();
    let names = names.filter(|name| !matches!(*name, b"" | b"."));
    names.map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::ResolveFlags;

    use super::*;

    /// What is opened, as its inode.
    fn inode(opened: Result<OwnedFd>) -> Result<u64> {
        Ok(rustix::fs::statat(opened?, c"", AtFlags::EMPTY_PATH)?.st_ino)
    }

    #[test]
    fn the_walk_ends_where_the_kernels_does() {
        let root = std::env::temp_dir().join(format!("lifeboat-walk-{}", std::process::id()));
        fs_err::create_dir_all(root.join("a/b")).unwrap();
        fs_err::write(root.join("a/b/file"), "x").unwrap();
        for (target, name) in [
            ("/a/b/file", "absolute"),
            ("b/file", "a/relative"),
            ("../../../../../../a", "out"),
            ("/etc/passwd", "outside"),
            ("loop", "loop"),
            ("..", "a/up"),
        ] {
            let _ = fs_err::remove_file(root.join(name));
            symlink(target, root.join(name)).unwrap();
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&root, flags | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for path in [
            "a/b/file",
            "absolute",
            "a/relative",
            "out",
            "out/b/file",
            "outside",
            "loop",
            "a/up",
            "a/up/out/b",
            "none",
            "a/b/file/x",
            "../../a",
            "..",
            "a/../absolute",
            ".",
        ] {
            for more in [OFlags::empty(), OFlags::NOFOLLOW, OFlags::DIRECTORY] {
                let flags = flags | more;
                let walked = inode(open(folder.as_fd(), Path::new(path), flags));
                let kernels = rustix::fs::openat2(
                    &folder,
                    path,
                    flags,
                    Mode::empty(),
                    ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
                );
                match inode(kernels) {
                    Err(Errno::NOSYS | Errno::PERM) => {}
                    kernels => assert_eq!(walked, kernels, "{path} {more:?}"),
                }
            }
        }
        fs_err::remove_dir_all(root).unwrap();
    }
}
