//! The structures in the file, big-endian.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{U32, U64},
};

/// "QFI\xfb". Source: qcow2.rst, "Header".
pub(super) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Clusters of 64 KiB, as `qemu-img` makes them.
pub(super) const CLUSTER_BITS: u32 = 16;
/// Bytes in a cluster.
pub(super) const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries in an L2 table, which fills a cluster.
pub(super) const L2_ENTRIES: u64 = CLUSTER / 8;
/// Reference counts of 16 bits.
pub(super) const REFCOUNT_ORDER: u32 = 4;
/// Counts in a refcount block, which fills a cluster.
pub(super) const REFCOUNTS: u64 = CLUSTER / 2;
/// Entry of an L1 or L2 table: reference count is exactly one. Source: qcow2.rst, "Cluster
/// mapping".
pub(super) const COPIED: u64 = 1 << 63;
/// Entry of an L2 table: cluster is compressed.
pub(super) const COMPRESSED: u64 = 1 << 62;
/// Entry of an L2 table: cluster reads as zeros.
pub(super) const ZERO: u64 = 1;
/// Bits of an entry that are the offset.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Source: qcow2.rst, "Header".
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub magic: [u8; 4],
    pub version: U32,
    pub backing_at: U64,
    pub backing_size: U32,
    pub cluster_bits: U32,
    pub size: U64,
    pub encryption: U32,
    pub l1_entries: U32,
    pub l1_at: U64,
    pub refcount_table_at: U64,
    pub refcount_table_clusters: U32,
    pub snapshots: U32,
    pub snapshots_at: U64,
    pub incompatible: U64,
    pub compatible: U64,
    pub autoclear: U64,
    pub refcount_order: U32,
    pub length: U32,
}
