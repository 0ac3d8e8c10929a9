//! Virtual machines that run nodes: their folders, QEMU, and the wait until Kubernetes is up.
//! Never builds an image and never prints.
//!
//! ```
//! use lifeboat_machine::MachineName;
//!
//! let name: MachineName = "node-1".parse()?;
//! assert!("../elsewhere".parse::<MachineName>().is_err());
//! assert_eq!(name.as_str(), "node-1");
//! # Ok::<(), lifeboat_machine::ParseNameError>(())
//! ```

mod api;
mod clock;
mod console;
mod disk;
mod doctor;
mod event;
mod folder;
mod kubeconfig;
mod name;
mod poll;
mod port;
mod power;
mod process;
mod qemu;
mod readiness;
mod ssh;
mod tail;
mod terminal;
mod tools;
mod wait;
mod watch;
mod yaml;

use qemu::file as qemu_file;

pub use {
    api::{Api, ApiError},
    clock::{parse_timestamp, timestamp},
    console::{Alarm, plain_text},
    disk::{DiskError, create_disk, link_or_copy},
    doctor::{Check, Doctor, Finding},
    event::{Event, StepState},
    folder::{
        Folder, FolderError, Hardware, MachineLock, Machines, Process, Record, RunState,
        write_private,
    },
    kubeconfig::{Kubeconfig, KubeconfigError, merge},
    name::{MachineName, ParseNameError},
    poll::{Deadline, wait_until},
    port::{Forward, PortError, Protocol, choose_ports},
    power::{StopError, Stopped, stop},
    process::alive,
    qemu::{
        Acceleration, Boot, Capabilities, Machine, OnReboot, Plan, Qemu, Qmp, QmpError, StartError,
        Trial, choose_acceleration,
    },
    readiness::{Expected, Readiness, judge},
    ssh::{SshError, SshKey},
    tail::Tail,
    terminal::{TerminalError, attach},
    tools::Tools,
    wait::{WaitError, Waiting, wait_ready},
    watch::{Failure, Goal, LogName, Progress, Stage, Timeline, Verdict, Watch},
    yaml::{YamlError, from_yaml, to_yaml},
};
