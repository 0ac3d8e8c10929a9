//! A disk: boot partition, two slots, state.

use std::{io, path::Path};

use lifeboat_archive::{Content, Digest};
use uuid::Uuid;

use crate::{
    Extents,
    fat::{self, Volume, WriteFatError},
    gpt::{self, Layout, PlanTableError, Table, attributes, kinds},
    root::partition_ids,
};

const MIB: u64 = 1 << 20;
/// How many UKIs the boot partition has room for: those of both slots, and a new one beside
/// them while it is written.
const UKIS: u64 = 3;
/// The least size of a partition with a hash tree.
const LEAST_VERITY: u64 = 16 * MIB;

/// The sizes of the partitions that are chosen, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSizes {
    /// The boot partition.
    pub esp: u64,
    /// The root file system of each slot.
    pub slot: u64,
}

impl Default for DiskSizes {
    fn default() -> Self {
        Self {
            esp: 256 * MIB,
            slot: 512 * MIB,
        }
    }
}

impl DiskSizes {
    /// Room for the hash tree of a full root, which is 1/127 of it, and some.
    fn verity(self) -> u64 {
        (self.slot / 64).next_multiple_of(MIB).max(LEAST_VERITY)
    }
}

/// A part of a disk that may be too large for its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The root file system, in its slot.
    Root,
    /// Its hash tree.
    HashTree,
    /// The kernel with its initrd, in the boot partition.
    Uki,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Root => "the root file system",
            Self::HashTree => "the root's hash tree",
            Self::Uki => "the UKI, of which three must fit,",
        })
    }
}

/// A disk that cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A part is larger than its partition.
    #[error("{part} has {} MiB, its partition of {} MiB is too small: it needs {} MiB",
        size.div_ceil(MIB), there / MIB, least / MIB)]
    TooSmall {
        /// The part.
        part: Part,
        /// Its size in bytes.
        size: u64,
        /// The partition's size in bytes.
        there: u64,
        /// The least size in bytes that the partition would need, a multiple of 1 MiB.
        least: u64,
    },
    /// The boot partition.
    #[error("the boot partition cannot be written")]
    Fat(#[from] WriteFatError),
    /// The partition table.
    #[error("the partition table cannot be written")]
    Table(#[from] PlanTableError),
    /// A part cannot be read.
    #[error("a part of the disk cannot be read")]
    Io(#[from] io::Error),
}

/// The parts of a disk.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    pub version: &'a str,
    pub root_hash: Digest,
    pub erofs: &'a Path,
    pub verity: &'a Path,
    pub uki: &'a Path,
    pub loader: Content,
    /// The state file system, and the size of its partition, which may be larger.
    pub state: &'a Path,
    pub state_size: u64,
    pub sizes: DiskSizes,
    pub time: i64,
}

/// An assembled disk that is not written yet.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub extents: Extents,
    pub size: u64,
}

pub(crate) fn assemble(parts: &Parts<'_>) -> Result<Disk, AssembleError> {
    let erofs = Content::file(parts.erofs)?;
    let verity = Content::file(parts.verity)?;
    let slot = parts.sizes.slot;
    let verity_size = parts.sizes.verity();
    fits(Part::Root, erofs.size(), 1, slot)?;
    fits(Part::HashTree, verity.size(), 1, verity_size)?;
    let hash = &parts.root_hash;
    let id = |what: &str| crate::id(what, &hash.0);
    let (root_id, verity_id) = partition_ids(hash);
    let label = |kind: &str| -> String {
        // As many characters as an entry holds. Source: UEFI 2.10, table 5.6.
        format!("{kind}_{}", parts.version)
            .chars()
            .take(36)
            .collect()
    };
    let mut layout = Layout::new(id("disk"));
    let read_only = attributes::READ_ONLY;
    let (root, tree) = (kinds::ROOT_X86_64, kinds::ROOT_X86_64_VERITY);
    let esp_at = layout.add(kinds::ESP, id("esp"), "esp", 0, parts.sizes.esp);
    let root_at = layout.add(root, root_id, &label("root"), read_only, slot);
    let verity_at = layout.add(tree, verity_id, &label("verity"), read_only, verity_size);
    // An empty slot, as systemd-sysupdate marks it. Source: sysupdate.d(5), "MatchPattern=".
    layout.add(root, id("root b"), "_empty", read_only, slot);
    layout.add(tree, id("verity b"), "_empty", read_only, verity_size);
    let grow = attributes::GROW_FILE_SYSTEM;
    let state_at = layout.add(
        kinds::VARIABLE,
        id("state"),
        "state",
        grow,
        parts.state_size,
    );
    let table: Table = layout.finish();
    let sectors = gpt::write(&table)?;

    let mut extents = Extents::new();
    extents.add(0, Content::inline(&sectors.head));
    extents.add_all(esp_at, fat::write(&esp(parts)?)?);
    extents.add(root_at, erofs);
    extents.add(verity_at, verity);
    extents.add_sparse_file(state_at, parts.state)?;
    extents.add(sectors.tail_offset, Content::inline(&sectors.tail));
    Ok(Disk {
        extents,
        size: table.sectors * gpt::SECTOR,
    })
}

/// Source: Boot Loader Specification (UAPI.1), "Type #2 EFI Unified Kernel Images".
pub(crate) fn uki_name(version: &str) -> String {
    format!("lifeboat_{version}.efi")
}

