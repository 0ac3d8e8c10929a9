//! Writes a tree out as files of a folder.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use crate::owners::{Key, Owners, look};
use fs_err as fs;
use lifeboat_archive::{
    Content, Inode, InodeId, Kind, Tree,
    tar::{Node, Reader, Source},
};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, lsetxattr,
    makedev, mknodat, utimensat,
};

/// Whether owners, devices and extended attributes are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// All belongs to who runs this; devices, set-user-id bits and attributes are left out.
    Ignore,
    /// As the tree says; needs to be root, of the machine or of a user namespace.
    Keep,
}

/// What becomes of owners, devices and extended attributes.
pub(crate) enum Owning<'a> {
    /// [`Ownership::Ignore`].
    Ignore,
    /// [`Ownership::Keep`].
    Keep,
    /// As `Keep`, but with owners only noted.
    Note(&'a mut Owners),
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct MaterialiseError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Writes all of `tree` into `root`, a folder that is made if it is not there, and which
/// should be empty.
///
/// # Errors
/// [`MaterialiseError`] for the first file that cannot be written.
pub fn materialise(tree: &Tree, root: &Path, ownership: Ownership) -> Result<(), MaterialiseError> {
    let owning = match ownership {
        Ownership::Ignore => Owning::Ignore,
        Ownership::Keep => Owning::Keep,
    };
    let mut layout = Layout::new(root, owning);
    let mut first: BTreeMap<InodeId, &[u8]> = BTreeMap::new();
    let mut sources = Sources::default();
    for (path, id, inode) in tree.iter() {
        if let Some(first) = first.get(&id) {
            layout.link(path, first)?;
            continue;
        }
        if inode.kind != Kind::Directory {
            first.insert(id, path);
        }
        layout.put(path, inode, |out| match &inode.kind {
            Kind::File(content) => sources.copy(content, out),
            _ => Ok(()),
        })?;
    }
    layout.finish()
}

/// Writes an archive, as it comes, into `root`. Its paths must be such as
/// [`lifeboat_archive::write_tar`] writes: links are not followed.
pub(crate) fn materialise_archive(
    source: impl Source,
    root: &Path,
    owning: Owning<'_>,
) -> Result<(), MaterialiseError> {
    let mut layout = Layout::new(root, owning);
    let mut reader = Reader::new(source);
    let at_root = |source| MaterialiseError {
        path: root.to_path_buf(),
        source,
    };
    let mut buffer = vec![0; 1 << 17];
    while let Some(member) = reader
        .next_member()
        .map_err(|error| at_root(io::Error::other(error)))?
    {
        let kind = match member.node {
            Node::HardLink(target) => {
                layout.link(&member.path, &target)?;
                continue;
            }
            Node::File => Kind::File(Content::inline([])),
            Node::Other(kind) => kind,
        };
        let inode = Inode {
            kind,
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            mtime: member.mtime,
            xattrs: member.xattrs,
        };
        layout.put(&member.path, &inode, |out| {
            loop {
                match reader.read_content(&mut buffer).map_err(io::Error::other)? {
                    0 => return Ok(()),
                    read => out.write_all(&buffer[..read])?,
                }
            }
        })?;
    }
    layout.finish()
}

struct Layout<'a> {
    root: &'a Path,
    owning: Owning<'a>,
    /// Folders get their owners, modes and times last: one without write permission could not
    /// be filled, and filling it changes its time.
    folders: Vec<(PathBuf, Inode)>,
}

