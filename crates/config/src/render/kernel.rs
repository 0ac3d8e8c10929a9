//! Arguments of the kernel, and the add-on by which systemd-stub adds them at the next boot.
//! Source: systemd-stub(7), UAPI.5 and Microsoft's "PE Format".

use crate::{NodeConfig, definition::types::system::KernelArgument};

/// Where the add-on is on the EFI system partition: systemd-stub adds those of this folder to
/// every kernel that it starts.
pub const KERNEL_ADDON: &str = "loader/addons/lifeboat.addon.efi";

/// What is to be done for `kernel_args`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelPlan {
    /// What becomes of the file [`KERNEL_ADDON`].
    pub addon: Addon,
    /// Arguments that the running kernel lacks.
    pub missing: Vec<String>,
    /// Arguments of the old add-on that the running kernel has and nobody wants any more.
    pub leftover: Vec<String>,
}

/// What becomes of an add-on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addon {
    /// It stays as it is, or is not there and not wanted.
    #[default]
    Keep,
    /// It gets this content.
    Write(Vec<u8>),
    /// It goes away.
    Remove,
}

impl KernelPlan {
    /// Whether the configuration takes effect only after a restart.
    pub fn wants_restart(&self) -> bool {
        !self.missing.is_empty() || !self.leftover.is_empty()
    }
}

/// Compares `kernel_args` with the running kernel's command line and the add-on that is there.
pub fn plan_kernel_args(node: &NodeConfig, command_line: &str, addon: Option<&[u8]>) -> KernelPlan {
    let wanted: Vec<&str> = node
        .kernel_args
        .iter()
        .map(KernelArgument::as_str)
        .collect();
    let running = words(command_line);
    let old = addon.map(read_addon);
    let before = match &old {
        Some(Ok(text)) => words(text),
        _ => Vec::new(),
    };
    let strings = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
    let missing = wanted
        .iter()
        .copied()
        .filter(|word| !running.contains(word))
        .collect();
    let leftover = before
        .iter()
        .copied()
        .filter(|word| running.contains(word) && !wanted.contains(word))
        .collect();
    let unchanged = matches!(old, Some(Ok(_))) && before == wanted;
    let change = if wanted.is_empty() {
        addon.map_or(Addon::Keep, |_| Addon::Remove)
    } else if unchanged {
        Addon::Keep
    } else {
        Addon::Write(kernel_addon(&wanted.join(" ")))
    };
    KernelPlan {
        addon: change,
        missing: strings(missing),
        leftover: strings(leftover),
    }
}

/// The words of a command line; double quotes keep blanks, as in the kernel.
fn words(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut from, mut quoted) = (None, false);
    for (at, letter) in line.char_indices() {
        match letter {
            letter if letter.is_ascii_whitespace() && !quoted => {
                if let Some(from) = from.take() {
                    found.extend(line.get(from..at));
                }
                continue;
            }
            '\0' => return found,
            '"' => quoted = !quoted,
            _ => {}
        }
        from.get_or_insert(at);
    }
    found.extend(from.and_then(|from| line.get(from..)));
    found
}

const PE_AT: usize = 0x40;
const OPTIONAL_SIZE: usize = 240;
const SECTION_ALIGNMENT: u32 = 4096;
const FILE_ALIGNMENT: usize = 512;
const SECTION_SIZE: usize = 40;
/// Machine type of x86-64.
const AMD64: u16 = 0x8664;
/// Magic of PE32+.
const PE32_PLUS: u16 = 0x20b;
/// An add-on is data. Whoever starts it all the same is told so: `mov rax, EFI_UNSUPPORTED; ret`.
const CODE: [u8; 11] = [0x48, 0xb8, 3, 0, 0, 0, 0, 0, 0, 0x80, 0xc3];
/// One block of base relocations with nothing in it; some firmware wants to see one.
const RELOCATIONS: [u8; 12] = [0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0];
const SBAT: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nlifeboat-addon,1,Lifeboat,lifeboat-addon,1,kernel arguments of the node configuration\n";

// Section flags: readable data, executable code, data that is not kept.
const DATA: u32 = 0x4000_0040;
const EXECUTABLE: u32 = 0x6000_0020;
const DISCARDABLE: u32 = 0x4200_0040;

