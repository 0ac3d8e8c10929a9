//! Archives for people.

use std::fmt::Write as _;

use lifeboat_archive::{Kind, Tree};

/// One line per entry, as `ls -l` would.
pub fn dump(tree: &Tree) -> String {
    let mut text = String::new();
    for (path, _, inode) in tree.iter().filter(|(path, ..)| !path.is_empty()) {
        let path = String::from_utf8_lossy(path);
        let (letter, size, more) = match &inode.kind {
            Kind::Directory => ('d', 0, String::new()),
            Kind::File(content) => ('-', content.size(), String::new()),
            Kind::Symlink(target) => ('l', 0, format!(" -> {}", String::from_utf8_lossy(target))),
            Kind::CharDevice { major, minor } => ('c', 0, format!(" {major}:{minor}")),
            Kind::BlockDevice { major, minor } => ('b', 0, format!(" {major}:{minor}")),
            Kind::Fifo => ('p', 0, String::new()),
        };
        let _ = writeln!(
            text,
            "{letter}{:04o} {}:{} {size:>10}  {path}{more}",
            inode.mode, inode.uid, inode.gid
        );
    }
    text
}
