//! Everything that is prepared before systemd starts.

use std::path::Path;

use crate::init::{self, CommandLine, InitError};

/// Prepares the tree at `sysroot`.
pub(crate) fn prepare(sysroot: &Path, _line: &CommandLine) -> Result<(), InitError> {
    init::root::move_kernel_file_systems(sysroot)
}
