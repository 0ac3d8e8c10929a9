//! The archive against real mirrors and against bad ones.

mod real;
