//! Kernel modules of the initrd, loaded in the order of `load.list`.
//!
//! Each line is `PATH always` or `PATH alias PATTERN…`; the path is relative to the modules'
//! folder, the patterns are shell globs on the `modalias` of the devices there are. A module
//! comes after those that it needs; these have its patterns too, or are loaded always.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::sys;

/// One line of `load.list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The module's file, relative to the folder of the list.
    pub path: String,
    /// When it is loaded.
    pub when: When,
}

/// When a module is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// At every boot.
    Always,
    /// When one of these patterns matches the `modalias` of a device.
    Alias(Vec<String>),
}

/// Parses `load.list`. Lines that are not understood are returned as such, not fatal.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<String>) {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(path) = words.next() else { continue };
        if path.starts_with('#') {
            continue;
        }
        let when = match words.next() {
            Some("always") => When::Always,
            Some("alias") => When::Alias(words.map(str::to_owned).collect()),
            _ => {
                problems.push(line.to_owned());
                continue;
            }
        };
        entries.push(Entry {
            path: path.to_owned(),
            when,
        });
    }
    (entries, problems)
}

/// Whether a module alias pattern (`*`, `?`, `[a-z]`) matches a `modalias`.
pub fn matches(pattern: &str, alias: &str) -> bool {
    glob(pattern.as_bytes(), alias.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // The place to come back to: after the last `*`, and how much of the text it swallowed.
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            Some(_) if t == text.len() => None,
            Some(b'?') => Some(p + 1),
            Some(b'[') => class(pattern, p, text[t]),
            Some(byte) => (*byte == text[t]).then_some(p + 1),
            None => None,
        };
        match (step, back) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((after, swallowed))) if swallowed < text.len() => {
                back = Some((after, swallowed + 1));
                p = after;
                t = swallowed + 1;
            }
            _ => return false,
        }
    }
}

/// Where a `[…]` that matches `byte` ends.
fn class(pattern: &[u8], open: usize, byte: u8) -> Option<usize> {
    let close = open + pattern[open..].iter().position(|byte| *byte == b']')?;
    let inner = &pattern[open + 1..close];
    let mut at = 0;
    while at < inner.len() {
        if at + 2 < inner.len() && inner[at + 1] == b'-' {
            if (inner[at]..=inner[at + 2]).contains(&byte) {
                return Some(close + 1);
            }
            at += 3;
        } else {
            if inner[at] == byte {
                return Some(close + 1);
            }
            at += 1;
        }
    }
    None
}

/// The `modalias` of all devices there are now.
pub fn aliases(sys: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for bus in ["pci", "virtio", "acpi", "platform", "scsi", "vmbus", "usb"] {
        let Ok(devices) = fs::read_dir(sys.join("bus").join(bus).join("devices")) else {
            continue;
        };
        for device in devices.flatten() {
            if let Ok(alias) = fs::read_to_string(device.path().join("modalias")) {
                found.insert(alias.trim().to_owned());
            }
        }
    }
    found
}

/// What loading did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Number of modules loaded.
    pub count: usize,
    /// Modules that could not be loaded, with the reason.
    pub failed: Vec<(String, io::Error)>,
}

/// The list, and what of it is loaded already.
#[derive(Debug)]
pub struct Modules {
    folder: PathBuf,
    waiting: Vec<Entry>,
    /// Lines that were not understood; to be reported.
    pub problems: Vec<String>,
}

impl Modules {
    /// Reads `load.list` in `folder`. A folder without one has nothing to load: every module
    /// may be built in.
    ///
    /// # Errors
    /// If the list is there and cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(folder.join("load.list")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let (waiting, problems) = parse(&text);
        Ok(Self {
            folder: folder.to_owned(),
            waiting,
            problems,
        })
    }

    /// Loads what is always loaded and what the devices that are there now ask for. Call it
    /// again when devices may have appeared: a loaded bus driver brings new ones.
    pub fn load(&mut self) -> Loaded {
        let mut loaded = Loaded::default();
        loop {
            let aliases = aliases(Path::new("/sys"));
            let before = loaded.count;
            let waiting = std::mem::take(&mut self.waiting);
            for entry in waiting {
                let wanted = match &entry.when {
                    When::Always => true,
                    When::Alias(patterns) => patterns
                        .iter()
                        .any(|pattern| aliases.iter().any(|alias| matches(pattern, alias))),
                };
                if !wanted {
                    self.waiting.push(entry);
                    continue;
                }
                let path = self.folder.join(&entry.path);
                let done = fs::File::open(&path)
                    .and_then(|file| sys::load_module(file.file(), "", sys::Compression::None));
                match done {
                    Ok(()) => loaded.count += 1,
                    Err(error) => loaded.failed.push((entry.path, error)),
                }
            }
            if loaded.count == before {
                return loaded;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read() {
        let (entries, problems) = parse(
            "# made by the build\n\nkernel/drivers/md/dm-verity.ko always\n\
             kernel/drivers/block/virtio_blk.ko alias virtio:d00000002v*\nnonsense\n",
        );
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].when, When::Always);
        assert_eq!(
            entries[1].when,
            When::Alias(vec!["virtio:d00000002v*".to_owned()])
        );
        assert_eq!(problems, ["nonsense"]);
    }

    #[test]
    fn patterns_match_as_modprobe_does() {
        let nvme = "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02";
        assert!(matches("pci:v*d*sv*sd*bc01sc08i02*", nvme));
        assert!(!matches("pci:v*d*sv*sd*bc01sc06i01*", nvme));
        assert!(matches(
            "virtio:d0000000[0-3]v*",
            "virtio:d00000002v00001AF4"
        ));
        assert!(!matches(
            "virtio:d0000000[4-9]v*",
            "virtio:d00000002v00001AF4"
        ));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(matches("*", ""));
        assert!(!matches("", "a"));
    }

    proptest! {
        #[test]
        fn any_list_and_pattern_are_read(list: String, pattern: String, text: String) {
            let _ = parse(&list);
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn a_text_matches_itself_with_a_star_anywhere(
            text in "[a-zA-Z0-9:]{0,20}",
            cut in 0..21_usize,
        ) {
            let cut = cut.min(text.len());
            let pattern = format!("{}*{}", &text[..cut], &text[cut..]);
            prop_assert!(matches(&pattern, &text));
        }
    }
}
