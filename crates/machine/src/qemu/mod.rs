//! Machines of QEMU: its arguments, its start, its control socket.

mod machine;
mod plan;
mod qmp;
mod trial;

pub(crate) use plan::file;

pub use {
    machine::{Capabilities, Machine, Qemu, StartError},
    plan::{Boot, OnReboot, Plan},
    qmp::{Qmp, QmpError},
    trial::{Acceleration, Trial, choose_acceleration},
};
