//! Kernel modules: where they are, what they need, what devices they are for.
//!
//! All of it is in the modules themselves, in their section `.modinfo`, so that no index needs
//! to have been made.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
};

use lifeboat_archive::{Kind, Tree, TreePath};

use super::list::{Need, Wanted, When};

/// No module is this large, not even one with all its debugging symbols.
const LARGEST: u64 = 256 << 20;

/// A kernel module that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The kernel has none of this name.
    #[error("kernel {kernel} has no module `{name}`, which {by} needs")]
    Missing {
        /// The kernel's release.
        kernel: String,
        /// The module.
        name: String,
        /// Who asks for it.
        by: String,
    },
    /// Its file cannot be read or inflated.
    #[error("kernel module `{path}` cannot be read")]
    Io {
        /// Its path in the tree.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Its file is no module.
    #[error("`{0}` is no 64-bit ELF file with a section `.modinfo`")]
    NotAModule(String),
    /// Modules that need each other.
    #[error("kernel module `{0}` needs itself")]
    Circle(String),
}

/// A module that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Below the kernel's folder, without the suffix of a compression.
    pub path: String,
    /// The module, inflated.
    pub bytes: Vec<u8>,
    /// Patterns of the devices that it is for; `None` if it is always loaded.
    pub patterns: Option<BTreeSet<String>>,
}

/// The modules of one kernel in a tree.
#[derive(Debug)]
pub struct Modules<'a> {
    tree: &'a Tree,
    kernel: String,
    /// Paths by name.
    paths: BTreeMap<String, TreePath>,
    builtin: BTreeSet<String>,
}

/// What a module says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Information {
    pub needs: Vec<String>,
    pub soft_needs: Vec<String>,
    pub patterns: Vec<String>,
}

struct Visit {
    module: Module,
    needs: Vec<String>,
}

impl<'a> Modules<'a> {
    /// Indexes the names of the modules of a kernel.
    pub fn new(tree: &'a Tree, kernel: &str) -> Self {
        let folder = format!("usr/lib/modules/{kernel}");
        let mut paths = BTreeMap::new();
        for path in tree.descendants(folder.as_bytes()) {
            let text = String::from_utf8_lossy(path);
            let file = text.rsplit('/').next().unwrap_or_default();
            if let Some((name, _)) = file.split_once(".ko") {
                paths.insert(canonical(name), path.to_vec());
            }
        }
        let builtin = match tree
            .get(format!("{folder}/modules.builtin"))
            .map(|inode| &inode.kind)
        {
            // Without the list nothing counts as built in, and what is missing is named.
            Some(Kind::File(content)) => content.read().unwrap_or_default(),
            _ => Vec::new(),
        };
        let builtin = String::from_utf8_lossy(&builtin)
            .lines()
            .filter_map(|line| line.rsplit('/').next()?.strip_suffix(".ko").map(canonical))
            .collect();
        Self {
            tree,
            kernel: kernel.to_owned(),
            paths,
            builtin,
        }
    }

    /// The wanted modules with all they need, each after what it needs.
    pub(super) fn choose(&self, wanted: &[Wanted]) -> Result<Vec<Module>, ModuleError> {
        let mut order: Vec<String> = Vec::new();
        let mut visits = BTreeMap::new();
        for wish in wanted {
            let name = canonical(wish.name);
            if !self.paths.contains_key(&name) {
                if wish.need == Need::Must && !self.builtin.contains(&name) {
                    return Err(self.missing(&name, "the initrd"));
                }
                continue;
            }
            self.visit(&name, &mut Vec::new(), &mut order, &mut visits)?;
        }
        let always = |name: &str| {
            wanted
                .iter()
                .any(|wish| canonical(wish.name) == name && wish.when == When::Always)
        };
        for name in order.iter().filter(|name| always(name)) {
            if let Some(visit) = visits.get_mut(name) {
                visit.module.patterns = None;
            }
        }
        // From those that need to those that are needed, so that what a module is loaded for is
        // complete when it is handed on.
        for name in order.iter().rev() {
            let Some(visit) = visits.get(name) else {
                continue;
            };
            let (patterns, needs) = (visit.module.patterns.clone(), visit.needs.clone());
            for need in needs {
                let Some(needed) = visits.get_mut(&need) else {
                    continue;
                };
                match (&mut needed.module.patterns, &patterns) {
                    (Some(own), Some(more)) => own.extend(more.iter().cloned()),
                    (own, None) => *own = None,
                    (None, _) => {}
                }
            }
        }
        Ok(order
            .iter()
            .filter_map(|name| visits.remove(name))
            .map(|visit| visit.module)
            .collect())
    }

