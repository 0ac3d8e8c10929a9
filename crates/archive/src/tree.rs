//! A file tree as an in-memory index over content that lies elsewhere.
//!
//! Packages are merged here and images are written from here, so that a tree never needs to be
//! laid out on a disk, and owners and device nodes need no privileges.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

/// A path inside a tree: bytes without a leading, trailing or doubled `/`, without `.` and
/// `..`; the root is empty.
pub type TreePath = Vec<u8>;

/// Names one inode of a [`Tree`]; several paths with one inode are hard links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InodeId(usize);

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// The bytes of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes in memory.
    Inline(Arc<[u8]>),
    /// A piece of a file of the cache (often of an unpacked package's uncompressed tar).
    Slice {
        /// The file that holds the bytes.
        file: Arc<Path>,
        /// Where in it they begin, in bytes.
        offset: u64,
        /// How many bytes.
        size: u64,
    },
}

impl Content {
    /// Content in memory.
    pub fn inline(bytes: impl AsRef<[u8]>) -> Self {
        Self::Inline(Arc::from(bytes.as_ref()))
    }

    /// A whole file of the host as it is now.
    ///
    /// # Errors
    /// If its size cannot be read.
    pub fn file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let size = fs::metadata(&path)?.len();
        Ok(Self::Slice {
            file: Arc::from(path),
            offset: 0,
            size,
        })
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Slice { size, .. } => *size,
        }
    }

    /// A reader of exactly these bytes.
    ///
    /// # Errors
    /// If the file that holds them cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Inline(bytes) => Box::new(&bytes[..]),
            Self::Slice { file, offset, size } => {
                let mut opened = fs::File::open(file.as_ref())?;
                opened.seek(SeekFrom::Start(*offset))?;
                Box::new(opened.take(*size))
            }
        })
    }

    /// All bytes.
    ///
    /// # Errors
    /// If they cannot be read, or the file that holds them has become shorter.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// One inode: what it is and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky: the low 12 bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name, such as `security.capability`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Inode {
    /// An inode of root with these permission bits, the epoch as time and no attributes.
    pub fn new(kind: Kind, mode: u32) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        }
    }
}

/// A file tree.
#[derive(Clone, Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    entries: BTreeMap<TreePath, InodeId>,
}

