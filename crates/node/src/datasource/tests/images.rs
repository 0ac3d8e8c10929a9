//! Minimal writers of volumes, for tests.

use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    RockRidge,
    Joliet,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Fat12,
    Fat16,
    Fat32,
}

enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<String, Node>),
}

fn tree(files: &[(&str, &[u8])]) -> BTreeMap<String, Node> {
    let mut root = BTreeMap::new();
    for (path, content) in files {
        let mut at = &mut root;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.insert(part.to_owned(), Node::File(content.to_vec()));
                break;
            }
            let next = at
                .entry(part.to_owned())
                .or_insert_with(|| Node::Folder(BTreeMap::new()));
            let Node::Folder(below) = next else {
                panic!("{path}")
            };
            at = below;
        }
    }
    root
}

/// An ISO 9660 volume; each folder fits into one sector.
pub(crate) fn iso(label: &str, files: &[(&str, &[u8])], names: Names) -> Vec<u8> {
    let root = tree(files);
    let mut image = vec![0; 19 * 2048];
    let plain = folder(&mut image, &root, names == Names::Joliet, false);
    let joliet = (names != Names::RockRidge).then(|| folder(&mut image, &root, false, true));
    let mut at = 16;
    for (kind, record) in [(1, Some(plain)), (2, joliet)] {
        let Some(record) = record else { continue };
        let sector = &mut image[at * 2048..(at + 1) * 2048];
        sector[0] = kind;
        sector[1..6].copy_from_slice(b"CD001");
        sector[6] = 1;
        sector[40..72].fill(b' ');
        sector[40..40 + label.len()].copy_from_slice(label.as_bytes());
        if kind == 2 {
            sector[88..91].copy_from_slice(b"%/E");
        }
        sector[156..156 + record.len()].copy_from_slice(&record);
        at += 1;
    }
    image[at * 2048] = 255;
    image[at * 2048 + 1..at * 2048 + 6].copy_from_slice(b"CD001");
    image
}

/// Appends a folder with all below; its record as the root.
fn folder(
    image: &mut Vec<u8>,
    nodes: &BTreeMap<String, Node>,
    is_short: bool,
    is_joliet: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    for (number, (name, node)) in nodes.iter().enumerate() {
        let short = format!("F{number}.;1");
        let (raw, system): (Vec<u8>, Vec<u8>) = if is_joliet {
            let name = format!("{name};1");
            (
                name.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                Vec::new(),
            )
        } else if is_short {
            (short.into_bytes(), Vec::new())
        } else {
            // A name in two entries, as long ones are; another entry between them.
            let (one, two) = name.split_at(name.len() / 2);
            let mut system = Vec::new();
            for (flag, text) in [(1, one), (0, two)] {
                system.extend([b'N', b'M', u8::try_from(text.len() + 5).unwrap(), 1, flag]);
                system.extend(text.bytes());
                system.extend([b'P', b'X', 4, 1]);
            }
            (short.into_bytes(), system)
        };
        let (block, size, flags) = match node {
            Node::File(content) => (append(image, content), content.len(), 0),
            Node::Folder(below) => {
                let record = folder(image, below, is_short, is_joliet);
                let block = u32::from_le_bytes(record[2..6].try_into().unwrap());
                (block, 2048, 2)
            }
        };
        records.push(record(block, size, flags, &raw, &system));
    }
    bytes.extend(record(0, 2048, 2, &[0], &[]));
    bytes.extend(record(0, 2048, 2, &[1], &[]));
    for record in records {
        bytes.extend(record);
    }
    assert!(bytes.len() <= 2048);
    bytes.resize(2048, 0);
    let block = append(image, &bytes);
    record(block, 2048, 2, &[0], &[])
}

fn append(image: &mut Vec<u8>, content: &[u8]) -> u32 {
    let block = image.len() / 2048;
    image.extend(content);
    image.resize(image.len().next_multiple_of(2048), 0);
    u32::try_from(block).unwrap()
}

fn record(block: u32, size: usize, flags: u8, name: &[u8], system: &[u8]) -> Vec<u8> {
    let size = u32::try_from(size).unwrap();
    let mut bytes = vec![0; 33];
    bytes[2..6].copy_from_slice(&block.to_le_bytes());
    bytes[6..10].copy_from_slice(&block.to_be_bytes());
    bytes[10..14].copy_from_slice(&size.to_le_bytes());
    bytes[14..18].copy_from_slice(&size.to_be_bytes());
    bytes[25] = flags;
    bytes[32] = u8::try_from(name.len()).unwrap();
    bytes.extend(name);
    if name.len().is_multiple_of(2) {
        bytes.push(0);
    }
    bytes.extend(system);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes[0] = u8::try_from(bytes.len()).unwrap();
    bytes
}

struct Clusters {
    data: Vec<u8>,
    table: Vec<u32>,
}

