//! Images for people.

use std::io;

use super::Qcow2;
use crate::source::Source;

/// One line.
///
/// # Errors
/// If a table cannot be read.
pub fn dump<S: Source + ?Sized>(image: &Qcow2<'_, S>) -> io::Result<String> {
    Ok(format!(
        "qcow2 disk of {} bytes, {} clusters of {} bytes in use\n",
        image.size(),
        image.used_clusters()?,
        image.cluster()
    ))
}