impl<'a> Layout<'a> {
    fn new(root: &'a Path, owning: Owning<'a>) -> Self {
        Self {
            root,
            owning,
            folders: Vec::new(),
        }
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    fn link(&self, path: &[u8], target: &[u8]) -> Result<(), MaterialiseError> {
        let path = self.place(path);
        fs::hard_link(self.place(target), &path).map_err(|source| MaterialiseError { path, source })
    }

    fn put(
        &mut self,
        path: &[u8],
        inode: &Inode,
        fill: impl FnOnce(&mut fs::File) -> io::Result<()>,
    ) -> Result<(), MaterialiseError> {
        let to = self.place(path);
        let done = self.make(&to, inode, fill);
        done.map_err(|source| MaterialiseError { path: to, source })
    }

    fn make(
        &mut self,
        to: &Path,
        inode: &Inode,
        fill: impl FnOnce(&mut fs::File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (file_type, device) = match &inode.kind {
            Kind::Directory => {
                match fs::create_dir(to) {
                    Err(error) if to == self.root && to.is_dir() => drop(error),
                    made => made?,
                }
                self.folders.push((to.to_path_buf(), inode.clone()));
                return Ok(());
            }
            Kind::File(_) => {
                fill(&mut fs::File::create(to)?)?;
                return set_metadata(to, inode, &mut self.owning);
            }
            Kind::Symlink(target) => {
                symlink(OsStr::from_bytes(target), to)?;
                return set_metadata(to, inode, &mut self.owning);
            }
            Kind::Fifo => (FileType::Fifo, 0),
            Kind::CharDevice { major, minor } => {
                (FileType::CharacterDevice, makedev(*major, *minor))
            }
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, makedev(*major, *minor)),
        };
        if matches!(self.owning, Owning::Ignore) {
            return Ok(());
        }
        mknodat(CWD, to, file_type, Mode::RUSR, device)?;
        set_metadata(to, inode, &mut self.owning)
    }

    fn finish(mut self) -> Result<(), MaterialiseError> {
        for (path, inode) in self.folders.into_iter().rev() {
            set_metadata(&path, &inode, &mut self.owning)
                .map_err(|source| MaterialiseError { path, source })?;
        }
        Ok(())
    }
}

/// Copies pieces of few files into many; the kernel shares the blocks where it can.
#[derive(Default)]
struct Sources<'a> {
    open: Option<(&'a Path, fs::File)>,
}

impl<'a> Sources<'a> {
    fn copy(&mut self, content: &'a Content, out: &mut fs::File) -> io::Result<()> {
        match content {
            Content::Inline(bytes) => out.write_all(bytes),
            Content::Slice { file, offset, size } => {
                let mut open = match self.open.take() {
                    Some((path, opened)) if path == file.as_ref() => (path, opened),
                    _ => (file.as_ref(), fs::File::open(file.as_ref())?),
                };
                open.1.seek(SeekFrom::Start(*offset))?;
                let copied = io::copy(&mut (&mut open.1).take(*size), out)?;
                if copied != *size {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.open = Some(open);
                Ok(())
            }
        }
    }
}

fn set_metadata(path: &Path, inode: &Inode, owning: &mut Owning<'_>) -> io::Result<()> {
    let mut mode = inode.mode;
    match owning {
        Owning::Keep => chownat(
            CWD,
            path,
            Some(Uid::from_raw(inode.uid)),
            Some(Gid::from_raw(inode.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )?,
        Owning::Note(owners) => owners.own(Key::of(&look(path)?), inode.uid, inode.gid),
        // A folder that its owner cannot enter could not be removed from the cache.
        Owning::Ignore => {
            mode = mode & 0o777
                | if inode.kind == Kind::Directory {
                    0o700
                } else {
                    0o400
                };
        }
    }
    if !matches!(inode.kind, Kind::Symlink(_)) {
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    // After the owner, as changing that drops capabilities.
    for (name, value) in &inode.xattrs {
        match owning {
            Owning::Ignore => {}
            Owning::Note(owners) if Owners::takes(name) => {
                owners.set(Key::of(&look(path)?), name, value);
            }
            _ => lsetxattr(path, name.as_slice(), value, XattrFlags::empty())?,
        }
    }
    let time = Timespec {
        tv_sec: inode.mtime,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}
