//! Virtual machines that run nodes.
