use std::{fs::File, io::Write as _, os::unix::fs::FileExt as _, process::Command};

use lifeboat_archive::Digest;
use proptest::prelude::*;

use super::{format::write_superblock, *};

fn parameters() -> Parameters {
    Parameters::of("test")
}

/// A file of so many blocks, each one different.
fn file_of(blocks: u64) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for block in 0..blocks {
        file.write_all(&block.to_le_bytes().repeat(512)).unwrap();
    }
    file
}

#[test]
fn no_level_over_one_block_and_two_over_many() {
    assert_eq!(tree_size(1), 4096);
    assert_eq!(tree_size(2), 2 * 4096);
    assert_eq!(tree_size(128), 2 * 4096);
    assert_eq!(tree_size(129), 4 * 4096);
    assert_eq!(tree_size(128 * 128), 130 * 4096);
}

#[test]
fn whole_data_is_accepted_and_dumped() {
    for blocks in [1, 2, 127, 128, 129, 700] {
        let file = file_of(blocks);
        let area = append(&file, &parameters()).unwrap();
        assert_eq!(area.data_blocks, blocks);
        let size = file.metadata().unwrap().len();
        assert_eq!(size, blocks * BLOCK_SIZE + tree_size(blocks));
        verify(&file, &area).unwrap();
    }
    let area = append(&file_of(700), &parameters()).unwrap();
    insta::assert_snapshot!(dump(&area));
    insta::assert_snapshot!(area.table("/dev/loop0", "/dev/loop0"));
}

#[test]
fn a_flipped_bit_is_found_where_it_is() {
    let file = file_of(700);
    let area = append(&file, &parameters()).unwrap();
    let flip = |offset: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
    };
    for (offset, message) in [
        (0, "data block 0 (byte 0) is damaged"),
        (500 * 4096 + 77, "data block 500 (byte 2048000) is damaged"),
        (area.offset, "the hash tree has no valid superblock"),
        (
            area.offset + 100,
            "the verity superblock differs from what was signed",
        ),
        (
            area.offset + 4096,
            "hash block 0 (level 1, byte 2871296) is damaged",
        ),
        (
            area.offset + 3 * 4096,
            "hash block 1 (level 0, byte 2879488) is damaged",
        ),
    ] {
        flip(offset);
        assert_eq!(verify(&file, &area).unwrap_err().to_string(), message);
        flip(offset);
    }
    verify(&file, &area).unwrap();
}

#[test]
fn data_that_is_cut_is_refused() {
    let file = file_of(200);
    let area = append(&file, &parameters()).unwrap();
    file.set_len(area.offset).unwrap();
    assert!(matches!(verify(&file, &area), Err(VerifyError::Io(_))));
}

#[test]
fn veritysetup_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (data, tree) = (folder.path().join("data"), folder.path().join("tree"));
    for blocks in [1, 2, 128, 129, 1000, 20_000] {
        let mut file = file_of(blocks);
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::copy(&mut file, &mut File::create(&data).unwrap()).unwrap();
        let ours = build(&file, blocks, &parameters()).unwrap();
        let ran = Command::new("veritysetup")
            .arg("format")
            .args([&data, &tree])
            .arg(format!("--salt={}", Digest(parameters().salt)))
            .arg(format!(
                "--uuid={}",
                uuid::Uuid::from_bytes(parameters().uuid)
            ))
            .output();
        let Ok(output) = ran else {
            println!("SKIPPED: no veritysetup here (package cryptsetup-bin)");
            return;
        };
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(&ours.root_hash.to_string()),
            "{blocks}: {text}"
        );
        assert!(
            std::fs::read(&tree).unwrap() == ours.bytes,
            "{blocks} blocks"
        );
        std::fs::remove_file(&tree).unwrap();
    }
}

proptest! {
    #[test]
    fn written_superblock_reads_back(data_blocks: u64, salt: [u8; 32], uuid: [u8; 16]) {
        let parameters = Parameters { salt, uuid };
        let block = write_superblock(data_blocks, &parameters);
        prop_assert_eq!(read_superblock(&block).unwrap(), (data_blocks, parameters));
    }

    #[test]
    fn reader_refuses_but_never_panics(bytes: Vec<u8>, place in 0..512_usize, value: u8) {
        let _ = read_superblock(&bytes);
        let mut block = write_superblock(7, &parameters());
        block[place] = value;
        let _ = read_superblock(&block);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_size_verifies(blocks in 1_u64..300) {
        let file = file_of(blocks);
        let area = append(&file, &parameters()).unwrap();
        verify(&file, &area).unwrap();
    }
}
