//! Runs programs of an unpacked tree: tools of the build, and maintainer scripts in a sandbox.
//! Needs no root, no daemon and no program of the host but, for an ordinary user's sandbox
//! with several users, `newuidmap`.

mod configure;
mod helper;
mod identity;
mod job;
mod materialise;
mod namespace;
mod normalise;
mod scan;
mod scripts;
mod sys;
mod tools;

pub use {
    configure::{ConfigureError, configure},
    helper::helper_main,
    job::Network,
    materialise::{MaterialiseError, Ownership, materialise},
    namespace::{Sandbox, SandboxError, SandboxOutput, set_helper},
    tools::{ToolsError, ToolsTree},
};