impl Clusters {
    /// A chain with these bytes; its first cluster.
    fn chain(&mut self, bytes: &[u8]) -> u32 {
        if bytes.is_empty() {
            return 0;
        }
        let first = self.table.len();
        let count = bytes.len().div_ceil(512);
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(512), 0);
        for next in first + 1..first + count {
            self.table.push(u32::try_from(next).unwrap());
        }
        self.table.push(0x0fff_ffff);
        u32::try_from(first).unwrap()
    }

    fn folder(&mut self, nodes: &BTreeMap<String, Node>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (name, node)) in nodes.iter().enumerate() {
            let (content, is_folder) = match node {
                Node::File(content) => (content.clone(), false),
                Node::Folder(below) => (self.folder(below), true),
            };
            let cluster = self.chain(&content);
            // One that was deleted.
            let mut deleted = [0; 32];
            deleted[0] = 0xe5;
            bytes.extend(deleted);
            let mut units: Vec<u16> = name.encode_utf16().collect();
            if !units.len().is_multiple_of(13) {
                units.push(0);
            }
            units.resize(units.len().next_multiple_of(13), 0xffff);
            let parts: Vec<_> = units.chunks(13).collect();
            for (index, part) in parts.iter().enumerate().rev() {
                let mut record = [0; 32];
                let last = if index + 1 == parts.len() { 0x40 } else { 0 };
                record[0] = u8::try_from(index + 1).unwrap() | last;
                record[11] = 0x0f;
                let raw: Vec<u8> = part.iter().flat_map(|unit| unit.to_le_bytes()).collect();
                record[1..11].copy_from_slice(&raw[..10]);
                record[14..26].copy_from_slice(&raw[10..22]);
                record[28..32].copy_from_slice(&raw[22..]);
                bytes.extend(record);
            }
            let mut record = [0; 32];
            record[..11].copy_from_slice(format!("{:<8}   ", format!("F~{number}")).as_bytes());
            record[11] = if is_folder { 0x10 } else { 0x20 };
            record[20..22].copy_from_slice(&cluster.to_le_bytes()[2..]);
            record[26..28].copy_from_slice(&cluster.to_le_bytes()[..2]);
            let size = if is_folder {
                0
            } else {
                u32::try_from(content.len()).unwrap()
            };
            record[28..].copy_from_slice(&size.to_le_bytes());
            bytes.extend(record);
        }
        // The end of the folder.
        bytes.extend([0; 32]);
        bytes
    }
}

/// A FAT volume of clusters of one sector.
pub(crate) fn fat(label: &str, files: &[(&str, &[u8])], width: Width) -> Vec<u8> {
    let mut clusters = Clusters {
        data: Vec::new(),
        table: vec![0x0fff_fff8, 0x0fff_ffff],
    };
    let mut root = vec![0; 32];
    root[..11].copy_from_slice(format!("{label:<11}").as_bytes());
    root[11] = 0x08;
    root.extend(clusters.folder(&tree(files)));
    let (count, bits, root_records) = match width {
        Width::Fat12 => (400, 12, 64),
        Width::Fat16 => (5000, 16, 64),
        Width::Fat32 => (66_000, 32, 0),
    };
    let root_cluster = if root_records == 0 {
        clusters.chain(&root)
    } else {
        0
    };
    clusters.table.resize(count + 2, 0);
    let mut table = vec![0; ((count + 2) * bits / 8 + 8).next_multiple_of(512)];
    for (number, next) in clusters.table.iter().enumerate() {
        match width {
            Width::Fat12 => {
                let at = number + number / 2;
                let old = u16::from_le_bytes([table[at], table[at + 1]]);
                let next = u16::try_from(next & 0xfff).unwrap();
                let new = if number % 2 == 1 {
                    old | next << 4
                } else {
                    old | next
                };
                table[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
            Width::Fat16 => {
                let next = u16::try_from(next & 0xffff).unwrap();
                table[number * 2..number * 2 + 2].copy_from_slice(&next.to_le_bytes());
            }
            Width::Fat32 => table[number * 4..number * 4 + 4].copy_from_slice(&next.to_le_bytes()),
        }
    }
    let table_sectors = table.len() / 512;
    let sectors = 1 + table_sectors + root_records * 32 / 512 + count;
    let mut boot = vec![0; 512];
    let short = |boot: &mut Vec<u8>, at: usize, value: usize| {
        boot[at..at + 2].copy_from_slice(&u16::try_from(value).unwrap().to_le_bytes());
    };
    boot[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    short(&mut boot, 11, 512);
    boot[13] = 1;
    short(&mut boot, 14, 1);
    boot[16] = 1;
    short(&mut boot, 17, root_records);
    boot[21] = 0xf8;
    boot[32..36].copy_from_slice(&u32::try_from(sectors).unwrap().to_le_bytes());
    let label_at = if width == Width::Fat32 {
        boot[36..40].copy_from_slice(&u32::try_from(table_sectors).unwrap().to_le_bytes());
        boot[44..48].copy_from_slice(&root_cluster.to_le_bytes());
        71
    } else {
        short(&mut boot, 22, table_sectors);
        43
    };
    boot[label_at..label_at + 11].copy_from_slice(b"NO NAME    ");
    boot[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut image = boot;
    image.extend(table);
    if root_records > 0 {
        root.resize(root_records * 32, 0);
        image.extend(root);
    }
    image.extend(clusters.data);
    image.resize(sectors * 512, 0);
    image
}
