use lifeboat_archive::{Inode, Kind, Tree};
use proptest::prelude::*;

use super::*;

fn bytes(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(tree, &mut bytes).unwrap();
    bytes
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    tree.write("init", 0o755, "#!").unwrap();
    tree.link(b"bin/lifeboat", b"init").unwrap();
    tree.symlink("lib64", "lib").unwrap();
    tree.mkdir("proc", 0o555).unwrap();
    let console = Inode::new(Kind::CharDevice { major: 5, minor: 1 }, 0o600);
    tree.insert(b"dev/console", console).unwrap();
    tree
}

#[test]
fn the_dump_of_what_was_written() {
    let archive = bytes(&sample());
    assert_eq!(archive.len() % 512, 0);
    insta::assert_snapshot!(dump(&read(&archive).unwrap()), @r"
    d0755 0:0          0  bin
    -0755 0:0          2  bin/lifeboat
    d0755 0:0          0  dev
    c0600 0:0          0  dev/console 5:1
    -0755 0:0          2  init
    l0777 0:0          0  lib64 -> lib
    d0555 0:0          0  proc
    ");
    let tree = read(&archive).unwrap();
    assert_eq!(tree.id("init"), tree.id("bin/lifeboat"));
}

#[test]
fn cpio_agrees() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), bytes(&sample())).unwrap();
    let Some(text) = crate::testing::tool("cpio", &["-itv", "-F"], file.path()) else {
        return;
    };
    assert!(text.contains("lib64 -> lib"), "{text}");
}

prop_compose! {
    fn any_tree()(files in prop::collection::btree_map("[a-z]{1,3}(/[a-zä ]{1,4}){0,2}", (
        prop::collection::vec(any::<u8>(), 0..70), 0u32..0o7777, any::<u32>(), 0i64..1 << 32), 0..9)) -> Tree {
        let mut tree = Tree::new();
        for (path, (content, mode, uid, mtime)) in files {
            let _ = tree.write(&path, mode, content);
            if let Some(inode) = tree.get_mut(&path) {
                (inode.uid, inode.mtime) = (uid, mtime);
            }
        }
        tree
    }
}

proptest! {
    #[test]
    fn a_written_tree_reads_back(tree in any_tree()) {
        let back = read(&bytes(&tree)).unwrap();
        let list = |tree: &Tree| tree.iter().map(|(path, _, inode)| (path.to_vec(), inode.clone())).collect::<Vec<_>>();
        prop_assert_eq!(list(&back), list(&tree));
    }

    #[test]
    fn the_reader_refuses_but_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9)) {
        let mut bytes = bytes(&sample());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }
}
