//! A Kubernetes version as one verified, signed image.
