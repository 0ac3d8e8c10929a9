//! One file in, a Kubernetes node out: the command.

fn main() {}
