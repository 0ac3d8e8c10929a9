//! Changes of a trial, each noted before it is made, so that they can be taken back whatever
//! happens to the process that makes them.

use std::{
    io::{self, Write as _},
    path::Path,
};

use fs_err as fs;

use super::{
    kernel::Kernel,
    root::Root,
    state::{Change, Place, Subject},
    target::set_place,
};

/// A file with a change a line. Only root may read it: it holds what was in files.
#[derive(Debug)]
pub(crate) struct Journal {
    file: fs::File,
}

impl Journal {
    /// Starts a journal.
    ///
    /// # Errors
    /// If there is one already, or it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let file = fs::OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self { file })
    }

    /// Notes a change that is about to be made.
    pub fn note(&mut self, change: &Change) -> io::Result<()> {
        let mut line = serde_json::to_string(change).map_err(io::Error::other)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

/// The changes in a journal. The last line is left out if it is not whole: its change was not
/// made.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Change>> {
    let text = fs::read_to_string(path)?;
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// Takes changes back, the last one first. Each is tried although one before it failed; what
/// failed is returned.
pub(crate) fn take_back(root: &Root, kernel: &dyn Kernel, changes: &[Change]) -> Vec<String> {
    let mut failures = Vec::new();
    for change in changes.iter().rev() {
        let (what, done) = match (&change.subject, &change.before) {
            (Subject::Path(path), Place::Nothing)
                if matches!(change.after, Place::Folder { .. }) =>
            {
                // Others may have put something into it meanwhile; then it stays.
                let _ = root.remove(path);
                continue;
            }
            (Subject::Path(path), before) => (path.clone(), set_place(root, path, before)),
            (Subject::Setting(name), Place::File(value)) => (
                name.clone(),
                root.write_into(&format!("/proc/sys/{name}"), &value.bytes),
            ),
            (Subject::HostName, Place::File(value)) => (
                "the host name".to_owned(),
                kernel.set_host_name(&String::from_utf8_lossy(&value.bytes)),
            ),
            // What a module that is loaded has changed nobody knows; it does no harm.
            _ => continue,
        };
        if let Err(error) = done {
            failures.push(format!("{what}: {error}"));
        }
    }
    failures
}
