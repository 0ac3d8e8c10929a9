//! Whether there is room on a file system.

use std::{io, path::Path};

/// With less than this free, what failed there failed for lack of room.
const LEAST: u64 = 1 << 20;

/// The error of a full disk, if the file system that holds `path` is full. For programs that say
/// something else when they meet it: mkfs.erofs finds its own lost data damaged.
pub fn no_room(path: &Path) -> Option<io::Error> {
    let there = path.ancestors().find(|path| path.exists())?;
    let state = rustix::fs::statvfs(there).ok()?;
    (state.f_bavail.saturating_mul(state.f_frsize) < LEAST).then(|| {
        let text = format!("No space left on device, for `{}`", path.display());
        io::Error::new(io::ErrorKind::StorageFull, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_of_no_size_has_no_room() {
        let error = no_room(Path::new("/proc/self/none/of/it")).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(no_room(&std::env::temp_dir().join("new")).is_none());
    }
}