/// An operation that the tree's shape forbids.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A path with an empty, `.` or `..` component or a NUL byte.
    #[error("`{0}` is no clean path inside a tree")]
    BadPath(String),
    /// Something that is no folder stands where a folder is needed.
    #[error("`{0}` is needed as a folder but is something else")]
    NotADirectory(String),
    /// A hard link to a path that is not there, or that is a folder.
    #[error("no file `{0}` to link to")]
    NoLinkTarget(String),
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree that is only a root folder of mode 0755.
    pub fn new() -> Self {
        let root = Inode::new(Kind::Directory, 0o755);
        Self {
            inodes: vec![root],
            entries: BTreeMap::from([(Vec::new(), InodeId(0))]),
        }
    }

    /// Cleans a path as archives write it (`./usr/bin/x`, `/usr/bin/x`, `usr/bin/`).
    ///
    /// # Errors
    /// [`TreeError::BadPath`] if it has a `..` component or a NUL byte.
    pub fn clean(path: impl AsRef<[u8]>) -> Result<TreePath, TreeError> {
        let path = path.as_ref();
        let bad = || TreeError::BadPath(String::from_utf8_lossy(path).into_owned());
        if path.contains(&0) {
            return Err(bad());
        }
        let mut clean = Vec::with_capacity(path.len());
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(bad()),
                part => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(part);
                }
            }
        }
        Ok(clean)
    }

    /// The inode at a path; symbolic links are not followed.
    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Inode> {
        self.id(path).map(|id| &self.inodes[id.0])
    }

    /// The inode at a path, to change it (and all its hard links).
    pub fn get_mut(&mut self, path: impl AsRef<[u8]>) -> Option<&mut Inode> {
        let id = self.id(path)?;
        Some(&mut self.inodes[id.0])
    }

    /// Which inode is at a path.
    pub fn id(&self, path: impl AsRef<[u8]>) -> Option<InodeId> {
        self.entries.get(path.as_ref()).copied()
    }

    /// The inode with this id.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0]
    }

    /// All paths with their inodes in byte order, so each folder stands before what it holds
    /// (though not always directly before it). The root is the empty path.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], InodeId, &Inode)> {
        self.entries
            .iter()
            .map(|(path, id)| (path.as_slice(), *id, &self.inodes[id.0]))
    }

    /// How many paths there are, the root included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// Follows symbolic links of the *folders* of `path`, as a kernel would, so that
    /// `bin/ls` becomes `usr/bin/ls` where `bin` links to `usr/bin`. The last component is
    /// not followed.
    pub fn resolve_parents(&self, path: &[u8]) -> TreePath {
        let mut done: TreePath = Vec::new();
        let mut left: Vec<Vec<u8>> = path
            .split(|byte| *byte == b'/')
            .rev()
            .map(<[u8]>::to_vec)
            .collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    let end = done.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    done.truncate(end);
                    continue;
                }
                _ => {}
            }
            let before = done.len();
            if !done.is_empty() {
                done.push(b'/');
            }
            done.extend_from_slice(&part);
            if left.is_empty() || links > 40 {
                continue;
            }
            if let Some(Inode {
                kind: Kind::Symlink(target),
                ..
            }) = self.get(&done)
            {
                links += 1;
                done.truncate(if target.starts_with(b"/") { 0 } else { before });
                left.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
        }
        done
    }

    /// Puts an inode at a clean path, in place of a non-folder that may be there; missing
    /// folders above it are made with mode 0755. A folder over a folder keeps what it holds
    /// and takes the new owner and mode. Folders that are symbolic links are followed.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] if a component above is no folder, or if a folder that
    /// holds something would be replaced by something else.
    pub fn insert(&mut self, path: &[u8], inode: Inode) -> Result<InodeId, TreeError> {
        let path = self.resolve_parents(path);
        self.make_parents(&path)?;
        if let Some(id) = self.id(&path)
            && self.inodes[id.0].kind == Kind::Directory
        {
            if inode.kind == Kind::Directory {
                self.inodes[id.0] = inode;
                return Ok(id);
            }
            if self.children(&path).next().is_some() {
                return Err(not_a_directory(&path));
            }
        }
        let id = InodeId(self.inodes.len());
        self.inodes.push(inode);
        self.entries.insert(path, id);
        Ok(id)
    }

    /// Makes `path` a hard link to the non-folder at `target`.
    ///
    /// # Errors
    /// [`TreeError::NoLinkTarget`] if that is missing or a folder, and those of
    /// [`Tree::insert`].
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), TreeError> {
        let target = self.resolve_parents(target);
        let id = self
            .id(&target)
            .filter(|id| self.inodes[id.0].kind != Kind::Directory);
        let Some(id) = id else {
            return Err(TreeError::NoLinkTarget(
                String::from_utf8_lossy(&target).into_owned(),
            ));
        };
        let path = self.resolve_parents(path);
        self.make_parents(&path)?;
        if self
            .get(&path)
            .is_some_and(|old| old.kind == Kind::Directory)
        {
            return Err(not_a_directory(&path));
        }
        self.entries.insert(path, id);
        Ok(())
    }

    /// Puts a regular file of root, with the given permission bits.
    ///
    /// # Errors
    /// Those of [`Tree::insert`].
    pub fn write(
        &mut self,
        path: impl AsRef<[u8]>,
        mode: u32,
        content: impl AsRef<[u8]>,
    ) -> Result<(), TreeError> {
        let path = Self::clean(path)?;
        self.insert(
            &path,
            Inode::new(Kind::File(Content::inline(content)), mode),
        )
        .map(drop)
    }

    /// Puts a symbolic link of root.
    ///
    /// # Errors
    /// Those of [`Tree::insert`].
    pub fn symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<(), TreeError> {
        let path = Self::clean(path)?;
        let kind = Kind::Symlink(target.as_ref().to_vec());
        self.insert(&path, Inode::new(kind, 0o777)).map(drop)
    }

    /// Makes a folder of root with these permission bits (or changes the one that is there).
    ///
    /// # Errors
    /// Those of [`Tree::insert`].
    pub fn mkdir(&mut self, path: impl AsRef<[u8]>, mode: u32) -> Result<(), TreeError> {
        let path = Self::clean(path)?;
        self.insert(&path, Inode::new(Kind::Directory, mode))
            .map(drop)
    }

    /// Removes a path and, if it is a folder, all below it. Returns whether it was there.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref().to_vec();
        let below: Vec<TreePath> = self.descendants(&path).map(<[u8]>::to_vec).collect();
        for path in below {
            self.entries.remove(&path);
        }
        !path.is_empty() && self.entries.remove(&path).is_some()
    }

    /// All paths below a folder, in byte order.
    pub fn descendants<'a>(&'a self, folder: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut prefix = folder.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let root = prefix.is_empty();
        self.entries
            .range(prefix.clone()..)
            .map(|(path, _)| path.as_slice())
            .filter(move |path| !(root && path.is_empty()))
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// The paths directly in a folder, in byte order.
    pub fn children<'a>(&'a self, folder: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let skip = if folder.is_empty() {
            0
        } else {
            folder.len() + 1
        };
        self.descendants(folder)
            .filter(move |path| !path[skip..].contains(&b'/'))
    }

    /// Merges all of `other`, mounted at the clean path `at`, over this tree. Hard links
    /// inside `other` stay hard links.
    ///
    /// # Errors
    /// Those of [`Tree::insert`].
    pub fn merge(&mut self, at: &[u8], other: &Self) -> Result<(), TreeError> {
        let mut made: BTreeMap<InodeId, TreePath> = BTreeMap::new();
        for (path, id, inode) in other.iter() {
            let mut to = at.to_vec();
            if !to.is_empty() && !path.is_empty() {
                to.push(b'/');
            }
            to.extend_from_slice(path);
            if let Some(first) = made.get(&id) {
                self.link(&to, &first.clone())?;
            } else {
                self.insert(&to, inode.clone())?;
                made.insert(id, to);
            }
        }
        Ok(())
    }

    fn make_parents(&mut self, path: &[u8]) -> Result<(), TreeError> {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            match self.get(&path[..end]).map(|inode| &inode.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(not_a_directory(&path[..end])),
                None => {
                    let id = InodeId(self.inodes.len());
                    self.inodes.push(Inode::new(Kind::Directory, 0o755));
                    self.entries.insert(path[..end].to_vec(), id);
                }
            }
        }
        Ok(())
    }
}

