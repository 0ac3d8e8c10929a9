use std::{collections::BTreeMap, io::BufReader, path::Path, sync::Arc};

use proptest::prelude::*;

use super::{
    Streamed, read_tar,
    reader::{Reader, read_tree},
    write_tar,
};
use crate::{Content, Inode, Kind, Tree};

/// Everything that must survive: paths, inodes with their content, and which share one.
fn facts(tree: &Tree) -> Vec<(Vec<u8>, Inode, Vec<u8>)> {
    let mut first = BTreeMap::new();
    tree.iter()
        .map(|(path, id, inode)| {
            let first = first.entry(id).or_insert_with(|| path.to_vec()).clone();
            let mut inode = inode.clone();
            if let Kind::File(content) = &inode.kind {
                inode.kind = Kind::File(Content::inline(content.read().unwrap()));
            }
            (path.to_vec(), inode, first)
        })
        .collect()
}

fn bytes(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).unwrap();
    bytes
}

fn through_a_file(tree: &Tree) -> Tree {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes(tree)).unwrap();
    let read = read_tar(file.path()).unwrap();
    let mut inline = Tree::new();
    inline.merge(b"", &read).unwrap();
    for (path, _, inode) in read.iter() {
        if let Kind::File(content) = &inode.kind {
            inline.get_mut(path).unwrap().kind =
                Kind::File(Content::inline(content.read().unwrap()));
        }
    }
    inline
}

fn component() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", "[a-zé. _=\n-]{1,9}x", "y{90,255}"]
}

