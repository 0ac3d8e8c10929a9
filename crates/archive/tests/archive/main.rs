//! The archive against real mirrors and against bad ones.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure ends the test, and measurements are to be seen"
)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod downloads;
mod lock;
mod real;
mod trust;
