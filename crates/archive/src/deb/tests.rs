use std::{io::Write as _, sync::atomic::AtomicBool};

use proptest::prelude::*;

use super::*;
use crate::{DebFile, Inode, Kind, Silent, UnpackedDeb, unpack, write_tar};

const CONTROL: &str = "Package: hello\nVersion: 1:2-3\nArchitecture: all\n\
                       Description: short\n long\n";

/// An ar archive; each member's header as ar(5) has it.
fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = AR_MAGIC.to_vec();
    for (name, content) in members {
        let header = format!(
            "{name:<16}0           0     0     100644  {:<10}`\n",
            content.len()
        );
        bytes.extend(header.bytes());
        bytes.extend(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn tar(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).unwrap();
    bytes
}

fn control() -> Tree {
    let mut tree = Tree::new();
    tree.write("control", 0o644, CONTROL).unwrap();
    tree.write("postinst", 0o755, "#!/bin/sh\n").unwrap();
    tree.write(
        "conffiles",
        0o644,
        "/etc/hello\nremove-on-upgrade /etc/old\n",
    )
    .unwrap();
    tree
}

fn data() -> Tree {
    let mut tree = Tree::new();
    tree.write("etc/hello", 0o644, "hello").unwrap();
    let mut owned = Inode::new(Kind::Directory, 0o2755);
    owned.gid = 42;
    tree.insert(b"var/hello", owned).unwrap();
    tree
}

fn compress(bytes: &[u8], extension: &str) -> Vec<u8> {
    match extension {
        "" => bytes.to_vec(),
        ".gz" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => zstd::encode_all(bytes, 1).unwrap(),
        other => panic!("{other}"),
    }
}

fn deb(extension: &str) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n".to_vec()),
        (
            &format!("control.tar{extension}"),
            compress(&tar(&control()), extension),
        ),
        (
            &format!("data.tar{extension}"),
            compress(&tar(&data()), extension),
        ),
    ])
}

fn try_unpack(bytes: &[u8]) -> Result<UnpackedDeb, String> {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path().join("cache")).unwrap();
    let path = folder.path().join("hello_2-3_all.deb");
    std::fs::write(&path, bytes).unwrap();
    let debs = [DebFile::open(path).unwrap()];
    let mut unpacked =
        unpack(&cache, &debs, &Silent, &AtomicBool::new(false)).map_err(|error| {
            let mut error: &dyn std::error::Error = &error;
            let mut parts = vec![error.to_string()];
            while let Some(source) = error.source() {
                parts.push(source.to_string());
                error = source;
            }
            // What failed is tried again and not found half-made.
            assert!(cache.derived("deb", &debs[0].sha256).is_none());
            parts.join(": ")
        })?;
    for (_, _, inode) in unpacked[0].tree.iter() {
        if let Kind::File(content) = &inode.kind {
            let _ = content.read();
        }
    }
    Ok(unpacked.remove(0))
}

#[test]
fn every_compression_is_unpacked() {
    for extension in ["", ".gz", ".xz", ".zst"] {
        let unpacked = try_unpack(&deb(extension)).unwrap();
        assert_eq!(unpacked.name, "hello");
        assert_eq!(unpacked.version, "1:2-3");
        assert_eq!(unpacked.control.field("description"), Some("short\n long"));
        assert_eq!(unpacked.control.files["postinst"].0, 0o755);
        assert_eq!(
            unpacked.control.conffiles().collect::<Vec<_>>(),
            ["/etc/hello"]
        );
        let folder = unpacked.tree.get("var/hello").unwrap();
        assert_eq!((folder.gid, folder.mode), (42, 0o2755));
        assert_eq!(unpacked.tree.get("etc/hello").unwrap().mode, 0o644);
    }
}

#[test]
fn damaged_packages_are_refused_with_their_name_and_the_reason() {
    let xz = compress(&tar(&data()), ".xz");
    let mut flipped = xz.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let binary = || ("debian-binary", b"2.0\n".to_vec());
    let good_control = || ("control.tar", tar(&control()));
    let mut no_control = Tree::new();
    no_control.write("postinst", 0o755, "").unwrap();
    let mut nested = control();
    nested.write("sub/file", 0o644, "").unwrap();
    let mut nameless = Tree::new();
    nameless.write("control", 0o644, "Version: 1\n").unwrap();
    let mut fake = tar(&data());
    fake[..9].copy_from_slice(b"../escape");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            b"<html>not found</html>".to_vec(),
            "does not begin as an ar archive",
        ),
        (Vec::new(), "cut off inside `ar header`"),
        (ar(&[good_control()]), "first member is not `debian-binary`"),
        (ar(&[binary()]), "has no data"),
        (
            ar(&[binary(), ("data.tar", Vec::new())]),
            "before its control files",
        ),
        (ar(&[binary(), ("other", Vec::new())]), "unknown member"),
        (
            ar(&[binary(), good_control(), ("data.tar.lz4", Vec::new())]),
            "`data.tar.lz4` is compressed in an unknown way",
        ),
        (
            ar(&[binary(), good_control(), ("data.tar.xz", flipped)]),
            "`data.tar.xz`",
        ),
        (
            ar(&[
                binary(),
                good_control(),
                ("data.tar.xz", xz[..xz.len() / 2].to_vec()),
            ]),
            "`data.tar.xz`",
        ),
        (
            ar(&[
                binary(),
                ("control.tar", tar(&no_control)),
                ("data.tar", tar(&data())),
            ]),
            "control file is missing",
        ),
        (
            ar(&[
                binary(),
                ("control.tar", tar(&nested)),
                ("data.tar", tar(&data())),
            ]),
            "no regular file",
        ),
        (
            ar(&[
                binary(),
                ("control.tar", tar(&nameless)),
                ("data.tar", tar(&data())),
            ]),
            "has no usable `Package`",
        ),
        (
            ar(&[binary(), good_control(), ("data.tar", fake)]),
            "data.tar",
        ),
    ];
    for (bytes, reason) in cases {
        let error = try_unpack(&bytes).unwrap_err();
        assert!(error.contains("`hello_2-3_all.deb`"), "{error}");
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[test]
fn a_member_larger_than_the_file_is_refused() {
    let mut bytes = deb("");
    let at = bytes
        .windows(8)
        .position(|window| window == b"data.tar")
        .unwrap();
    bytes[at + 48..at + 58].copy_from_slice(b"9999999999");
    assert!(
        try_unpack(&bytes)
            .unwrap_err()
            .contains("cut off inside `data.tar`")
    );
}

#[test]
fn what_unpacks_to_too_much_is_stopped() {
    let mut limited = Limited {
        inner: io::repeat(0),
        left: 1 << 20,
    };
    let mut out = Vec::new();
    let error = copy(&mut limited, &mut out, "data.tar.xz").unwrap_err();
    assert!(matches!(
        error,
        DebReason::TooLarge {
            limit: 1_048_576,
            ..
        }
    ));
    assert!(out.len() <= 1 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_damaged_package_is_unpacked_or_refused(
        extension in prop::sample::select(vec!["", ".gz", ".xz", ".zst"]),
        at: prop::sample::Index,
        byte: u8,
        end: prop::sample::Index,
        cut: bool,
    ) {
        let mut bytes = deb(extension);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let _ = try_unpack(&bytes);
    }

    #[test]
    fn any_control_text_is_read_or_refused(text: String) {
        let _ = Control::parse(&text);
    }
}
