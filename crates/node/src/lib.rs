//! What runs on a node: initrd init, provisioning, status.
