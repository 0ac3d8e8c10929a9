//! Whether a file is the one that was read before, without reading it where that can be told.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;
use lifeboat_archive::Digest;
use serde::{Deserialize, Serialize};

/// Files up to this size are read each time: that costs no more than to think about it.
const SMALL: u64 = 1 << 20;

/// What a file system says of a file. The time of the last change of the inode cannot be set by
/// a program, so that a file with an old time and new content is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether both are one file with the same content by size and time. A link more to it, or
    /// less, makes no difference.
    pub fn same_content(&self, other: &Self) -> bool {
        Self {
            changed: (0, 0),
            ..*self
        } == Self {
            changed: (0, 0),
            ..*other
        }
    }

    /// Whether both are one file.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether any change after `now` gives another stamp. One that follows at once may get the
    /// same time: the kernel's clock for it ticks each 10 ms at worst, and some file systems
    /// keep whole or even seconds only (the racy entries of git's index).
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let tick = match self.changed.1 {
            0 => Duration::from_secs(2),
            _ => Duration::from_millis(100),
        };
        let (Ok(seconds), Ok(nanoseconds)) =
            (u64::try_from(self.changed.0), u32::try_from(self.changed.1))
        else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(changed).is_ok_and(|age| age >= tick)
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub digest: Digest,
    /// How it was then.
    pub stamp: Stamp,
    settled: bool,
}

impl Seen {
    /// Reads a file, unless it is the one that `earlier` saw.
    ///
    /// # Errors
    /// If it cannot be read, or is no regular file.
    pub fn look(path: &Path, earlier: Option<&Self>) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = fs::File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        if let Some(earlier) = earlier
            && earlier.settled
            && earlier.stamp == stamp
            && stamp.size > SMALL
        {
            return Ok(earlier.clone());
        }
        // Taken before the content: what changes while it is read has a later time.
        let now = SystemTime::now();
        let (digest, _) = Digest::of_reader(&file)?;
        let settled = stamp.is_settled(now) && Stamp::of(&file.metadata()?) == stamp;
        Ok(Self {
            path: path.to_owned(),
            digest,
            stamp,
            settled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is larger than what is always read.
    fn large(path: &Path, byte: u8) {
        let mut file = fs::File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .unwrap();
        io::Write::write_all(&mut file, &vec![byte; 2 << 20]).unwrap();
    }

    #[test]
    fn a_change_of_the_same_size_at_the_same_moment_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for byte in 0..20 {
            large(&path, byte);
            let before = Seen::look(&path, None).unwrap();
            assert!(!before.settled, "it was written just now");
            // In place, so that inode and size stay.
            large(&path, byte + 1);
            let after = Seen::look(&path, Some(&before)).unwrap();
            assert_ne!(before.digest, after.digest);
        }
    }

    #[test]
    fn a_change_with_the_old_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        large(&path, 1);
        let mut before = Seen::look(&path, None).unwrap();
        before.settled = true;
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let deadline = SystemTime::now() + Duration::from_secs(5);
        while Stamp::of(&fs::metadata(&path).unwrap()) == before.stamp {
            assert!(SystemTime::now() < deadline, "its time stands still");
            large(&path, 2);
            fs::File::open(&path)
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
        let after = Seen::look(&path, Some(&before)).unwrap();
        assert_ne!(before.digest, after.digest);
    }

    #[test]
    fn what_stayed_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        large(&path, 1);
        let mut before = Seen::look(&path, None).unwrap();
        // Only one that was not read again has another's digest.
        before.digest = Digest::of("other");
        before.settled = true;
        assert_eq!(Seen::look(&path, Some(&before)).unwrap(), before);
        before.settled = false;
        assert_ne!(
            Seen::look(&path, Some(&before)).unwrap().digest,
            before.digest
        );
    }

    #[test]
    fn times_settle_by_the_grain_of_the_file_system() {
        let stamp = |nanoseconds| Stamp {
            device: 1,
            inode: 1,
            size: 1,
            modified: (0, 0),
            changed: (1000, nanoseconds),
        };
        let after = |milliseconds: u64| {
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + milliseconds)
        };
        assert!(!stamp(1).is_settled(after(50)));
        assert!(stamp(1).is_settled(after(150)));
        assert!(!stamp(0).is_settled(after(1500)));
        assert!(stamp(0).is_settled(after(2500)));
        assert!(!stamp(1).is_settled(SystemTime::UNIX_EPOCH));
    }
}
