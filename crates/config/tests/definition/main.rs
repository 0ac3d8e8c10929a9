//! What users and other crates see of the definition: findings, schema, reference page.

#![expect(clippy::unwrap_used, reason = "a test's helper may fail the test")]

mod findings;
mod generated;
mod hostile;
mod kubeadm;
mod round_trip;
mod system;
