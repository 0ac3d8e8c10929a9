use lifeboat_archive::Content;
use proptest::prelude::*;

use super::*;
use crate::{source::FileSource, testing};

fn volume(size: u64, files: &[(&str, &[u8])]) -> Volume {
    Volume {
        label: "ESP".into(),
        serial: 0x1234_abcd,
        size,
        time: 1_700_000_000,
        files: files
            .iter()
            .map(|(path, bytes)| File {
                path: (*path).into(),
                content: Content::inline(bytes),
            })
            .collect(),
    }
}

fn sample(size: u64) -> Volume {
    let large = vec![7; 300_000];
    volume(
        size,
        &[
            ("EFI/BOOT/BOOTX64.EFI", b"boot"),
            ("EFI/Linux/lifeboat_1.2.3+3.efi", &large),
            ("EFI/Linux/lifeboat_1.2.4.efi", b"next"),
            ("loader/loader.conf", b"timeout 0\n"),
            ("loader/empty", b""),
            ("Größe 😀.txt", b"x"),
        ],
    )
}

fn written(volume: &Volume) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(volume)
        .unwrap()
        .write_raw(file.path(), volume.size)
        .unwrap();
    file
}

fn read_back(volume: &Volume) -> Vec<(String, Vec<u8>)> {
    let file = written(volume);
    let source = FileSource::open(file.path()).unwrap();
    let fat = Fat::open(&source).unwrap();
    let files = fat.entries().unwrap();
    let files = files.into_iter().filter(|entry| !entry.is_folder);
    let mut files: Vec<_> = files
        .map(|entry| (entry.path.clone(), fat.read(&entry.path).unwrap()))
        .collect();
    files.sort();
    files
}

fn expected(volume: &Volume) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = volume
        .files
        .iter()
        .map(|file| (file.path.clone(), file.content.read().unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn both_widths_read_back() {
    for size in [5 << 20, 34 << 20, 256 << 20, 3 << 30] {
        let volume = sample(size);
        assert_eq!(read_back(&volume), expected(&volume), "{size}");
    }
}

#[test]
fn fsck_and_mtools_agree() {
    for size in [5 << 20, 256 << 20] {
        let file = written(&sample(size));
        if let Some(output) = testing::tool("fsck.vfat", &["-n", "-v"], file.path()) {
            assert!(
                !output.contains("differ") && !output.contains("Wrong"),
                "{output}"
            );
        }
        if let Some(mut mdir) = testing::command("mdir") {
            let output = mdir.arg("-/b").arg("-i").arg(file.path()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("::/EFI/Linux/lifeboat_1.2.3+3.efi"), "{text}");
            assert!(text.contains("::/loader/loader.conf"), "{text}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let large = vec![1; 6 << 20];
    assert!(matches!(
        write(&volume(5 << 20, &[("A", &large)])),
        Err(WriteFatError::Full { .. })
    ));
    for bad in ["a:b", "a/", "x//y", "..", "end."] {
        let volume = volume(5 << 20, &[(bad, b"x")]);
        assert!(
            matches!(write(&volume), Err(WriteFatError::Name(_))),
            "{bad}"
        );
    }
    let twice = volume(5 << 20, &[("a/File", b"x"), ("A/file", b"y")]);
    assert!(matches!(write(&twice), Err(WriteFatError::Name(_))));
    assert!(matches!(
        write(&volume(1 << 20, &[])),
        Err(WriteFatError::Size(_))
    ));
}

#[test]
fn the_dump_lists_files() {
    let file = written(&volume(
        5 << 20,
        &[("EFI/BOOT/BOOTX64.EFI", b"boot"), ("a b", b"")],
    ));
    let source = FileSource::open(file.path()).unwrap();
    insta::assert_snapshot!(dump(&Fat::open(&source).unwrap()).unwrap(), @r"
    FAT16 `ESP` 1234-ABCD, 10124 clusters of 512 bytes
                  EFI/
               0  a b
                  EFI/BOOT/
               4  EFI/BOOT/BOOTX64.EFI
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn written_files_read_back(files in prop::collection::btree_map(
        "[a-z]{1,3}/[A-Za-z0-9 +äΩ-]{0,30}[A-Z0-9]\\.[a-z]{1,4}",
        prop::collection::vec(any::<u8>(), 0..3000), 0..12,
    )) {
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        let volume = volume(5 << 20, &files);
        // Names that differ only in case are refused, which another test checks.
        if write(&volume).is_ok() {
            prop_assert_eq!(read_back(&volume), expected(&volume));
        }
    }

    #[test]
    fn the_reader_refuses_but_never_panics(
        flips in prop::collection::vec((0usize..0x6000, any::<u8>()), 1..40),
    ) {
        let file = written(&sample(5 << 20));
        let mut bytes = fs_err::read(file.path()).unwrap();
        for (at, byte) in flips {
            bytes[at] = byte;
        }
        if let Ok(fat) = Fat::open(&bytes) {
            let _ = fat.entries();
            let _ = fat.read("EFI/Linux/lifeboat_1.2.3+3.efi");
        }
    }
}
