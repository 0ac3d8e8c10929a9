//! Maintainer scripts, once per base layer.

use std::io;

use fs_err as fs;
use lifeboat_archive::{Cache, CacheError, Digest, Kind, TarError, Tree, read_tar, write_tar};

use crate::{
    identity::{self, Identity},
    job::{self, Network, Task},
    namespace::{SandboxError, Started},
};

/// Counts up when the scripts' surroundings change, so that old results are not taken.
const FORMAT: &[u8] = b"configure 1";
/// Lines of the scripts' output that an error shows.
const LAST_LINES: usize = 20;

/// Maintainer scripts could not be run to their end.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// A package's script failed.
    #[error("package `{package}` cannot be configured: {reason}\n{output}")]
    Package {
        /// The package.
        package: String,
        /// What failed.
        reason: String,
        /// The last lines of what scripts said.
        output: String,
    },
    /// Something else failed while scripts ran.
    #[error("the packages cannot be configured: {reason}\n{output}")]
    Failed {
        /// What failed.
        reason: String,
        /// The last lines of what scripts said.
        output: String,
    },
    /// The sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The tree could not be handed over.
    #[error("the tree cannot be passed to or from the sandbox")]
    Tar(#[from] TarError),
}

/// Runs the maintainer scripts of a tree that was merged as unpacked, in a sandbox without
/// network, and returns the tree as they leave it, free of what differs from run to run.
/// `key` names the tree; with the same key the result is taken from the cache.
///
/// # Errors
/// [`ConfigureError`], which names the package whose script failed and what it said.
pub fn configure(cache: &Cache, tree: &Tree, key: &Digest) -> Result<Tree, ConfigureError> {
    let key = Digest::of_parts([FORMAT, &key.0]);
    let path = cache.derive("base", &key, |to| run(cache, tree, &key, to))?;
    Ok(read_tar(&path)?)
}

fn run(
    cache: &Cache,
    tree: &Tree,
    key: &Digest,
    to: &std::path::Path,
) -> Result<(), ConfigureError> {
    let identity = identity::detect();
    let work = std::path::absolute(
        cache
            .root()
            .join("partial")
            .join(format!("base-{}", key.short())),
    )
    .map_err(CacheError::from)?;
    fs::create_dir_all(&work).map_err(CacheError::from)?;
    let task = Task::Configure(job::Configure {
        work: work.clone(),
        memory: memory_for(tree),
        note_owners: identity == Identity::Single,
        epoch: newest(tree),
    });
    let started = Started::new(Network::None, task, &identity)?;
    let mut file = fs::File::create(to).map_err(CacheError::from)?;
    let end = started.finish(
        |input| {
            let input = io::BufWriter::with_capacity(1 << 17, input);
            match write_tar(tree, input) {
                Err(TarError::Io(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
                Ok(()) => Ok(()),
            }
        },
        |output| io::copy(output, &mut file).map(drop),
    );
    // Nothing is in it any more, unless it could not be emptied; the next run does that.
    let _ = fs::remove_dir(&work);
    let end = end?;
    let output = last_lines(&end.stderr);
    if let Some(failure) = end.failure {
        let reason = failure.message;
        let package = failure.package.or_else(|| culprit(&end.stderr));
        return Err(match package {
            Some(package) => ConfigureError::Package {
                package,
                reason,
                output,
            },
            None => ConfigureError::Failed { reason, output },
        });
    }
    if end.code()? != 0 {
        let reason = "the sandbox was ended".to_owned();
        return Err(ConfigureError::Failed { reason, output });
    }
    Ok(())
}

/// The time of the newest file: what scripts make must not be older than what they make it of.
fn newest(tree: &Tree) -> i64 {
    tree.iter()
        .map(|(_, _, inode)| inode.mtime)
        .max()
        .unwrap_or_default()
}

/// How large a tmpfs may grow, if the tree and what scripts add fit into memory well.
fn memory_for(tree: &Tree) -> Option<u64> {
    let size: u64 = tree
        .iter()
        .map(|(_, _, inode)| match &inode.kind {
            Kind::File(content) => content.size().next_multiple_of(4096),
            _ => 1024,
        })
        .sum();
    let limit = size * 2 + (512 << 20);
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    (limit + (512 << 20) < kib * 1024).then_some(limit)
}

/// The package that dpkg names as the first whose script failed.
fn culprit(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().find_map(|line| {
        let rest = line.strip_prefix("dpkg: error processing package ")?;
        rest.split_whitespace().next().map(str::to_owned)
    })
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    // What a script said stands before dpkg's word on it, and that before those that depend
    // on the package.
    let end = lines
        .iter()
        .position(|line| line.starts_with("dpkg: error processing package "))
        .map_or(lines.len(), |at| (at + 2).min(lines.len()));
    lines[end.saturating_sub(LAST_LINES)..end].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_script_that_failed_first() {
        let mut output = "line\n".repeat(40);
        output.push_str(
            "Setting up broken (1.0) ...\nboom\n\
             dpkg: error processing package broken (--configure):\n \
             installed broken package post-installation script subprocess returned error exit status 1\n\
             dpkg: dependency problems prevent configuration of other:\n\
             dpkg: error processing package other (--configure):\n",
        );
        assert_eq!(culprit(output.as_bytes()).unwrap(), "broken");
        let lines = last_lines(output.as_bytes());
        assert!(
            lines.contains("boom") && lines.ends_with("exit status 1"),
            "{lines}"
        );
        assert_eq!(lines.lines().count(), LAST_LINES);
    }
}
