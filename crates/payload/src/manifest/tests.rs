use std::{io::Write as _, path::PathBuf};

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::{reader::parse, *};
use crate::verity;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn description() -> Description {
    Description {
        name: "kubernetes-1.36.3-containerd".to_owned(),
        kubernetes: "1.36.3".to_owned(),
        runtime: "containerd".to_owned(),
        cni: "flannel".to_owned(),
        sandbox_image: "registry.k8s.io/pause:3.10.2".to_owned(),
        images: vec!["registry.k8s.io/pause:3.10.2".to_owned()],
        programs: vec!["kubelet".to_owned()],
    }
}

fn payload(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("payload.raw");
    let mut file = fs_err::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    file.write_all(&b"not quite an erofs ".repeat(50_000))
        .unwrap();
    seal(file.file(), description(), &key(1)).unwrap();
    path
}

#[test]
fn sealed_payload_opens_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let path = payload(&folder);
    let keys = [key(2).verifying_key(), key(1).verifying_key()];
    let opened = open(&path, &keys).unwrap();
    assert_eq!(opened.key, 1);
    let file = std::fs::File::open(&path).unwrap();
    verity::verify(&file, &opened.manifest.hash_area()).unwrap();
    insta::assert_snapshot!(dump(&opened.manifest));
    insta::assert_snapshot!(serde_json::to_string_pretty(&opened.manifest).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    assert!(
        std::fs::read(payload(&folder)).unwrap() == bytes,
        "not reproducible"
    );
}

#[test]
fn another_key_and_no_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = payload(&folder);
    let message = |keys: &[_]| open(&path, keys).unwrap_err().to_string();
    assert_eq!(
        message(&[key(2).verifying_key()]),
        "`payload.raw` is not signed by the key that is trusted here"
    );
    assert_eq!(
        message(&[]),
        "`payload.raw` is not signed by anyone: no key is trusted here"
    );
}

#[test]
fn every_way_to_cut_or_change_the_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = payload(&folder);
    let keys = [key(1).verifying_key()];
    let whole = std::fs::read(&path).unwrap();
    let manifest = open(&path, &keys).unwrap().manifest;
    let hashes = usize::try_from(manifest.hash_offset).unwrap();
    let manifest_at = whole.len() - 8192;
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        open(&path, &keys).unwrap_err()
    };
    for length in [
        0,
        1,
        4095,
        4096,
        hashes,
        manifest_at,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        let error = refused(&whole[..length]);
        assert!(
            matches!(error, OpenError::NoTrailer(_)),
            "{length}: {error}"
        );
    }
    for (place, wanted) in [
        (whole.len() - 4096, "NoTrailer"),
        (whole.len() - 4096 + 17, "BadTrailer"),
        (whole.len() - 4096 + 23, "BadTrailer"),
        (whole.len() - 4096 + 40, "Signature"),
        (manifest_at + 60, "Signature"),
    ] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        let error = format!("{:?}", refused(&bytes));
        assert!(error.starts_with(wanted), "{place}: {error}");
    }
    // The middle taken out: signature and trailer are right, the file is not.
    let mut bytes = whole.clone();
    bytes.drain(..4096);
    let at = u64::try_from(manifest_at - 4096).unwrap().to_le_bytes();
    let trailer = bytes.len() - 4096;
    bytes[trailer + 16..trailer + 24].copy_from_slice(&at);
    assert!(matches!(refused(&bytes), OpenError::Sizes(_)));
}

#[test]
fn a_newer_schema_is_named() {
    let Err(reader::Unknown::Schema(found)) = parse(br#"{"schema":"lifeboat.payload/2"}"#) else {
        panic!("not refused for its schema");
    };
    assert_eq!(found, "lifeboat.payload/2");
}

proptest! {
    #[test]
    fn reader_refuses_but_never_panics(bytes: Vec<u8>, offset: u64, size: u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = bytes.clone();
        file.resize(file.len().next_multiple_of(4096), 0);
        file.extend_from_slice(b"LIFEBOATPAYLOAD1");
        file.extend_from_slice(&offset.to_le_bytes());
        file.extend_from_slice(&size.to_le_bytes());
        file.extend_from_slice(&bytes);
        file.resize(file.len().next_multiple_of(4096), 0);
        std::fs::write(&path, &file).unwrap();
        prop_assert!(open(&path, &[key(1).verifying_key()]).is_err());
        let _ = parse(&bytes);
    }
}