    fn visit(
        &self,
        name: &str,
        above: &mut Vec<String>,
        order: &mut Vec<String>,
        visits: &mut BTreeMap<String, Visit>,
    ) -> Result<(), ModuleError> {
        if visits.contains_key(name) {
            return Ok(());
        }
        if above.iter().any(|other| other == name) {
            return Err(ModuleError::Circle(name.to_owned()));
        }
        let Some(path) = self.paths.get(name) else {
            if self.builtin.contains(name) {
                return Ok(());
            }
            return Err(self.missing(name, above.last().map_or("the initrd", String::as_str)));
        };
        let text = String::from_utf8_lossy(path).into_owned();
        let bytes = self.read(path, &text)?;
        let information = information(&bytes).ok_or(ModuleError::NotAModule(text.clone()))?;
        let soft = information
            .soft_needs
            .into_iter()
            .filter(|soft| self.paths.contains_key(soft));
        let needs: Vec<String> = information.needs.into_iter().chain(soft).collect();
        above.push(name.to_owned());
        for need in &needs {
            self.visit(need, above, order, visits)?;
        }
        above.pop();
        let prefix = format!("usr/lib/modules/{}/", self.kernel);
        let path = text.strip_prefix(&prefix).unwrap_or(&text);
        let end = path.find(".ko").map_or(path.len(), |at| at + 3);
        let module = Module {
            path: path[..end].to_owned(),
            bytes,
            patterns: Some(information.patterns.into_iter().collect()),
        };
        order.push(name.to_owned());
        visits.insert(name.to_owned(), Visit { module, needs });
        Ok(())
    }

    fn read(&self, path: &TreePath, text: &str) -> Result<Vec<u8>, ModuleError> {
        let io = |source| ModuleError::Io {
            path: text.to_owned(),
            source,
        };
        let Some(Kind::File(content)) = self.tree.get(path).map(|inode| &inode.kind) else {
            return Err(ModuleError::NotAModule(text.to_owned()));
        };
        let packed = content.read().map_err(io)?;
        let mut bytes = Vec::new();
        let read = match packed.get(..6) {
            Some([0xfd, b'7', b'z', b'X', b'Z', 0]) => liblzma::read::XzDecoder::new(&packed[..])
                .take(LARGEST)
                .read_to_end(&mut bytes),
            Some([0x28, 0xb5, 0x2f, 0xfd, ..]) => zstd::Decoder::new(&packed[..])
                .and_then(|decoder| decoder.take(LARGEST).read_to_end(&mut bytes)),
            _ => {
                bytes = packed;
                Ok(0)
            }
        };
        read.map_err(io)?;
        Ok(bytes)
    }

    fn missing(&self, name: &str, by: &str) -> ModuleError {
        let (kernel, name, by) = (self.kernel.clone(), name.to_owned(), by.to_owned());
        ModuleError::Missing { kernel, name, by }
    }
}

/// Modules have `-` and `_` for the same in their names.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// Reads the section `.modinfo`: `key=value` with a zero byte after each.
pub(super) fn information(elf: &[u8]) -> Option<Information> {
    let section = section(elf, b".modinfo")?;
    let mut information = Information::default();
    for entry in section.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let Some((key, value)) = entry.split_once('=') else {
            continue;
        };
        match key {
            "depends" => {
                let names = value.split(',').filter(|name| !name.is_empty());
                information.needs.extend(names.map(canonical));
            }
            "softdep" => {
                let mut before = false;
                for word in value.split_whitespace() {
                    match word {
                        "pre:" => before = true,
                        "post:" | "platform:" => before = false,
                        name if before => information.soft_needs.push(canonical(name)),
                        _ => {}
                    }
                }
            }
            // Others are names by which the kernel asks for modules: `fs-ext4`.
            "alias" if value.contains(':') => {
                information
                    .patterns
                    .push(value.replace(char::is_whitespace, "?"));
            }
            _ => {}
        }
    }
    Some(information)
}

/// A section of a 64-bit little-endian ELF file. Source: elf(5).
fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = number(0x28, 8)?;
    let (size, count, names) = (number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    let header = |index: usize| table.checked_add(index.checked_mul(size)?);
    let names_at = number(header(names)?.checked_add(0x18)?, 8)?;
    for index in 0..count {
        let at = header(index)?;
        let name = elf.get(names_at.checked_add(number(at, 4)?)?..)?;
        if name.split(|byte| *byte == 0).next() == Some(wanted) {
            let (from, length) = (
                number(at.checked_add(0x18)?, 8)?,
                number(at.checked_add(0x20)?, 8)?,
            );
            return elf.get(from..from.checked_add(length)?);
        }
    }
    None
}
