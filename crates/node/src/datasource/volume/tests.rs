use proptest::prelude::*;

use super::*;
use crate::datasource::tests::images::{Names, Width, fat, iso};

const FILES: [(&str, &[u8]); 4] = [
    ("user-data", b"#cloud-config\nhostname: n1\n"),
    ("meta-data", b""),
    ("network-config-with-a-long-name", &[b'x'; 3000]),
    ("openstack/latest/user_data", b"#!/bin/sh\n"),
];

fn check<M: Medium>(volume: &Volume<M>, label: &str) {
    assert_eq!(volume.label(), label);
    for (path, content) in FILES {
        assert_eq!(
            volume.read(path).unwrap().as_deref(),
            Some(content),
            "{path}"
        );
    }
    assert_eq!(
        volume.read("USER-DATA").unwrap().as_deref(),
        Some(FILES[0].1)
    );
    for path in ["none", "openstack", "user-data/x", "openstack/none", ""] {
        assert_eq!(volume.read(path).unwrap(), None, "{path}");
    }
}

#[test]
fn iso_volumes_are_read_by_each_kind_of_name() {
    for names in [Names::RockRidge, Names::Joliet, Names::Both] {
        check(
            &Volume::open(iso("cidata", &FILES, names)).unwrap(),
            "cidata",
        );
    }
}

#[test]
fn fat_volumes_are_read_in_each_width() {
    for width in [Width::Fat12, Width::Fat16, Width::Fat32] {
        check(
            &Volume::open(fat("CIDATA", &FILES, width)).unwrap(),
            "CIDATA",
        );
    }
}

#[test]
fn what_is_no_volume_is_told() {
    for bytes in [
        vec![],
        vec![0; 512],
        vec![0xff; 1 << 16],
        b"#cloud-config\n".repeat(4000),
    ] {
        assert!(matches!(Volume::open(bytes), Err(VolumeError::Other)));
    }
}

#[test]
fn a_chain_that_never_ends_is_refused() {
    let mut image = fat("CIDATA", &FILES, Width::Fat12);
    // Every entry of the table says that cluster 3 comes next.
    for pair in image[512..512 + 900].chunks_exact_mut(3) {
        pair.copy_from_slice(&[3, 0x30, 0]);
    }
    let volume = Volume::open(image).unwrap();
    let _ = volume.read("openstack/latest/user_data");
    let _ = volume.read("network-config-with-a-long-name");
}

#[test]
fn devices_are_listed_with_cdroms_first() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "vda",
        "vdb",
        "vdb1",
        "sr0",
        "loop0",
        "ram1",
        "dm-0",
        "cciss!c0d0",
    ] {
        fs::create_dir_all(folder.path().join("sys/class/block").join(name)).unwrap();
    }
    let names: Vec<_> = devices(folder.path())
        .into_iter()
        .map(|device| device.name)
        .collect();
    assert_eq!(names, ["sr0", "cciss!c0d0", "vda", "vdb", "vdb1"]);
    assert_eq!(
        devices(folder.path())[1].path,
        folder.path().join("dev/cciss/c0d0")
    );
    assert!(open(&devices(folder.path())[0]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_broken_volume_never_harms(
        changes in prop::collection::vec((0_usize..80_000, any::<u8>()), 0..200),
        cut in 0_usize..120_000,
        is_iso: bool,
    ) {
        let mut image = if is_iso {
            iso("cidata", &FILES, Names::Both)
        } else {
            fat("CIDATA", &FILES, Width::Fat12)
        };
        for (at, value) in changes {
            let length = image.len();
            // Most changes into what is not file content.
            let at = if is_iso { (at % 20_000) + 32_768 } else { at % 12_000 };
            image[at % length] = value;
        }
        image.truncate(cut.max(1));
        if let Ok(volume) = Volume::open(image) {
            for (path, _) in FILES {
                let _ = volume.read(path);
            }
        }
    }
}
