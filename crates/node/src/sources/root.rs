//! Files below a root that may be anybody's: links, pipes and huge files included.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// The largest source that is read, in bytes.
const MOST_BYTES: u64 = 4 << 20;
/// All sources together, in bytes: they are in memory at once.
const MOST_TOGETHER: u64 = 64 << 20;

/// A root that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the root `{path}`")]
pub struct RootError {
    path: PathBuf,
    source: io::Error,
}

/// A file's bytes, or why they cannot be read.
pub(super) type Content = Result<Vec<u8>, String>;

/// A folder that stands for `/`.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    read: u64,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, RootError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => Ok(Self { folder, read: 0 }),
            Err(error) => Err(RootError {
                path: path.to_owned(),
                source: error.into(),
            }),
        }
    }

    /// A file; none if there is nothing at `path`.
    pub(super) fn read(&mut self, path: &str) -> Option<Content> {
        self.content(Path::new(path)).transpose()
    }

    /// The names in a folder, in the order of their bytes; none if there is no such folder.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let names = self.names(Path::new(folder))?;
        let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
        Ok(names.iter().map(text).collect())
    }

    /// Every entry of a folder by its path, in the order of the names' bytes.
    pub(super) fn read_all(&mut self, folder: &str) -> Vec<(String, Content)> {
        let names = match self.names(Path::new(folder)) {
            Ok(names) => names,
            Err(reason) => return vec![(folder.to_owned(), Err(reason))],
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let path = Path::new(folder).join(OsStr::from_bytes(&name));
            let shown = path.to_string_lossy().into_owned();
            found.extend(
                self.content(&path)
                    .transpose()
                    .map(|content| (shown, content)),
            );
        }
        found
    }

    fn content(&mut self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        // Looked at before it is opened: opening a device may do something.
        let Some(found) = self.open_below(path, OFlags::PATH)? else {
            return self.dangling(path);
        };
        refuse_other_than_files(&found)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(file) = self.open_below(path, flags)? else {
            return Ok(None);
        };
        refuse_other_than_files(&file)?;
        let file = File::from(file);
        let mut bytes = Vec::new();
        // One byte more than allowed, since files of /proc have no size.
        file.take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| reason(&error))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(too_large());
        }
        self.read += bytes.len() as u64;
        if self.read > MOST_TOGETHER {
            return Err(format!(
                "all sources together have more than {} MiB",
                MOST_TOGETHER >> 20
            ));
        }
        Ok(Some(bytes))
    }

    /// Nothing there, unless a link is that leads nowhere.
    fn dangling(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        match self.open_below(path, OFlags::PATH | OFlags::NOFOLLOW)? {
            None => Ok(None),
            Some(_) => Err("is a symbolic link to something that is not there".to_owned()),
        }
    }

    fn names(&self, folder: &Path) -> Result<Vec<Vec<u8>>, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Some(folder) = self.open_below(folder, flags)? else {
            return Ok(Vec::new());
        };
        let entries = Dir::new(folder).map_err(|error| reason(&error.into()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| reason(&error.into()))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens what is at `path` as if the root were `/`; none if there is nothing.
    fn open_below(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, String> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        // The kernel gives up when something below the root is renamed meanwhile.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve) {
                Ok(found) => return Ok(Some(found)),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOTDIR) if flags.contains(OFlags::DIRECTORY) => {
                    return Err("is no folder".to_owned());
                }
                Err(Errno::LOOP) => {
                    return Err("leads through too many symbolic links, or one of /proc".to_owned());
                }
                Err(error) => return Err(reason(&error.into())),
            }
        }
        Err("is changed all the time".to_owned())
    }
}

fn refuse_other_than_files(file: &OwnedFd) -> Result<(), String> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)
        .map_err(|error| reason(&error.into()))?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if u64::try_from(stat.st_size).unwrap_or(0) > MOST_BYTES => {
            return Err(too_large());
        }
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Err(format!("is {what}, not a file"))
}

fn too_large() -> String {
    format!("has more than {} MiB", MOST_BYTES >> 20)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is not a folder".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
