//! Digests of what goes into a stage, so that it is made again only when that changed.

use std::{
    io,
    path::{Path, PathBuf},
};

use lifeboat_archive::{Content, Digest, Kind, Tree};

/// Names inputs by digests.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Files below it never change: they are named by what they were made from.
    cache: PathBuf,
}

impl Identity {
    pub fn new(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
        }
    }

    /// A file's identity: its path if it is in the cache, else the digest of its content.
    pub fn file(&self, path: &Path) -> io::Result<Digest> {
        match path.strip_prefix(&self.cache) {
            Ok(inside) => Ok(Digest::of_parts([
                &b"cache"[..],
                inside.as_os_str().as_encoded_bytes(),
            ])),
            Err(_) => Ok(Digest::of_file(path)?.0),
        }
    }

    pub fn content(&self, content: &Content) -> io::Result<Digest> {
        Ok(match content {
            Content::Inline(bytes) => Digest::of(bytes),
            Content::Slice { file, offset, size } if file.starts_with(&self.cache) => {
                Digest::of_parts([
                    &b"slice"[..],
                    &self.file(file)?.0,
                    &offset.to_le_bytes(),
                    &size.to_le_bytes(),
                ])
            }
            content @ Content::Slice { .. } => Digest::of_reader(content.open()?)?.0,
        })
    }

    /// A tree's identity: every path with all that is known of it.
    pub fn tree(&self, tree: &Tree) -> io::Result<Digest> {
        let mut parts: Vec<Vec<u8>> = Vec::with_capacity(tree.len() * 2);
        let mut links = std::collections::BTreeMap::new();
        for (path, id, inode) in tree.iter() {
            let next = links.len();
            let link = *links.entry(id).or_insert(next);
            let mut part = format!(
                "{link} {:o} {} {} {} ",
                inode.mode, inode.uid, inode.gid, inode.mtime
            )
            .into_bytes();
            match &inode.kind {
                Kind::Directory => part.push(b'd'),
                Kind::File(content) if link == next => {
                    part.push(b'f');
                    part.extend(self.content(content)?.0);
                }
                Kind::File(_) => part.push(b'h'),
                Kind::Symlink(target) => {
                    part.push(b'l');
                    part.extend(target);
                }
                Kind::CharDevice { major, minor } => {
                    part.extend(format!("c{major}:{minor}").bytes());
                }
                Kind::BlockDevice { major, minor } => {
                    part.extend(format!("b{major}:{minor}").bytes());
                }
                Kind::Fifo => part.push(b'p'),
            }
            for (name, value) in &inode.xattrs {
                part.extend(Digest::of_parts([&name[..], &value[..]]).0);
            }
            parts.push(path.to_vec());
            parts.push(part);
        }
        Ok(Digest::of_parts(parts.iter().map(Vec::as_slice)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_a_tree_counts() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::new(&folder.path().join("cache"));
        let file = folder.path().join("file");
        fs_err::write(&file, "one").unwrap();
        let make = |change: &dyn Fn(&mut Tree)| {
            let mut tree = Tree::new();
            tree.write("a", 0o644, "x").unwrap();
            tree.write("b", 0o644, "x").unwrap();
            let content = Content::file(&file).unwrap();
            tree.insert(
                b"c",
                lifeboat_archive::Inode::new(Kind::File(content), 0o644),
            )
            .unwrap();
            change(&mut tree);
            identity.tree(&tree).unwrap()
        };
        let same = make(&|_| {});
        let mut all = vec![
            same,
            make(&|tree| tree.write("a", 0o600, "x").unwrap()),
            make(&|tree| tree.write("a", 0o644, "y").unwrap()),
            make(&|tree| tree.link(b"b", b"a").unwrap()),
            make(&|tree| tree.symlink("b", "a").unwrap()),
            make(&|tree| tree.get_mut("a").unwrap().mtime = 1),
            make(&|tree| tree.get_mut("a").unwrap().uid = 1),
            make(&|tree| {
                tree.get_mut("a")
                    .unwrap()
                    .xattrs
                    .insert(b"user.x".to_vec(), b"y".to_vec());
            }),
        ];
        assert_eq!(same, make(&|_| {}));
        // Content outside of the cache is read, so that a change of it is seen.
        fs_err::write(&file, "two").unwrap();
        all.push(make(&|_| {}));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
