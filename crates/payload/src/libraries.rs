//! Takes programs out of Debian packages together with the shared libraries that they need,
//! and nothing else of the packages.

use std::collections::BTreeSet;

use lifeboat_archive::{Kind, Tree, TreeError, UnpackedDeb};

const FOLDER: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "ld-linux-x86-64.so.2";

/// A program that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LibrariesError {
    /// None of the packages has the file.
    #[error("none of the payload's packages has `{path}`, which {needed_by} needs")]
    Missing {
        /// The file.
        path: String,
        /// Who needs it.
        needed_by: String,
    },
    /// It is not an x86-64 ELF file with a dynamic section.
    #[error("`{0}` is no dynamic program or library")]
    NotElf(String),
    /// Content could not be read.
    #[error("a package's file cannot be read")]
    Io(#[from] std::io::Error),
    /// Files stand in each other's way.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A tree with `programs` (such as `usr/sbin/nft`) and all libraries that they load.
pub(crate) fn with_libraries(
    debs: &[UnpackedDeb],
    programs: &[&str],
) -> Result<Tree, LibrariesError> {
    let mut tree = Tree::new();
    for (link, target) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
    ] {
        tree.mkdir(target, 0o755)?;
        tree.symlink(link, target)?;
    }
    tree.symlink(
        format!("usr/lib64/{LOADER}"),
        format!("../lib/x86_64-linux-gnu/{LOADER}"),
    )?;
    let mut queue: Vec<(String, String)> = programs
        .iter()
        .map(|program| ((*program).to_owned(), "an image".to_owned()))
        .collect();
    queue.push((format!("{FOLDER}/{LOADER}"), "each program".to_owned()));
    let mut done = BTreeSet::new();
    while let Some((path, needed_by)) = queue.pop() {
        if !done.insert(path.clone()) {
            continue;
        }
        let missing = || LibrariesError::Missing {
            path: path.clone(),
            needed_by,
        };
        let deb = debs
            .iter()
            .map(|deb| &deb.tree)
            .find(|tree| tree.get(&path).is_some());
        let deb = deb.ok_or_else(missing)?;
        let Some(inode) = deb.get(&path) else {
            continue;
        };
        tree.insert(path.as_bytes(), inode.clone())?;
        match &inode.kind {
            Kind::Symlink(target) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = String::from_utf8_lossy(target).into_owned();
                queue.push((format!("{folder}/{target}"), path));
            }
            Kind::File(content) => {
                let bytes = content.read()?;
                let needed = needed(&bytes).ok_or_else(|| LibrariesError::NotElf(path.clone()))?;
                let library = |name| (format!("{FOLDER}/{name}"), path.clone());
                queue.extend(needed.into_iter().map(library));
            }
            _ => return Err(LibrariesError::NotElf(path)),
        }
    }
    Ok(tree)
}

/// The names in the `DT_NEEDED` entries of a 64-bit little-endian ELF file (System V ABI,
/// chapter 5, "Dynamic Section"); `None` if it is no such file.
fn needed(elf: &[u8]) -> Option<Vec<String>> {
    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const NEEDED: u64 = 1;
    const STRING_TABLE: u64 = 5;
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let word = |at: usize| {
        Some(u64::from_le_bytes(
            elf.get(at..at.checked_add(8)?)?.try_into().ok()?,
        ))
    };
    let half = |at: usize| {
        Some(u16::from_le_bytes(
            elf.get(at..at.checked_add(2)?)?.try_into().ok()?,
        ))
    };
    let place = |value: u64| usize::try_from(value).ok();
    let headers = place(word(32)?)?;
    let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
    let mut loads = Vec::new();
    let mut dynamic = None;
    for index in 0..count {
        let at = headers.checked_add(size * index)?;
        let kind = u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?);
        let (offset, address, length) = (word(at + 8)?, word(at + 16)?, word(at + 32)?);
        match kind {
            LOAD => loads.push((offset, address, length)),
            DYNAMIC => dynamic = Some((place(offset)?, place(length)?)),
            _ => {}
        }
    }
    // A static program needs nothing.
    let Some((offset, length)) = dynamic else {
        return Some(Vec::new());
    };
    let mut strings = None;
    let mut names = Vec::new();
    for at in (offset..offset.checked_add(length)?).step_by(16) {
        match (word(at)?, word(at + 8)?) {
            (0, _) => break,
            (NEEDED, value) => names.push(value),
            (STRING_TABLE, value) => strings = Some(value),
            _ => {}
        }
    }
    let strings = strings?;
    let (offset, address, _) = loads
        .iter()
        .find(|(_, address, length)| strings >= *address && strings - address < *length)?;
    let strings = strings - address + offset;
    names
        .into_iter()
        .map(|name| {
            let begin = place(strings.checked_add(name)?)?;
            let text = elf.get(begin..)?.split(|byte| *byte == 0).next()?;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        })
        .collect()
}

/// The certificates that Debian's `ca-certificates` trusts, in one PEM text; `None` if the
/// package is not among `debs`.
pub(crate) fn certificates(debs: &[UnpackedDeb]) -> std::io::Result<Option<Vec<u8>>> {
    const PLACE: &str = "usr/share/ca-certificates/mozilla";
    let Some(deb) = debs.iter().find(|deb| deb.name == "ca-certificates") else {
        return Ok(None);
    };
    let mut text = Vec::new();
    for path in deb.tree.children(PLACE.as_bytes()) {
        if let Some(Kind::File(content)) = deb.tree.get(path).map(|inode| &inode.kind) {
            text.extend_from_slice(&content.read()?);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::needed;

    #[test]
    fn libraries_of_a_program_of_the_host() {
        let Ok(elf) = std::fs::read("/bin/ls") else {
            println!("SKIPPED: no /bin/ls here");
            return;
        };
        let names = needed(&elf).unwrap();
        assert!(
            names.iter().any(|name| name.starts_with("libc.so")),
            "{names:?}"
        );
        assert!(needed(&crate::pause::program()).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn anything_else_is_refused_without_a_panic(tail: Vec<u8>, place in 0..286_usize, value: u8) {
            let _ = needed(&tail);
            let mut elf = b"\x7fELF\x02\x01".to_vec();
            elf.extend_from_slice(&tail);
            let _ = needed(&elf);
            let mut elf = crate::pause::program();
            elf[place] = value;
            let _ = needed(&elf);
        }
    }
}
