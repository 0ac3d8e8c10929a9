//! Reads a folder as a tree.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::owners::{Key, Owners, look};
use fs_err as fs;
use lifeboat_archive::{Content, Inode, Kind, Tree};
use rustix::fs::{lgetxattr, llistxattr};

/// Reads all of `root` that is on its own file system, with owners and extended attributes.
/// Noted owners count before real ones. The content of files stays where it is. Sockets are left out, as they mean nothing later.
pub(crate) fn scan(root: &Path, owners: Option<&Owners>) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let device = fs::symlink_metadata(root)?.dev();
    let mut linked: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut waiting: Vec<(Vec<u8>, PathBuf)> = vec![(Vec::new(), root.to_path_buf())];
    while let Some((path, place)) = waiting.pop() {
        let metadata = fs::symlink_metadata(&place)?;
        let file_type = metadata.file_type();
        let (major, minor) = (
            rustix::fs::major(metadata.rdev()),
            rustix::fs::minor(metadata.rdev()),
        );
        let kind = if file_type.is_dir() {
            if metadata.dev() == device {
                for entry in fs::read_dir(&place)? {
                    let entry = entry?;
                    let mut below = path.clone();
                    if !below.is_empty() {
                        below.push(b'/');
                    }
                    below.extend_from_slice(entry.file_name().as_bytes());
                    waiting.push((below, entry.path()));
                }
            }
            Kind::Directory
        } else if file_type.is_file() {
            Kind::File(match metadata.size() {
                0 => Content::inline([]),
                size => Content::Slice {
                    file: Arc::from(place.as_path()),
                    offset: 0,
                    size,
                },
            })
        } else if file_type.is_symlink() {
            Kind::Symlink(fs::read_link(&place)?.as_os_str().as_bytes().to_vec())
        } else if file_type.is_char_device() {
            Kind::CharDevice { major, minor }
        } else if file_type.is_block_device() {
            Kind::BlockDevice { major, minor }
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else {
            continue;
        };
        if kind != Kind::Directory && metadata.nlink() > 1 {
            if let Some(first) = linked.get(&metadata.ino()) {
                tree.link(&path, &first.clone()).map_err(io::Error::other)?;
                continue;
            }
            linked.insert(metadata.ino(), path.clone());
        }
        let mut inode = Inode {
            kind,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: metadata.mtime(),
            xattrs: attributes(&place)?,
        };
        if let Some(owners) = owners
            && let Some(note) = owners.get(&Key::of(&look(&place)?))
        {
            (inode.uid, inode.gid) = (note.uid, note.gid);
            inode.xattrs.extend(note.xattrs.clone());
        }
        tree.insert(&path, inode).map_err(io::Error::other)?;
    }
    Ok(tree)
}

fn attributes(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 1 << 16];
    let length = match llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0) {
        // What the host's own security modules add is not the tree's.
        let kept = [&b"security.capability"[..], b"system.posix_acl_", b"user."]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if kept {
            let mut value = vec![0; 1 << 16];
            let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
            value.truncate(length);
            attributes.insert(name.to_vec(), value);
        }
    }
    Ok(attributes)
}