fn not_a_directory(path: &[u8]) -> TreeError {
    TreeError::NotADirectory(String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_links_are_followed() {
        let mut tree = Tree::new();
        tree.symlink("bin", "usr/bin").unwrap();
        tree.mkdir("usr/bin", 0o755).unwrap();
        tree.write("bin/ls", 0o755, "x").unwrap();
        assert!(tree.get("usr/bin/ls").is_some());
        assert!(tree.get("bin/ls").is_none());
    }

    #[test]
    fn a_path_cannot_leave_the_tree() {
        assert_eq!(Tree::clean("./usr//bin/").unwrap(), b"usr/bin");
        assert!(Tree::clean("usr/../../etc").is_err());
        assert!(Tree::clean("a\0b").is_err());
    }

    #[test]
    fn hard_links_share_an_inode_through_a_merge() {
        let mut part = Tree::new();
        part.write("a", 0o644, "x").unwrap();
        part.link(b"b", b"a").unwrap();
        let mut tree = Tree::new();
        tree.merge(b"opt/part", &part).unwrap();
        assert_eq!(tree.id("opt/part/a"), tree.id("opt/part/b"));
        assert_eq!(tree.children(b"opt/part").count(), 2);
        assert!(tree.remove("opt/part"));
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn a_filled_folder_is_not_replaced_by_a_file() {
        let mut tree = Tree::new();
        tree.write("a/b", 0o644, "x").unwrap();
        assert!(tree.write("a", 0o644, "x").is_err());
        assert!(tree.write("a/b/c", 0o644, "x").is_err());
    }
}
