//! Finding the partitions of a slot, and the state partition beside them.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::gpt::{self, Guid, Partition, Table};

/// A disk that holds the slot of a root hash.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Kernel name, such as `vda`.
    pub name: String,
    /// Its partition table.
    pub table: Table,
    /// Root partition.
    pub root: Partition,
    /// Verity partition.
    pub verity: Partition,
}

impl Disk {
    /// Device file of the disk.
    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Device file of one of its partitions, once the kernel has it.
    pub fn partition(&self, number: u32) -> Option<PathBuf> {
        let folder = Path::new("/sys/class/block").join(&self.name);
        for entry in fs::read_dir(folder).ok()?.flatten() {
            if let Ok(text) = fs::read_to_string(entry.path().join("partition"))
                && text.trim().parse() == Ok(number)
            {
                let device = Path::new("/dev").join(entry.file_name());
                return device.exists().then_some(device);
            }
        }
        None
    }

    /// Size in sectors of 512 bytes.
    ///
    /// # Errors
    /// If sysfs does not say.
    pub fn sectors(&self) -> io::Result<u64> {
        let text = fs::read_to_string(Path::new("/sys/class/block").join(&self.name).join("size"))?;
        text.trim().parse().map_err(io::Error::other)
    }

    /// The state partition: the type of /var and the label `state`.
    pub fn state(&self) -> Option<&Partition> {
        state(&self.table)
    }
}

fn state(table: &Table) -> Option<&Partition> {
    table
        .partitions
        .iter()
        .find(|partition| partition.kind == gpt::VAR && partition.label == "state")
}

/// The partitions of a slot in a table: the root is named by the first half of its root hash,
/// the hash tree by the second.
pub fn slot(table: &Table, root_hash: &[u8; 32]) -> Option<(Partition, Partition)> {
    let mut halves = [[0; 16]; 2];
    halves[0].copy_from_slice(&root_hash[..16]);
    halves[1].copy_from_slice(&root_hash[16..]);
    let find = |kind: Guid, digits: [u8; 16]| {
        table
            .partitions
            .iter()
            .find(|partition| partition.kind == kind && partition.id == Guid::from_digits(digits))
            .cloned()
    };
    Some((find(gpt::ROOT, halves[0])?, find(gpt::VERITY, halves[1])?))
}

/// Looks for the slot on all disks there are now. `seen` collects a line per disk, for the
/// message if none has it.
pub fn find(root_hash: &[u8; 32], seen: &mut Vec<String>) -> Option<Disk> {
    seen.clear();
    let mut names: Vec<String> = fs::read_dir("/sys/class/block")
        .ok()?
        .flatten()
        .filter(|entry| !entry.path().join("partition").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            !["loop", "ram", "dm-", "zram", "md"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .collect();
    names.sort();
    for name in names {
        let mut head = vec![0; gpt::HEAD];
        let table = File::open(Path::new("/dev").join(&name))
            .and_then(|file| file.read_exact_at(&mut head, 0))
            .map_err(|error| error.to_string())
            .and_then(|()| gpt::read(&head).map_err(|error| error.to_string()));
        match table {
            Err(error) => seen.push(format!("{name}: {error}")),
            Ok(table) => match slot(&table, root_hash) {
                Some((root, verity)) => {
                    return Some(Disk {
                        name,
                        table,
                        root,
                        verity,
                    });
                }
                None => seen.push(format!(
                    "{name}: {} partitions, none of this root hash",
                    table.partitions.len()
                )),
            },
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_named_by_its_root_hash() {
        let mut hash = [0x11; 32];
        hash[16..].fill(0x22);
        let mut table =
            gpt::read(&gpt::tests::table(&[(2048, 4095), (4096, 6143)], 10_240)).unwrap();
        assert!(slot(&table, &hash).is_none());
        table.partitions[0].kind = gpt::ROOT;
        table.partitions[0].id = Guid([0x11; 16]);
        table.partitions[1].kind = gpt::VERITY;
        table.partitions[1].id = Guid([0x22; 16]);
        let (root, verity) = slot(&table, &hash).unwrap();
        assert_eq!((root.number, verity.number), (1, 2));
    }
}
