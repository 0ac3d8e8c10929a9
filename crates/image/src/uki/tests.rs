use proptest::prelude::*;
use zerocopy::IntoBytes as _;

use super::{
    format::{Coff, Optional, SectionHeader},
    *,
};

/// A small program with one section and room for the headers of `room` more.
fn stub(room: usize) -> Vec<u8> {
    let mut file = vec![0; 0x80];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x80;
    file.extend(b"PE\0\0");
    let coff = Coff {
        machine: 0x8664.into(),
        sections: 1.into(),
        time: 0.into(),
        symbols_at: 9.into(),
        symbols: 9.into(),
        optional_size: 240.into(),
        characteristics: 0x22e.into(),
    };
    file.extend(coff.as_bytes());
    let headers = (0x80 + 4 + 20 + 240 + 40 * (1 + room)).next_multiple_of(512);
    let optional = Optional {
        magic: 0x20b.into(),
        linker: [0; 2],
        code_size: 0.into(),
        data_size: 512.into(),
        zeroed_size: 0.into(),
        entry: 0.into(),
        code_base: 0.into(),
        image_base: 0.into(),
        section_alignment: 4096.into(),
        file_alignment: 512.into(),
        versions: [0.into(); 6],
        win32_version: 0.into(),
        image_size: 8192.into(),
        headers_size: u32::try_from(headers).unwrap().into(),
        checksum: 0.into(),
    };
    let mut bytes = optional.as_bytes().to_vec();
    bytes.resize(240, 0);
    file.extend(bytes);
    let section = SectionHeader {
        name: *b".sbat\0\0\0",
        virtual_size: 5.into(),
        virtual_address: 4096.into(),
        raw_size: 512.into(),
        raw_at: u32::try_from(headers).unwrap().into(),
        relocations_at: 0.into(),
        lines_at: 0.into(),
        relocations: 0.into(),
        lines: 0.into(),
        characteristics: 0x4000_0040.into(),
    };
    file.extend(section.as_bytes());
    file.resize(headers, 0);
    file.extend(b"sbat,");
    file.resize(headers + 512, 0);
    file.extend(b"symbols that go away");
    file
}

#[test]
fn the_dump_shows_texts() {
    let kernel = stub(0);
    let sections = [
        NewSection {
            name: ".cmdline",
            data: b"quiet",
        },
        NewSection {
            name: ".initrd",
            data: &[1; 5000],
        },
        NewSection {
            name: ".linux",
            data: &kernel,
        },
    ];
    let file = write(&stub(9), &sections).unwrap();
    insta::assert_snapshot!(dump(&read(&file).unwrap()), @r"
    PE program for x86-64, 28672 bytes in memory
    .sbat     offset      1024  size         5  at 0x00001000  sha256 09a9563753c46348
        sbat,
    .cmdline  offset      1536  size         5  at 0x00002000  sha256 008f0747f4e27c84
        quiet
    .initrd   offset      2048  size      5000  at 0x00003000  sha256 e53130831c13dabf
    .linux    offset      7168  size      1536  at 0x00005000  sha256 5b35d666cb9b247d
    ");
}

#[test]
fn what_cannot_be_is_refused() {
    let section = |name| NewSection { name, data: b"x" };
    assert!(matches!(
        write(&stub(9), &[section(".sbat")]),
        Err(WriteUkiError::Name(_))
    ));
    assert!(matches!(
        write(&stub(9), &[section(".a"), section(".a")]),
        Err(WriteUkiError::Name(_))
    ));
    let many: Vec<String> = (0..20).map(|number| format!(".{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| section(name)).collect();
    assert!(matches!(
        write(&stub(0), &many),
        Err(WriteUkiError::Headers(_))
    ));
    assert!(matches!(write(b"MZ", &[]), Err(WriteUkiError::Stub(_))));
}

proptest! {
    #[test]
    fn written_sections_read_back(data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..5)) {
        let names = [".osrel", ".cmd", ".uname", ".initrd", ".linux"];
        let sections: Vec<_> =
            names.iter().zip(&data).map(|(name, data)| NewSection { name, data }).collect();
        let file = write(&stub(9), &sections).unwrap();
        let program = read(&file).unwrap();
        for section in &sections {
            prop_assert_eq!(program.section(section.name), Some(section.data));
        }
        prop_assert_eq!(program.section(".sbat"), Some(&b"sbat,"[..]));
        let mut end = 0;
        for section in &program.sections {
            prop_assert_eq!(section.address % 4096, 0);
            prop_assert!(section.address >= end);
            end = section.address + section.size;
        }
        prop_assert_eq!(program.image_size, end.next_multiple_of(4096));
    }

    #[test]
    fn the_reader_refuses_but_never_panics(flips in prop::collection::vec((0usize..600, any::<u8>()), 1..12)) {
        let mut file = stub(3);
        for (at, byte) in flips {
            file[at] = byte;
        }
        if let Ok(program) = read(&file) {
            let _ = dump(&program);
        }
        let _ = write(&file, &[NewSection { name: ".linux", data: &file }]);
    }
}
