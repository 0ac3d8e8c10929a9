//! What users and other crates see of the definition: findings, schema, reference page.

mod findings;
mod generated;
mod hostile;
mod kubeadm;
mod round_trip;
