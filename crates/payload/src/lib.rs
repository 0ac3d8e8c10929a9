//! A Kubernetes version as one verified, signed image.

pub mod verity;
