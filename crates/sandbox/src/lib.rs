//! Runs programs of an unpacked tree: tools of the build and maintainer scripts.
