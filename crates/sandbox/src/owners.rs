//! Owners of files that only exist as notes: for a user who has no ids to give files to.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

const ACL: &[u8] = b"system.posix_acl_";
const ACCESS: &[u8] = b"system.posix_acl_access";

/// One inode; with its birth, as file systems use numbers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    device: (u32, u32),
    inode: u64,
    birth: (i64, u32),
}

/// What is noted of one inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Access control lists, which name ids too.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// All notes.
#[derive(Debug, Default)]
pub(crate) struct Owners(HashMap<Key, Note>);

/// Everything about a file, without following it if it is a link.
pub(crate) fn look(path: &Path) -> io::Result<Statx> {
    look_with(path, AtFlags::SYMLINK_NOFOLLOW)
}

pub(crate) fn look_with(path: &Path, flags: AtFlags) -> io::Result<Statx> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(statx(CWD, path, flags, mask)?)
}

impl Key {
    pub(crate) fn of(file: &Statx) -> Self {
        Self {
            device: (file.stx_dev_major, file.stx_dev_minor),
            inode: file.stx_ino,
            birth: (file.stx_btime.tv_sec, file.stx_btime.tv_nsec),
        }
    }
}

impl Owners {
    pub(crate) fn get(&self, key: &Key) -> Option<&Note> {
        self.0.get(key)
    }

    /// Notes an owner; the numbers that chown(2) takes for "leave it" leave it.
    pub(crate) fn own(&mut self, key: Key, uid: u32, gid: u32) {
        if uid == 0 && gid == 0 && !self.0.contains_key(&key) {
            return;
        }
        let note = self.0.entry(key).or_default();
        if uid != u32::MAX {
            note.uid = uid;
        }
        if gid != u32::MAX {
            note.gid = gid;
        }
    }

    /// Notes an extended attribute that names ids, and says whether it is one.
    pub(crate) fn takes(name: &[u8]) -> bool {
        name.starts_with(ACL)
    }

    pub(crate) fn set(&mut self, key: Key, name: &[u8], value: &[u8]) {
        let note = self.0.entry(key).or_default();
        note.xattrs.insert(name.to_vec(), value.to_vec());
    }
}

/// The permission bits that an access control list gives a file of this mode (acl(5)), as
/// the kernel sets them with it.
pub(crate) fn mode_of_list(name: &[u8], value: &[u8], mode: u32) -> Option<u32> {
    if name != ACCESS {
        return None;
    }
    let (mut mode, mut mask) = (mode, None);
    for entry in value.get(4..)?.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let bits = u32::from(u16::from_le_bytes([entry[2], entry[3]]) & 7);
        match tag {
            // Owner, group, mask and others.
            0x01 => mode = mode & !0o700 | bits << 6,
            0x04 if mask.is_none() => mode = mode & !0o070 | bits << 3,
            0x10 => {
                mask = Some(bits);
                mode = mode & !0o070 | bits << 3;
            }
            0x20 => mode = mode & !0o007 | bits,
            _ => {}
        }
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_sets_the_bits_that_its_mask_allows() {
        let mut list = vec![2, 0, 0, 0];
        for (tag, bits) in [(0x01, 7), (0x04, 5), (0x08, 7), (0x10, 4), (0x20, 1)] {
            list.extend([tag, 0, bits, 0, 0xff, 0xff, 0xff, 0xff]);
        }
        assert_eq!(mode_of_list(ACCESS, &list, 0o2755), Some(0o2741));
        assert_eq!(
            mode_of_list(b"system.posix_acl_default", &list, 0o755),
            None
        );
        assert_eq!(mode_of_list(ACCESS, &[], 0o755), None);
    }

    #[test]
    fn a_file_made_anew_has_no_note_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut owners = Owners::default();
        std::fs::write(&path, "").unwrap();
        let key = Key::of(&look(&path).unwrap());
        owners.own(key, 5, u32::MAX);
        owners.own(key, u32::MAX, 7);
        let note = owners.get(&key).unwrap();
        assert_eq!((note.uid, note.gid), (5, 7));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(owners.get(&Key::of(&look(&path).unwrap())), None);
    }
}
