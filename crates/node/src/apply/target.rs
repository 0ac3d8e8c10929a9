//! Where a configuration is applied: files below a root, and a kernel. It knows the state
//! before each change, so that what is right already stays untouched, a dry run shows what would
//! change, and a trial can be taken back.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    journal::Journal,
    kernel::Kernel,
    root::{Owners, Root, normal},
    state::{Change, NewFile, Place, Subject, text},
};

/// What is done with changes.
#[derive(Debug)]
pub(crate) enum Mode {
    /// They are made.
    Apply,
    /// They are only looked at.
    DryRun,
    /// They are made, and each is noted before, so that it can be taken back.
    Trial(Journal),
}

/// Where a configuration is applied.
#[derive(Debug)]
pub(crate) struct Target<'k> {
    root: Root,
    /// The kernel.
    pub kernel: &'k dyn Kernel,
    mode: Mode,
    /// Changes so far.
    pub changes: Vec<Change>,
    /// What a dry run would have written, for the steps that read it.
    supposed: BTreeMap<String, Place>,
    /// Paths of the user's own files: what Lifeboat generates does not touch them.
    claimed: BTreeSet<String>,
}

impl<'k> Target<'k> {
    /// A target that nothing was changed of yet.
    pub fn new(root: Root, kernel: &'k dyn Kernel, mode: Mode) -> Self {
        Self {
            root,
            kernel,
            mode,
            changes: Vec::new(),
            supposed: BTreeMap::new(),
            claimed: BTreeSet::new(),
        }
    }

    /// Whether changes are only looked at.
    pub fn is_dry(&self) -> bool {
        matches!(self.mode, Mode::DryRun)
    }

    /// Whether changes can be taken back.
    pub fn is_trial(&self) -> bool {
        matches!(self.mode, Mode::Trial(_))
    }

    /// The root, for what only reads.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Keeps these paths for the user's own files.
    pub fn claim(&mut self, paths: impl IntoIterator<Item = String>) {
        self.claimed = paths.into_iter().map(|path| normal(&path)).collect();
    }

    /// Whether the user has a file of their own there.
    pub fn is_claimed(&self, path: &str) -> bool {
        self.claimed.contains(&normal(path))
    }

    /// The text of a file, as it is or, in a dry run, would be. Empty if there is none.
    pub fn text(&self, path: &str) -> String {
        let bytes = match self.supposed.get(&normal(path)) {
            Some(Place::File(file)) => file.bytes.clone(),
            Some(_) => Vec::new(),
            None => self.root.bytes(path).ok().flatten().unwrap_or_default(),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is at a path, as it is or, in a dry run, would be.
    pub fn look(&self, path: &str) -> io::Result<Place> {
        match self.supposed.get(&normal(path)) {
            Some(place) => Ok(place.clone()),
            None => self.root.look(path),
        }
    }

    /// Puts a file that Lifeboat generates, unless the user has one of their own there.
    pub fn generate(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> io::Result<()> {
        if self.is_claimed(path) {
            return Ok(());
        }
        self.put(path, NewFile::new(bytes, mode))
    }

    /// Puts a symbolic link that Lifeboat generates, unless the user has a file of their own there.
    pub fn generate_link(&mut self, path: &str, to: &str) -> io::Result<()> {
        if self.is_claimed(path) {
            return Ok(());
        }
        self.link(path, to)
    }

    /// Removes a file that Lifeboat has generated at other times, unless it is the user's own.
    pub fn retire(&mut self, path: &str) -> io::Result<()> {
        if self.is_claimed(path) {
            return Ok(());
        }
        self.remove(path)
    }

    /// Puts a whole file there. One that is the same already stays.
    pub fn put(&mut self, path: &str, mut new: NewFile) -> io::Result<()> {
        if self.root.owners() == Owners::Own {
            (new.uid, new.gid) = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
        }
        self.change(path, Place::File(new))
    }

    /// Puts a symbolic link there.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.change(path, Place::Link(target.to_owned()))
    }

    /// Makes a folder; one that is there keeps its mode and owner.
    pub fn folder(&mut self, path: &str, mode: u32, (uid, gid): (u32, u32)) -> io::Result<()> {
        match self.look(path)? {
            Place::Folder { .. } => Ok(()),
            Place::Nothing => self.change(path, Place::Folder { mode, uid, gid }),
            _ => Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{path} is not a folder"),
            )),
        }
    }

