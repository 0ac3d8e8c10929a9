use lifeboat_archive::Content;
use proptest::prelude::*;

use super::*;
use crate::{
    extents::Extents,
    source::{FileSource, Source},
    testing,
};

fn extents(pieces: &[(u64, Vec<u8>)]) -> Extents {
    let mut extents = Extents::new();
    for (offset, bytes) in pieces {
        extents.add(*offset, Content::inline(bytes));
    }
    extents
}

fn written(pieces: &[(u64, Vec<u8>)], size: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&extents(pieces), size, file.path()).unwrap();
    file
}

fn sample() -> (Vec<(u64, Vec<u8>)>, u64) {
    let pieces = vec![
        (0, vec![1; 700]),
        (65_000, vec![2; 70_000]),
        (1 << 20, vec![0; 1 << 17]),
        ((9 << 30) - 5, vec![3; 5]),
    ];
    (pieces, 9 << 30)
}

#[test]
fn qemu_img_agrees() {
    let (pieces, size) = sample();
    let file = written(&pieces, size);
    if let Some(text) = testing::tool("qemu-img", &["check"], file.path()) {
        assert!(text.contains("No errors were found"), "{text}");
    }
    if let Some(mut compare) = testing::command("qemu-img") {
        let raw = tempfile::NamedTempFile::new().unwrap();
        extents(&pieces).write_raw(raw.path(), size).unwrap();
        let arguments = ["compare", "-f", "qcow2", "-F", "raw"];
        let output = compare
            .args(arguments)
            .arg(file.path())
            .arg(raw.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn zeros_take_no_room() {
    let (pieces, size) = sample();
    let file = written(&pieces, size);
    let source = FileSource::open(file.path()).unwrap();
    let image = Qcow2::open(&source).unwrap();
    insta::assert_snapshot!(dump(&image).unwrap(), @"qcow2 disk of 9663676416 bytes, 4 clusters of 65536 bytes in use");
    let without: Vec<_> = pieces
        .iter()
        .filter(|(at, _)| *at != 1 << 20)
        .cloned()
        .collect();
    let other = written(&without, size);
    assert_eq!(
        fs_err::read(file.path()).unwrap(),
        fs_err::read(other.path()).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_written_disk_reads_back(
        sizes in prop::collection::vec((0u64..200_000, prop::collection::vec(any::<u8>(), 1..100_000)), 0..6),
    ) {
        let (mut at, mut pieces) = (0, Vec::new());
        for (gap, bytes) in sizes {
            pieces.push((at + gap, bytes.clone()));
            at += gap + bytes.len() as u64;
        }
        let size = at + 4096;
        let file = written(&pieces, size);
        let source = FileSource::open(file.path()).unwrap();
        let image = Qcow2::open(&source).unwrap();
        let mut expected = vec![0; usize::try_from(size).unwrap()];
        for (at, bytes) in &pieces {
            let at = usize::try_from(*at).unwrap();
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        prop_assert!(image.bytes(0, size).unwrap() == expected);
    }

    #[test]
    fn the_reader_refuses_but_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let file = written(&[(70_000, vec![1; 9])], 1 << 20);
        let mut bytes = fs_err::read(file.path()).unwrap();
        for (at, byte) in flips {
            let at = at.index(104);
            bytes[at] = byte;
        }
        if let Ok(image) = Qcow2::open(&bytes) {
            let _ = dump(&image);
            let _ = image.bytes(0, 1 << 17);
        }
    }
}
