//! The archive against real mirrors and against bad ones.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod real;
