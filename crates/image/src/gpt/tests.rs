use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// A disk in memory that holds nothing but the table.
fn disk(table: &Table) -> Vec<u8> {
    let sectors = write(table).unwrap();
    let mut disk = vec![0; usize::try_from(table.sectors * SECTOR).unwrap()];
    disk[..sectors.head.len()].copy_from_slice(&sectors.head);
    let at = usize::try_from(sectors.tail_offset).unwrap();
    disk[at..at + sectors.tail.len()].copy_from_slice(&sectors.tail);
    disk
}

fn sample() -> Table {
    let mut layout = Layout::new(Uuid::from_u128(1));
    layout.add(kinds::ESP, Uuid::from_u128(2), "esp", 0, 1 << 20);
    layout.add(
        kinds::ROOT_X86_64,
        Uuid::from_u128(3),
        "root",
        attributes::READ_ONLY,
        5,
    );
    layout.finish()
}

prop_compose! {
    fn any_table()(
        id: u128,
        parts in prop::collection::vec((1u128.., any::<u128>(), 1u64..3, any::<u64>(), "[ -~äΩ😀]{0,18}"), 0..5),
    ) -> Table {
        let mut layout = Layout::new(Uuid::from_u128(id));
        for (kind, id, size, attributes, label) in parts {
            layout.add(Uuid::from_u128(kind), Uuid::from_u128(id), &label, attributes, size << 20);
        }
        layout.finish()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_written_table_reads_back(table in any_table()) {
        let read = read(&disk(&table)).unwrap();
        prop_assert_eq!(read.table, table);
        prop_assert_eq!((read.from, read.other), (Copy::Primary, None));
    }

    #[test]
    fn the_reader_refuses_but_never_panics(flips in prop::collection::vec((0usize..512 * 40, any::<u8>()), 1..9)) {
        let mut disk = disk(&sample());
        let length = disk.len();
        for (at, byte) in flips {
            disk[at] = byte;
            disk[length - 1 - at] = byte;
        }
        let _ = read(&disk);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(read(&bytes).is_err());
    }
}

#[test]
fn a_damaged_primary_is_replaced_by_the_backup() {
    let mut disk = disk(&sample());
    disk[600] ^= 1;
    let tables = read(&disk).unwrap();
    assert_eq!(tables.from, Copy::Backup);
    assert_eq!(tables.table, sample());
    let length = disk.len();
    disk[length - 500] ^= 1;
    assert!(read(&disk).is_err());
}

#[test]
fn overlapping_partitions_are_refused() {
    let mut table = sample();
    table.partitions[1].first -= 1;
    assert!(matches!(
        write(&table),
        Err(PlanTableError::Place { number: 1, .. })
    ));
}

#[test]
fn the_dump_names_types() {
    insta::assert_snapshot!(dump(&read(&disk(&sample())).unwrap()), @r"
    GPT disk 00000000-0000-0000-0000-000000000001, 4194304 bytes, primary copy
      1  offset      1048576  size      1048576  00000000-0000-0000-0000-000000000002  EFI system  attributes 0x0  `esp`
      2  offset      2097152  size      1048576  00000000-0000-0000-0000-000000000003  root (x86-64)  attributes 0x1000000000000000  `root`
    ");
}

#[test]
fn sgdisk_finds_nothing_wrong() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), disk(&sample())).unwrap();
    let Some(output) = crate::testing::tool("sgdisk", &["--verify"], file.path()) else {
        return;
    };
    assert!(output.contains("No problems found"), "{output}");
}
