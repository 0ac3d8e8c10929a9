//! The artifacts in the folder that the user named.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use fs_err as fs;
use lifeboat_archive::{Cache, Digest};
use lifeboat_machine::link_or_copy;
use serde::{Deserialize, Serialize};

use super::{receipt, stamp::Stamp};
use crate::context::Context;

/// A file that was put somewhere: how it and what it was made from were then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Copied {
    from: Stamp,
    to: Stamp,
}

type Copies = BTreeMap<String, Copied>;

/// Puts all files of `folder` into `output`. Those that are there already stay: links to the
/// same file, and copies that nobody touched since.
///
/// # Errors
/// If a file cannot be written; the error names it.
pub fn deliver(context: &Context, folder: &Path, output: &Path) -> Result<PathBuf> {
    fs::create_dir_all(output)?;
    let place = record(&context.cache()?, &fs::canonicalize(output)?);
    let earlier: Copies = receipt::read(&place).unwrap_or_default();
    let mut files = fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.metadata()?.len(), entry.path()))
        })
        .collect::<io::Result<Vec<_>>>()?;
    // The largest first: the copies that are too young to be known again are small ones.
    files.sort();
    let mut copies = Copies::new();
    for (_, from) in files.into_iter().rev() {
        let Some(name) = from.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if let Some(copied) = put(&from, &output.join(name), earlier.get(name))? {
            copies.insert(name.to_owned(), copied);
        }
        context.check_cancel()?;
    }
    let now = SystemTime::now();
    copies.retain(|_, copied| copied.to.is_settled(now));
    // What fails here costs the next build its short way, and nothing else.
    if !copies.is_empty() && copies != earlier {
        let _ = receipt::write(&place, &copies);
    }
    Ok(std::path::absolute(output)?)
}

/// Where it is written down what was put into a folder.
fn record(cache: &Cache, output: &Path) -> PathBuf {
    let key = Digest::of_parts([&b"delivery 1"[..], output.as_os_str().as_encoded_bytes()]);
    cache.derived_path(receipt::KIND, &key)
}

/// Puts one file there; tells about it if it is a copy.
fn put(from: &Path, to: &Path, earlier: Option<&Copied>) -> io::Result<Option<Copied>> {
    let source = Stamp::of(&fs::metadata(from)?);
    if let Ok(there) = fs::symlink_metadata(to)
        && there.is_file()
    {
        let there = Stamp::of(&there);
        if there.same_file(&source) {
            return Ok(None);
        }
        if let Some(earlier) = earlier
            && earlier.to == there
            && earlier.from.same_content(&source)
        {
            return Ok(Some(*earlier));
        }
    }
    // Beside it first: a file with its name in the folder is whole.
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = to.with_file_name(format!(".{name}.tmp"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    link_or_copy(from, &unfinished)?;
    fs::rename(&unfinished, to)?;
    let stamp = Stamp::of(&fs::metadata(to)?);
    let copied = Copied {
        from: source,
        to: stamp,
    };
    Ok((!stamp.same_file(&source)).then_some(copied))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Two files of different inodes, as on two file systems, that are known to be copies.
    fn copied(folder: &Path) -> (PathBuf, PathBuf, Copied) {
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::write(&from, "whole").unwrap();
        fs::write(&to, "whole").unwrap();
        let stamp = |path: &Path| Stamp::of(&fs::metadata(path).unwrap());
        let copied = Copied {
            from: stamp(&from),
            to: stamp(&to),
        };
        (from, to, copied)
    }

    #[test]
    fn a_copy_that_nobody_touched_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, copied) = copied(folder.path());
        let inode = fs::metadata(&to).unwrap().ino();
        assert_eq!(put(&from, &to, Some(&copied)).unwrap(), Some(copied));
        assert_eq!(fs::metadata(&to).unwrap().ino(), inode);
        // Nothing is known of it: it is made again.
        put(&from, &to, None).unwrap();
        assert_ne!(fs::metadata(&to).unwrap().ino(), inode);
    }

    #[test]
    fn what_was_changed_there_or_here_is_put_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, copied) = copied(folder.path());
        fs::write(&to, "other content").unwrap();
        put(&from, &to, Some(&copied)).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "whole");
        fs::remove_file(&from).unwrap();
        fs::write(&from, "a new image").unwrap();
        put(&from, &to, Some(&copied)).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "a new image");
        // A link to something else is replaced, and not followed.
        fs::remove_file(&to).unwrap();
        fs::write(folder.path().join("mine"), "mine").unwrap();
        std::os::unix::fs::symlink("mine", &to).unwrap();
        put(&from, &to, Some(&copied)).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("mine")).unwrap(),
            "mine"
        );
        assert_eq!(fs::read_to_string(&to).unwrap(), "a new image");
    }
}