fn inode() -> impl Strategy<Value = Inode> {
    let text = proptest::collection::vec(any::<u8>(), 0..1200);
    let kind = prop_oneof![
        3 => text.prop_map(|bytes| Kind::File(Content::inline(bytes))),
        1 => Just(Kind::Directory),
        1 => "[a-z/.]{1,300}".prop_map(|target| Kind::Symlink(target.into_bytes())),
        1 => (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        1 => Just(Kind::Fifo),
    ];
    let xattrs = proptest::collection::btree_map(
        "(user|security)\\.[a-z]{1,9}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..90),
        0..3,
    );
    (
        kind,
        0..0o10000_u32,
        any::<u32>(),
        any::<u32>(),
        any::<i64>(),
        xattrs,
    )
        .prop_map(|(kind, mode, uid, gid, mtime, xattrs)| Inode {
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        })
}

/// Trees of whatever of the proposed members fits together.
fn tree() -> impl Strategy<Value = Tree> {
    let path = proptest::collection::vec(component(), 1..4).prop_map(|parts| parts.join("/"));
    proptest::collection::vec((path, inode(), any::<bool>()), 0..12).prop_map(|members| {
        let mut tree = Tree::new();
        let mut last: Option<Vec<u8>> = None;
        for (path, inode, link) in members {
            match (&last, link) {
                (Some(last), true) => drop(tree.link(path.as_bytes(), last)),
                _ => drop(tree.insert(path.as_bytes(), inode)),
            }
            last = Some(path.into_bytes());
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_written_tree_reads_back(tree in tree()) {
        prop_assert_eq!(facts(&through_a_file(&tree)), facts(&tree));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let mut reader = Reader::new(Streamed(&bytes[..]));
        while let Ok(Some(_)) = reader.next_member() {}
    }

    #[test]
    fn a_damaged_archive_is_read_or_refused(
        tree in tree(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        fix: bool,
    ) {
        let mut bytes = bytes(&tree);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
            if fix {
                let block = at / 512 * 512;
                let header: &mut [u8; 512] = (&mut bytes[block..block + 512]).try_into().unwrap();
                let sum = super::format::checksum(header);
                header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let length = bytes.len() as u64;
        let file: Arc<Path> = Arc::from(Path::new("/nowhere"));
        let _ = read_tree(Streamed(&bytes[..]), length, &file);
    }

    #[test]
    fn a_cut_archive_is_refused(tree in tree(), end: prop::sample::Index) {
        let bytes = bytes(&tree);
        // The last block of zeros may be missing, and is in archives of some tools.
        let end = end.index(bytes.len() - 1023);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes[..end]).unwrap();
        prop_assert!(read_tar(file.path()).is_err());
    }
}

/// A header block as a hostile writer would make it.
fn member(name: &str, kind: u8, link: &str, size: u64) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..263].copy_from_slice(b"ustar ");
    let sum = super::format::checksum(&header);
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.to_vec()
}

fn refusal(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read_tar(file.path()).unwrap_err().to_string()
}

#[test]
fn members_that_leave_the_tree_are_refused() {
    for (name, kind, link) in [
        ("../etc/passwd", b'0', ""),
        ("usr/../../x", b'5', ""),
        ("/etc/passwd", b'0', ""),
        ("x", b'1', "../etc/passwd"),
        ("x", b'1', "/etc/passwd"),
        ("", b'0', ""),
    ] {
        let mut bytes = member(name, kind, link, 0);
        bytes.extend([0; 1024]);
        assert!(
            refusal(&bytes).contains("points out of"),
            "{name} {link}: {}",
            refusal(&bytes)
        );
    }
}

#[test]
fn absurd_sizes_are_refused_without_memory_for_them() {
    let huge = 0o77_777_777_777;
    for kind in [b'0', b'x', b'L'] {
        let mut bytes = member("x", kind, "", huge);
        bytes.extend([0; 2048]);
        let refusal = refusal(&bytes);
        assert!(
            refusal.contains("cut off") || refusal.contains("larger than"),
            "{refusal}"
        );
    }
}

#[test]
fn sparse_files_and_unknown_kinds_are_refused_by_name() {
    for kind in [b'S', b'V', b'D'] {
        let mut bytes = member("some/file", kind, "", 0);
        bytes.extend([0; 1024]);
        assert!(refusal(&bytes).contains("`some/file` is"));
    }
}

#[test]
fn gnu_tar_reads_what_is_written_and_the_other_way_round() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    tree.write(&long, 0o640, "long").unwrap();
    tree.link(b"hard", long.as_bytes()).unwrap();
    tree.symlink("soft", "s".repeat(300)).unwrap();
    tree.write("empty", 0o4755, "").unwrap();
    let written = folder.path().join("written.tar");
    std::fs::write(&written, bytes(&tree)).unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let tar = |arguments: &[&str]| {
        let done = Command::new("tar")
            .args(arguments)
            .current_dir(folder.path())
            .output();
        let Ok(done) = done else { return false };
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        true
    };
    if !tar(&["-xpf", "written.tar", "-C", "out"]) {
        eprintln!("skipped: no tar here");
        return;
    }
    assert_eq!(std::fs::read(out.join("hard")).unwrap(), b"long");
    for format in ["gnu", "pax", "ustar"] {
        let names: &[&str] = if format == "ustar" {
            &["empty"]
        } else {
            &["."]
        };
        let mut arguments = vec!["-cf", "again.tar", "-H", format, "-C", "out"];
        arguments.extend(names);
        tar(&arguments);
        let again = read_tar(&folder.path().join("again.tar")).unwrap();
        assert_eq!(again.get("empty").unwrap().mode, 0o4755);
        if format != "ustar" {
            assert_eq!(again.id("hard"), again.id(&long));
            assert_eq!(
                again.get("soft").unwrap().kind,
                tree.get("soft").unwrap().kind
            );
        }
    }
}

#[test]
fn a_file_source_is_passed_over_by_seeking() {
    let mut tree = Tree::new();
    tree.write("a", 0o644, vec![7; 100_000]).unwrap();
    tree.write("b", 0o644, "x").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes(&tree)).unwrap();
    let mut reader = Reader::new(BufReader::new(fs_err::File::open(file.path()).unwrap()));
    let mut paths = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        paths.push(String::from_utf8(member.path).unwrap());
    }
    assert_eq!(paths, ["", "a", "b"]);
}
