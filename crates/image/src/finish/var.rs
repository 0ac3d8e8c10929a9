//! /var is the state partition, which is empty at first: what packages keep there is made by
//! systemd-tmpfiles at boot, from copies in the root.

use std::{collections::BTreeSet, fmt::Write as _};

use lifeboat_archive::{Kind, Tree};

use super::FinishError;

const FACTORY: &str = "usr/share/factory";
const LIST: &str = "usr/lib/tmpfiles.d/lifeboat-var.conf";

/// Moves the content of /var (and of the other folders that are kept there) and writes
/// the list by which it is made again. What is there on the node already is left alone.
pub(super) fn to_factory(tree: &mut Tree) -> Result<(), FinishError> {
    let declared = declared(tree)?;
    let mut list = String::from("# What packages keep in /var; see tmpfiles.d(5).\n");
    for folder in ["home", "opt", "root", "srv", "var"] {
        let paths: Vec<Vec<u8>> = tree
            .descendants(folder.as_bytes())
            .map(<[u8]>::to_vec)
            .collect();
        for path in paths {
            let Some(inode) = tree.get(&path).cloned() else {
                continue;
            };
            let name = escaped(&path);
            if declared.contains(&format!("/{name}")) {
                continue;
            }
            let (mode, uid, gid) = (inode.mode, inode.uid, inode.gid);
            let _ = match &inode.kind {
                Kind::Directory => writeln!(list, "d /{name} {mode:04o} {uid} {gid} -"),
                Kind::Symlink(target) => writeln!(list, "L /{name} - - - - {}", escaped(target)),
                Kind::File(_) => {
                    let copy = [FACTORY.as_bytes(), b"/", &path].concat();
                    tree.insert(&copy, inode)?;
                    writeln!(
                        list,
                        "C /{name} {mode:04o} {uid} {gid} - /{}",
                        escaped(&copy)
                    )
                }
                // Pipes and devices below /var belong to programs that make them themselves.
                _ => Ok(()),
            };
        }
    }
    Ok(tree.write(LIST, 0o644, list)?)
}

/// The paths that packages themselves have declared; a second line for one would be reported
/// as a mistake at each boot.
fn declared(tree: &Tree) -> Result<BTreeSet<String>, FinishError> {
    let mut paths = BTreeSet::new();
    for folder in ["usr/lib/tmpfiles.d", "etc/tmpfiles.d"] {
        for path in tree.children(folder.as_bytes()) {
            let Some(Kind::File(content)) = tree.get(path).map(|inode| &inode.kind) else {
                continue;
            };
            let text = content.read()?;
            for line in String::from_utf8_lossy(&text).lines() {
                let mut words = line.split_whitespace();
                // Those with a mark such as `!` do not hold at each boot.
                if words
                    .next()
                    .is_some_and(|kind| ["d", "D", "q", "Q", "L", "L+"].contains(&kind))
                    && let Some(path) = words.next()
                {
                    paths.insert(path.trim_end_matches('/').to_owned());
                }
            }
        }
    }
    Ok(paths)
}

/// Source: tmpfiles.d(5): paths are unquoted C-style, and `%` starts a specifier.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for byte in path {
        match byte {
            b'%' => text.push_str("%%"),
            b'!'..=b'~' if !b"\\\"'".contains(byte) => text.push(char::from(*byte)),
            byte => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}
