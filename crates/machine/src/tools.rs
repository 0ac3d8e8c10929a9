//! What a machine needs of the tools tree.

use std::{fmt, path::Path, process::Command};

/// Programs and data files that run a machine: QEMU, its firmware, the OpenSSH client. The
/// tools tree of the sandbox is one; tests have others.
pub trait Tools: fmt::Debug {
    /// A command that runs `program`, named without a folder.
    fn command(&self, program: &str) -> Command;

    /// The folder that stands for `/` of these tools; it has `usr/share/OVMF`, for example.
    fn root(&self) -> &Path;
}

impl Tools for lifeboat_sandbox::ToolsTree {
    fn command(&self, program: &str) -> Command {
        Self::command(self, program)
    }

    fn root(&self) -> &Path {
        self.path()
    }
}
