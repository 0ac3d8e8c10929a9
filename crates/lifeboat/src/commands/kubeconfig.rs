//! `lifeboat kubeconfig`

use std::{
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use lifeboat_machine::{from_yaml, merge, to_yaml, wait_until};
use serde::Serialize;

use crate::{cli::KubeconfigArgs, context::Context, exit::Exit, hint::Advised};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    kubeconfig: PathBuf,
    context: String,
    backup: Option<PathBuf>,
}

pub fn run(arguments: &KubeconfigArgs, context: &Context) -> Result<Exit> {
    let folder = context.machine(&arguments.name.name)?;
    let own = folder.file("kubeconfig");
    let Ok(text) = fs::read_to_string(&own) else {
        return Err(Advised::new(
            format!("machine `{}` has no cluster yet", folder.name()),
            format!("`lifeboat up --name {}` waits for it", folder.name()),
        ));
    };
    if !arguments.merge {
        context.printer.data(text.trim_end());
        return Ok(Exit::Done);
    }
    let path = users_file()?;
    let backup = merge_into(&path, &text)?;
    let facts = Facts {
        schema: "lifeboat.kubeconfig/1",
        kubeconfig: path,
        context: format!("lifeboat-{}", folder.name()),
        backup,
    };
    context.printer.facts(&facts, |facts| {
        let backup = facts.backup.as_ref().map_or_else(String::new, |backup| {
            format!(" (as it was: {})", backup.display())
        });
        format!(
            "merged into {}{backup}\nkubectl --context {} get nodes",
            facts.kubeconfig.display(),
            facts.context
        )
    })?;
    Ok(Exit::Done)
}

/// The file that kubectl would write to.
fn users_file() -> Result<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(std::path::absolute(first)?);
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| {
        Advised::new(
            "neither KUBECONFIG nor HOME says where your kubeconfig is",
            "set KUBECONFIG",
        )
    })?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// Merges `added` into the file at `path`, under the lock that kubectl takes, and returns where
/// the file as it was is kept.
fn merge_into(path: &Path, added: &str) -> Result<Option<PathBuf>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A link is followed: the file it leads to is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _lock = FileLock::take(path)?;
    let before = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let name = || format!("cannot merge into `{}`", path.display());
    let existing = from_yaml(before.as_deref().unwrap_or_default()).with_context(name)?;
    let merged = merge(existing, &from_yaml(added)?).with_context(name)?;
    let backup = match &before {
        None => None,
        Some(text) => {
            let backup = beside(path, ".lifeboat-backup");
            write(&backup, text.as_bytes())?;
            Some(backup)
        }
    };
    write(path, to_yaml(&merged).as_bytes())?;
    Ok(backup)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Replaces a file whole, mode 0600.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(())
}

/// The lock file of client-go, which kubectl makes beside the file that it changes.
struct FileLock(PathBuf);

impl FileLock {
    fn take(path: &Path) -> Result<Self> {
        let lock = beside(path, ".lock");
        let mut failed = None;
        let taken = wait_until(Duration::from_secs(10), || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            match fs::OpenOptions::from_options(options).open(&lock) {
                Ok(_) => Some(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(error) => {
                    failed = Some(error);
                    Some(())
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        taken.map(|()| Self(lock.clone())).ok_or_else(|| {
            Advised::new(
                format!("`{}` is locked", path.display()),
                format!("if no kubectl runs, remove `{}`", lock.display()),
            )
        })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // If it cannot be removed, the next command says what to do.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_a_backup_and_removes_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kube/config");
        let added = "clusters: [{name: lifeboat-one}]\ncurrent-context: lifeboat-one\n";
        assert_eq!(merge_into(&path, added).unwrap(), None);
        let first = fs::read_to_string(&path).unwrap();
        let backup = merge_into(&path, added).unwrap().unwrap();
        assert_eq!(fs::read_to_string(backup).unwrap(), first);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert!(!beside(&path, ".lock").exists());
        let broken = "a: [";
        fs::write(&path, broken).unwrap();
        assert!(merge_into(&path, added).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
    }
}
