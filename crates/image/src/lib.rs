//! The OS image: erofs root, verity, initrd, UKI, disk.
