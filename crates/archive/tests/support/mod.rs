//! Makes signed package repositories and serves them on the loopback interface, well or badly.
//!
//! Not part of the program. Tests of other crates may take this folder in with `#[path]`; it
//! needs `flate2`, `liblzma`, `pgp`, `rand` 0.8, `sha2` and `tempfile`.

pub mod repository;
pub mod server;

pub use {
    repository::{Package, Repository, Signer},
    server::{Fault, Server},
};