/// A PE program for x86-64 that holds nothing but this command line, in the form that
/// systemd-stub takes. The same text always makes the same bytes.
pub fn kernel_addon(command_line: &str) -> Vec<u8> {
    let sections: [(&[u8; 8], &[u8], u32); 4] = [
        (b".text\0\0\0", &CODE, EXECUTABLE),
        (b".reloc\0\0", &RELOCATIONS, DISCARDABLE),
        (b".sbat\0\0\0", SBAT.as_bytes(), DATA),
        (b".cmdline", command_line.as_bytes(), DATA),
    ];
    let padded = |size: usize| size.next_multiple_of(FILE_ALIGNMENT);
    let headers = padded(PE_AT + 24 + OPTIONAL_SIZE + sections.len() * SECTION_SIZE);
    let mut table = Vec::new();
    let mut data = Vec::new();
    let mut address = SECTION_ALIGNMENT;
    let mut addresses = Vec::new();
    for (name, content, flags) in sections {
        table.extend(name);
        for number in [
            narrow(content.len()),
            address,
            narrow(padded(content.len())),
            narrow(headers + data.len()),
            0,
            0,
            0,
            flags,
        ] {
            table.extend(number.to_le_bytes());
        }
        addresses.push(address);
        data.extend(content);
        data.resize(padded(data.len()), 0);
        address = address
            .saturating_add(narrow(content.len().max(1)))
            .next_multiple_of(SECTION_ALIGNMENT);
    }
    let mut file = vec![0; PE_AT];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c..].copy_from_slice(&narrow(PE_AT).to_le_bytes());
    let mut put = |bytes: &[u8]| file.extend(bytes);
    // COFF header: executable, for large addresses, not without relocations.
    put(b"PE\0\0");
    put(&AMD64.to_le_bytes());
    put(&[4, 0]);
    put(&[0; 12]);
    put(&240u16.to_le_bytes());
    put(&0x22u16.to_le_bytes());
    // Optional header.
    put(&PE32_PLUS.to_le_bytes());
    put(&[0; 2]);
    let size_of_code = narrow(padded(CODE.len()));
    for number in [
        size_of_code,
        narrow(data.len()) - size_of_code,
        0,
        addresses[0],
        addresses[0],
    ] {
        put(&number.to_le_bytes());
    }
    put(&0x1_4000_0000u64.to_le_bytes());
    put(&SECTION_ALIGNMENT.to_le_bytes());
    put(&narrow(FILE_ALIGNMENT).to_le_bytes());
    put(&[0; 16]);
    for number in [address, narrow(headers), 0] {
        put(&number.to_le_bytes());
    }
    // Subsystem: EFI application. It may be anywhere, and its data is not executed.
    put(&10u16.to_le_bytes());
    put(&0x140u16.to_le_bytes());
    put(&[0; 36]);
    put(&16u32.to_le_bytes());
    for directory in 0..16 {
        // Directory 5 is that of base relocations.
        let (at, size) = if directory == 5 {
            (addresses[1], narrow(RELOCATIONS.len()))
        } else {
            (0, 0)
        };
        put(&at.to_le_bytes());
        put(&size.to_le_bytes());
    }
    put(&table);
    file.resize(headers, 0);
    file.extend(data);
    let sum = checksum(&file);
    file[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
    file
}

/// Where the checksum is: byte 64 of the optional header.
const CHECKSUM_AT: usize = PE_AT + 24 + 64;