fn esp(parts: &Parts<'_>) -> Result<Volume, AssembleError> {
    let uki = Content::file(parts.uki)?;
    fits(Part::Uki, uki.size(), UKIS, parts.sizes.esp)?;
    let file = |path: String, content: &Content| fat::File {
        path,
        content: content.clone(),
    };
    // A menu is for machines with a person in front; one more kernel is chosen by holding a key.
    let conf = "timeout 0\ndefault lifeboat_*\neditor no\n";
    let serial = crate::id("esp serial", &parts.root_hash.0).as_fields().0;
    Ok(Volume {
        label: "ESP".to_owned(),
        serial,
        size: parts.sizes.esp,
        time: parts.time,
        files: vec![
            file("EFI/BOOT/BOOTX64.EFI".to_owned(), &parts.loader),
            file("EFI/systemd/systemd-bootx64.efi".to_owned(), &parts.loader),
            file(format!("EFI/Linux/{}", uki_name(parts.version)), &uki),
            file("loader/loader.conf".to_owned(), &Content::inline(conf)),
            // Says that the entries are on this partition. Source: bootctl(1), "install".
            file(
                "loader/entries.srel".to_owned(),
                &Content::inline("type1\n"),
            ),
        ],
    })
}

fn fits(part: Part, size: u64, times: u64, there: u64) -> Result<(), AssembleError> {
    let least = (size * times).next_multiple_of(MIB);
    if least > there {
        return Err(AssembleError::TooSmall {
            part,
            size,
            there,
            least,
        });
    }
    Ok(())
}

/// Ids of what never varies need no more than a name; [`crate::id`] makes them.
pub(crate) fn stable_id(what: &str, of: &[u8]) -> Uuid {
    let digest = Digest::of_parts([&b"lifeboat id"[..], what.as_bytes(), of]).0;
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fat::Fat,
        source::{FileSource, Source as _, Window},
        testing,
    };

    #[test]
    fn a_disk_has_its_parts_where_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs_err::write(&path, bytes).unwrap();
            path
        };
        let (erofs, verity) = (file("erofs", b"the root"), file("verity", b"the tree"));
        let (uki, state) = (file("uki", b"the kernel"), file("state", b"the state"));
        let parts = Parts {
            version: "1.0",
            root_hash: Digest([7; 32]),
            erofs: &erofs,
            verity: &verity,
            uki: &uki,
            loader: Content::inline("the loader"),
            state: &state,
            state_size: 3 << 20,
            sizes: DiskSizes {
                esp: 64 * MIB,
                slot: 1024 * MIB + MIB,
            },
            time: 1_700_000_000,
        };
        let disk = assemble(&parts).unwrap();
        let raw = folder.path().join("raw");
        disk.extents.write_raw(&raw, disk.size).unwrap();
        let source = FileSource::open(&raw).unwrap();
        let tables = gpt::read(&source).unwrap();
        assert_eq!(tables.other, None);
        let partitions = &tables.table.partitions;
        let sizes: Vec<_> = partitions.iter().map(|part| part.size() / MIB).collect();
        assert_eq!(sizes, [64, 1025, 17, 1025, 17, 3]);
        let kinds: Vec<_> = partitions.iter().map(|part| part.kind).collect();
        let (root, tree) = (kinds::ROOT_X86_64, kinds::ROOT_X86_64_VERITY);
        assert_eq!(kinds, [kinds::ESP, root, tree, root, tree, kinds::VARIABLE]);
        assert_eq!(
            (partitions[1].id, partitions[2].id),
            partition_ids(&Digest([7; 32]))
        );
        for (index, bytes) in [(1, &b"the root"[..]), (2, b"the tree"), (5, b"the state")] {
            let found = source
                .bytes(partitions[index].offset(), bytes.len() as u64)
                .unwrap();
            assert_eq!(found, bytes);
        }
        let esp = Window::new(&source, partitions[0].offset(), partitions[0].size());
        let fat = Fat::open(&esp).unwrap();
        assert_eq!(
            fat.read("EFI/Linux/lifeboat_1.0.efi").unwrap(),
            b"the kernel"
        );
        assert_eq!(fat.read("EFI/BOOT/BOOTX64.EFI").unwrap(), b"the loader");
        if let Some(text) = testing::tool("sgdisk", &["--verify"], &raw) {
            assert!(text.contains("No problems found"), "{text}");
        }
    }

    #[test]
    fn a_part_that_does_not_fit_is_named_with_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, size: u64| {
            let path = folder.path().join(name);
            fs_err::File::create(&path).unwrap().set_len(size).unwrap();
            path
        };
        let (small, large) = (file("small", 4096), file("large", 30 * MIB + 1));
        let parts = Parts {
            version: "1.0",
            root_hash: Digest([7; 32]),
            erofs: &small,
            verity: &small,
            uki: &small,
            loader: Content::inline(""),
            state: &small,
            state_size: 0,
            sizes: DiskSizes {
                esp: 64 * MIB,
                slot: 30 * MIB,
            },
            time: 0,
        };
        for (parts, wanted, needed) in [
            (
                Parts {
                    erofs: &large,
                    ..parts.clone()
                },
                Part::Root,
                31,
            ),
            (
                Parts {
                    verity: &large,
                    ..parts.clone()
                },
                Part::HashTree,
                31,
            ),
            (
                Parts {
                    uki: &large,
                    ..parts.clone()
                },
                Part::Uki,
                91,
            ),
        ] {
            match assemble(&parts).unwrap_err() {
                AssembleError::TooSmall { part, least, .. } => {
                    assert_eq!((part, least / MIB), (wanted, needed));
                }
                other => panic!("{other}"),
            }
        }
    }
}
