//! Archives to trees.

use std::collections::BTreeMap;

use lifeboat_archive::{Content, Inode, Kind, Tree, TreeError, TreePath};

use super::format::{
    ALIGNMENT, BLOCK, CHARACTER, DIRECTORY, FIFO, HEADER_SIZE, Header, MAGIC, REGULAR, SYMLINK,
    TRAILER, TYPE_MASK,
};

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCpioError {
    /// It ends inside an entry.
    #[error("the cpio archive ends inside the entry at byte {0}")]
    Short(usize),
    /// No header where one should be.
    #[error("the cpio archive has no header at byte {0}")]
    Header(usize),
    /// An entry of an unknown type.
    #[error("the cpio archive holds `{0}` of an unknown type")]
    Kind(String),
    /// Entries that do not fit together.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Reads the first archive of `bytes`, which are not compressed.
///
/// # Errors
/// [`ReadCpioError`] if it is damaged.
pub fn read(bytes: &[u8]) -> Result<Tree, ReadCpioError> {
    let mut tree = Tree::new();
    let mut links: BTreeMap<(u32, u32, u32), TreePath> = BTreeMap::new();
    let mut at = 0;
    loop {
        let short = || ReadCpioError::Short(at);
        let raw = bytes.get(at..at + HEADER_SIZE).ok_or_else(short)?;
        let header = header(raw).ok_or(ReadCpioError::Header(at))?;
        let name_at = at + HEADER_SIZE;
        let name_end = name_at
            .checked_add(header.namesize as usize)
            .ok_or_else(short)?;
        let name = bytes.get(name_at..name_end).ok_or_else(short)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if name == TRAILER {
            return Ok(tree);
        }
        let content_at = name_end.next_multiple_of(ALIGNMENT);
        let content_end = content_at
            .checked_add(header.filesize as usize)
            .ok_or_else(short)?;
        let content = bytes.get(content_at..content_end).ok_or_else(short)?;
        let path = Tree::clean(name)?;
        let key = (header.major, header.minor, header.ino);
        let is_folder = header.mode & TYPE_MASK == DIRECTORY;
        match links
            .get(&key)
            .filter(|_| header.nlink > 1 && !is_folder && content.is_empty())
        {
            Some(first) => tree.link(&path, &first.clone())?,
            None if path.is_empty() => {}
            None => {
                let mut inode = Inode::new(kind(&header, content, name)?, header.mode & 0o7777);
                (inode.uid, inode.gid) = (header.uid, header.gid);
                inode.mtime = i64::from(header.mtime);
                tree.insert(&path, inode)?;
                links.insert(key, path);
            }
        }
        at = content_end.next_multiple_of(ALIGNMENT);
    }
}

fn header(raw: &[u8]) -> Option<Header> {
    let digits = raw.strip_prefix(MAGIC)?;
    let mut fields = [0; 13];
    for (field, digits) in fields.iter_mut().zip(digits.chunks_exact(8)) {
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *field = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Header::from_fields(fields))
}

fn kind(header: &Header, content: &[u8], name: &[u8]) -> Result<Kind, ReadCpioError> {
    let (major, minor) = (header.rmajor, header.rminor);
    Ok(match header.mode & TYPE_MASK {
        DIRECTORY => Kind::Directory,
        REGULAR => Kind::File(Content::inline(content)),
        SYMLINK => Kind::Symlink(content.to_vec()),
        CHARACTER => Kind::CharDevice { major, minor },
        BLOCK => Kind::BlockDevice { major, minor },
        FIFO => Kind::Fifo,
        _ => {
            return Err(ReadCpioError::Kind(
                String::from_utf8_lossy(name).into_owned(),
            ));
        }
    })
}