fn narrow(number: usize) -> u32 {
    // Command lines are at most some KiB.
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The sum of the 16-bit words with the carries added, and the length.
fn checksum(file: &[u8]) -> u32 {
    let mut sum = 0u32;
    for pair in file.chunks(2) {
        let word = u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum + narrow(file.len())
}

/// A file that is no add-on with a command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadAddonError {
    /// It is something else, or cut short.
    #[error("not an add-on of systemd-stub for x86-64: {0}")]
    Format(&'static str),
    /// It has no command line.
    #[error("the add-on has no command line")]
    NoCommandLine,
}

/// The command line of an add-on.
///
/// # Errors
/// [`ReadAddonError`] if it is none, or holds something else.
pub fn read_addon(file: &[u8]) -> Result<String, ReadAddonError> {
    let wrong = ReadAddonError::Format;
    let short = || wrong("it is too short");
    let number = |at: usize| -> Result<usize, ReadAddonError> {
        let bytes = file.get(at..at.saturating_add(4)).ok_or_else(short)?;
        let bytes = bytes.try_into().map_err(|_| short())?;
        Ok(u32::from_le_bytes(bytes) as usize)
    };
    let half = |at: usize| number(at).map(|number| number & 0xffff);
    if !file.starts_with(b"MZ") {
        return Err(wrong("no DOS header"));
    }
    let pe = number(0x3c)?;
    let signature = file.get(pe..pe.saturating_add(4));
    if signature != Some(b"PE\0\0") {
        return Err(wrong("no PE header"));
    }
    if half(pe + 4)? != usize::from(AMD64) {
        return Err(wrong("it is for another processor"));
    }
    if half(pe + 24)? != usize::from(PE32_PLUS) {
        return Err(wrong("it is for 32 bits"));
    }
    let table = pe + 24 + half(pe + 20)?;
    for index in 0..half(pe + 6)? {
        let at = table + index * SECTION_SIZE;
        let name = file.get(at..at + 8).ok_or_else(short)?;
        if name != b".cmdline" {
            continue;
        }
        let (size, raw, from) = (number(at + 8)?, number(at + 16)?, number(at + 20)?);
        let content = file
            .get(from..from.saturating_add(size.min(raw)))
            .ok_or_else(|| wrong("its command line is beyond its end"))?;
        let text =
            std::str::from_utf8(content).map_err(|_| wrong("its command line is not UTF-8"))?;
        return Ok(text.trim_end_matches('\0').to_owned());
    }
    Err(ReadAddonError::NoCommandLine)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(arguments: &[&str]) -> NodeConfig {
        NodeConfig {
            kernel_args: arguments.iter().map(|one| one.parse().unwrap()).collect(),
            ..NodeConfig::default()
        }
    }

    #[test]
    fn arguments_are_added_kept_and_taken_away() {
        let wanted = node(&["nosmt", "dyndbg=\"file a.c +p\""]);
        let first = plan_kernel_args(&wanted, "quiet roothash=00\n", None);
        assert_eq!(first.missing, ["nosmt", "dyndbg=\"file a.c +p\""]);
        assert!(first.wants_restart());
        let Addon::Write(addon) = &first.addon else {
            panic!("{first:?}")
        };
        let line = "quiet roothash=00 nosmt dyndbg=\"file a.c +p\"\n";
        assert_eq!(
            plan_kernel_args(&wanted, line, Some(addon)),
            KernelPlan::default()
        );
        let last = plan_kernel_args(&node(&[]), line, Some(addon));
        assert_eq!(last.addon, Addon::Remove);
        assert_eq!(last.leftover, ["nosmt", "dyndbg=\"file a.c +p\""]);
        // A file of somebody else, or a damaged one, is replaced.
        let repaired = plan_kernel_args(&wanted, line, Some(b"MZ"));
        assert_eq!(repaired.addon, first.addon);
        assert_eq!(
            plan_kernel_args(&node(&[]), line, None),
            KernelPlan::default()
        );
    }

    #[test]
    fn the_program_is_as_firmware_wants_it() {
        let file = kernel_addon("a=b");
        assert_eq!(file.len() % FILE_ALIGNMENT, 0);
        assert_eq!(&file[0x40..0x44], b"PE\0\0");
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let optional = PE_AT + 24;
        let (entry, image, headers) = (
            word(optional + 16),
            word(optional + 56),
            word(optional + 60),
        );
        assert_eq!((entry, headers), (0x1000, 512));
        assert_eq!(image % SECTION_ALIGNMENT, 0);
        assert_eq!(&file[512..512 + CODE.len()], CODE);
        assert_eq!(
            u16::from_le_bytes([file[optional + 68], file[optional + 69]]),
            10
        );
        assert_eq!(word(optional + 108), 16);
        // Sections follow each other in memory and end where the program ends.
        let mut end = SECTION_ALIGNMENT;
        for index in 0..4 {
            let at = optional + OPTIONAL_SIZE + index * SECTION_SIZE;
            assert_eq!(word(at + 12), end);
            end = (end + word(at + 8)).next_multiple_of(SECTION_ALIGNMENT);
        }
        assert_eq!(end, image);
    }

    proptest! {
        #[test]
        fn written_add_ons_read_back(text in "[ -~]{0,3000}") {
            prop_assert_eq!(read_addon(&kernel_addon(&text)), Ok(text));
        }

        #[test]
        fn the_reader_refuses_but_never_panics(flips in prop::collection::vec((0usize..1500, any::<u8>()), 1..12), cut in 0usize..2000) {
            let mut file = kernel_addon("quiet");
            for (at, byte) in flips {
                if let Some(place) = file.get_mut(at) {
                    *place = byte;
                }
            }
            file.truncate(cut.max(2));
            let _ = read_addon(&file);
        }

        #[test]
        fn any_command_line_is_split(line in any::<String>()) {
            let _ = plan_kernel_args(&node(&["a"]), &line, None);
        }
    }
}
