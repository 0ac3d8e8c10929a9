use lifeboat_archive::{Content, Kind, Tree};
use proptest::prelude::*;

use super::{
    module::{Information, information},
    *,
};

/// An ELF file with nothing but the section `.modinfo`.
fn elf(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0";
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let modinfo_at = elf.len() as u64;
    elf.extend(modinfo);
    let names_at = elf.len() as u64;
    elf.extend(names);
    let table = elf.len() as u64;
    elf[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    elf[0x3a] = 64;
    elf[0x3c] = 2;
    for (name, at, size) in [
        (0u32, names_at, names.len()),
        (1, modinfo_at, modinfo.len()),
    ] {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name.to_le_bytes());
        header[0x18..0x20].copy_from_slice(&at.to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
        elf.extend(header);
    }
    elf
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let modules: [(&str, &[u8]); 4] = [
        (
            "drivers/virtio-blk.ko",
            b"depends=ring\0alias=virtio:d00000002v*\0alias=blk\0",
        ),
        (
            "drivers/ring.ko",
            b"depends=\0softdep=pre: fast missing post: later\0",
        ),
        ("lib/fast.ko", b"depends=\0"),
        ("lib/later.ko", b"depends=ring\0alias=pci:v0000 1*\0"),
    ];
    for (path, modinfo) in modules {
        let packed = {
            use std::io::Read as _;
            let mut packed = Vec::new();
            liblzma::read::XzEncoder::new(&elf(modinfo)[..], 1)
                .read_to_end(&mut packed)
                .unwrap();
            packed
        };
        tree.write(
            format!("usr/lib/modules/6.1/kernel/{path}.xz"),
            0o644,
            packed,
        )
        .unwrap();
    }
    tree.write(
        "usr/lib/modules/6.1/modules.builtin",
        0o644,
        "kernel/fs/ext4/ext4.ko\n",
    )
    .unwrap();
    tree
}

fn wish(name: &'static str, when: When, need: Need) -> Wanted {
    Wanted { name, when, need }
}

fn load_list(wanted: &[Wanted]) -> String {
    let tree = tree(&sample(), "6.1", wanted, Content::inline("init")).unwrap();
    let Some(Kind::File(list)) = tree
        .get("lib/modules/6.1/load.list")
        .map(|inode| &inode.kind)
    else {
        panic!("no load.list")
    };
    assert!(tree.get("lib/modules/6.1/kernel/drivers/ring.ko").is_some());
    String::from_utf8(list.read().unwrap()).unwrap()
}

#[test]
fn what_is_needed_comes_first_and_has_the_patterns_of_who_needs_it() {
    let wanted = [
        wish("virtio_blk", When::Device, Need::Must),
        wish("ext4", When::Always, Need::Must),
        wish("nvme", When::Device, Need::May),
        wish("later", When::Device, Need::Must),
    ];
    insta::assert_snapshot!(load_list(&wanted), @r"
    kernel/lib/fast.ko alias pci:v0000?1* virtio:d00000002v*
    kernel/drivers/ring.ko alias pci:v0000?1* virtio:d00000002v*
    kernel/drivers/virtio-blk.ko alias virtio:d00000002v*
    kernel/lib/later.ko alias pci:v0000?1*
    ");
}

#[test]
fn what_an_always_loaded_module_needs_is_always_loaded() {
    let wanted = [
        wish("virtio_blk", When::Device, Need::Must),
        wish("later", When::Always, Need::Must),
    ];
    insta::assert_snapshot!(load_list(&wanted), @r"
    kernel/lib/fast.ko always
    kernel/drivers/ring.ko always
    kernel/drivers/virtio-blk.ko alias virtio:d00000002v*
    kernel/lib/later.ko always
    ");
}

#[test]
fn a_missing_module_is_named() {
    let wanted = [wish("erofs", When::Always, Need::Must)];
    let error = tree(&sample(), "6.1", &wanted, Content::inline("")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel 6.1 has no module `erofs`, which the initrd needs"
    );
}

#[test]
fn an_initrd_reads_back() {
    let wanted = [wish("virtio_blk", When::Device, Need::Must)];
    let tree = tree(&sample(), "6.1", &wanted, Content::inline("init")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&tree, file.path()).unwrap();
    let bytes = zstd::decode_all(fs_err::File::open(file.path()).unwrap()).unwrap();
    let back = cpio::read(&bytes).unwrap();
    assert_eq!(back.len(), tree.len());
    assert_eq!(back.get("init").map(|inode| inode.mode), Some(0o755));
}

proptest! {
    #[test]
    fn any_elf_is_read_without_a_panic(
        flips in prop::collection::vec((0usize..300, any::<u8>()), 0..8),
    ) {
        let mut elf = elf(b"depends=a,b-c\0alias=x:y\0");
        elf.resize(300, 0);
        prop_assert_eq!(information(&elf), Some(Information {
            needs: vec!["a".into(), "b_c".into()],
            soft_needs: vec![],
            patterns: vec!["x:y".into()],
        }));
        for (at, byte) in flips {
            elf[at] = byte;
        }
        let _ = information(&elf);
    }
}
