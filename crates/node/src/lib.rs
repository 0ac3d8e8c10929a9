//! What runs on a node: the init of the initrd, provisioning, status. Never on a workstation.

mod boot;
mod child;
pub mod init;
pub mod report;
mod sys;
