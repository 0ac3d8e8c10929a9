//! The archive against real mirrors and against bad ones.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod real;
