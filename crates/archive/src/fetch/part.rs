//! The file that a download is collected in.

use std::{
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::{FetchError, Trouble, Wanted};
use crate::{Cache, CacheError, Digest};

/// What has come of a file so far.
pub(super) struct Part<'a> {
    pub(super) wanted: &'a Wanted,
    path: PathBuf,
    file: fs::File,
    pub(super) length: u64,
    hasher: Sha256,
}

impl<'a> Part<'a> {
    pub(super) fn open(cache: &Cache, wanted: &'a Wanted) -> Result<Self, FetchError> {
        let path = cache.partial_path(&wanted.sha256);
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| io_error(error, wanted, &path))?;
        let mut hasher = Sha256::new();
        let mut length = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = file
                .read(&mut buffer)
                .map_err(|error| io_error(error, wanted, &path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            length += read as u64;
        }
        let mut part = Self {
            wanted,
            path,
            file,
            length,
            hasher,
        };
        if part.length > wanted.size {
            part.restart()?;
        }
        Ok(part)
    }

    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| io_error(error, self.wanted, &self.path))?;
        self.length = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file
            .write_all(bytes)
            .map_err(|error| io_error(error, self.wanted, &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Moves the whole file into the cache; what is wrong with it is returned, and it starts
    /// anew.
    pub(super) fn finish(&mut self, cache: &Cache) -> Result<Option<Trouble>, FetchError> {
        let found = Digest(self.hasher.clone().finalize().into());
        if found == self.wanted.sha256 {
            cache
                .adopt(&self.path, &found)
                .map_err(|error| match error {
                    CacheError::Io(error) => io_error(error, self.wanted, &self.path),
                    other => other.into(),
                })?;
            return Ok(None);
        }
        self.restart()?;
        Ok(Some(Trouble::Digest {
            wanted: self.wanted.sha256,
            found,
        }))
    }
}

fn io_error(error: io::Error, wanted: &Wanted, path: &Path) -> FetchError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FetchError::DiskFull {
            name: wanted.name.clone(),
            size: wanted.size,
            path: path.to_owned(),
        },
        _ => CacheError::from(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_so() {
        let wanted = Wanted {
            name: "systemd".to_owned(),
            urls: Vec::new(),
            size: 7,
            sha256: Digest::of(""),
        };
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let error = io_error(errno.into(), &wanted, Path::new("/cache"));
            assert_eq!(
                error.to_string(),
                "the disk is full: systemd needs 7 bytes at /cache"
            );
        }
    }
}