    /// Removes a file or a symbolic link.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        self.change(path, Place::Nothing)
    }

    fn change(&mut self, path: &str, after: Place) -> io::Result<()> {
        let before = self.look(path)?;
        if before == after {
            return Ok(());
        }
        if matches!(
            (&before, &after),
            (Place::Folder { .. }, Place::File(_) | Place::Link(_))
        ) {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "there is a folder of this name",
            ));
        }
        if self.is_trial() {
            for missing in self.missing_folders(path)? {
                self.note(&Change {
                    subject: Subject::Path(missing),
                    before: Place::Nothing,
                    after: Place::Folder {
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                    },
                })?;
            }
        }
        let change = Change {
            subject: Subject::Path(normal(path)),
            before,
            after,
        };
        self.note(&change)?;
        if self.is_dry() {
            self.supposed.insert(normal(path), change.after.clone());
        } else {
            set_place(&self.root, path, &change.after)?;
        }
        self.changes.push(change);
        Ok(())
    }

    /// Folders above a path that have to be made, the outermost first.
    fn missing_folders(&self, path: &str) -> io::Result<Vec<String>> {
        let path = normal(path);
        let mut missing = Vec::new();
        for (at, _) in path.match_indices('/').skip(1) {
            let folder = &path[..at];
            if !self.root.exists(folder) && self.root.look(folder)? == Place::Nothing {
                missing.push(folder.to_owned());
            }
        }
        Ok(missing)
    }

    /// Sets a kernel setting, by its path below /proc/sys, if it has another value.
    pub fn setting(&mut self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/{name}");
        // Some can only be written.
        let before = self.root.bytes(&path).unwrap_or_default();
        let before = before.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
        if before
            .as_deref()
            .is_some_and(|before| same_words(before, value))
        {
            return Ok(());
        }
        let Some(before) = before else {
            if self.root.exists(&path) && !self.is_dry() {
                return self.root.write_into(&path, value.as_bytes());
            }
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "this kernel has no such setting, or not without its module",
            ));
        };
        let change = Change {
            subject: Subject::Setting(name.to_owned()),
            before: text(&before),
            after: text(value),
        };
        self.note(&change)?;
        if !self.is_dry() {
            self.root.write_into(&path, value.as_bytes())?;
        }
        self.changes.push(change);
        Ok(())
    }

    /// Sets the kernel's host name.
    pub fn host_name(&mut self, name: &str) -> io::Result<()> {
        let before = self.kernel.host_name();
        if before == name {
            return Ok(());
        }
        let change = Change {
            subject: Subject::HostName,
            before: text(&before),
            after: text(name),
        };
        self.note(&change)?;
        if !self.is_dry() {
            self.kernel.set_host_name(name)?;
        }
        self.changes.push(change);
        Ok(())
    }

    /// Notes a change that is made elsewhere.
    pub fn made(&mut self, change: Change) {
        self.changes.push(change);
    }

    fn note(&mut self, change: &Change) -> io::Result<()> {
        match &mut self.mode {
            Mode::Trial(journal) => {
                if matches!(change.before, Place::Large { .. } | Place::Other) {
                    return Err(io::Error::other(
                        "what is there is too large to be kept for the way back",
                    ));
                }
                journal.note(change)
            }
            Mode::Apply | Mode::DryRun => Ok(()),
        }
    }
}

/// Whether two values are the same for the kernel, which separates words by tabs.
fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// Makes a place be like this.
pub(super) fn set_place(root: &Root, path: &str, place: &Place) -> io::Result<()> {
    match place {
        Place::Nothing => root.remove(path),
        Place::File(file) => root.put(path, file),
        Place::Link(target) => root.link(path, target),
        Place::Folder { mode, uid, gid } => root.make_folder(path, *mode, (*uid, *gid)),
        Place::Large { .. } | Place::Other => Err(io::Error::other("it was not kept")),
    }
}
