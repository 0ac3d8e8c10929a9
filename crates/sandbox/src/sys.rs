//! The system calls that have no safe form elsewhere.

use std::io;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Leaves namespaces of the parent for new ones.
#[expect(unsafe_code, reason = "rustix marks unshare(2) unsafe for CLONE_FILES")]
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    let namespaces = namespaces.difference(UnshareFlags::FILES);
    // SAFETY: what can break other code is a file table that is no longer shared between
    // threads (CLONE_FILES), and that flag is taken out above.
    Ok(unsafe { unshare_unsafe(namespaces) }?)
}
