//! Reads members one by one, or a whole archive as a tree over the archive's file.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read},
    path::Path,
    sync::Arc,
};

use fs_err as fs;

use super::format::{
    BLOCK, CHECKSUM, GID, LINK, MAGIC, MAJOR, MAX_EXTENDED, MAX_PATH, MINOR, MODE, MTIME, NAME,
    PREFIX, SIZE, TYPE, TarError, UID, checksum, number, text,
};
use crate::{Content, Inode, Kind, Tree, TreePath};

/// What an archive is read from.
pub trait Source: Read {
    /// Passes over `bytes`.
    ///
    /// # Errors
    /// Those of reading, and [`io::ErrorKind::UnexpectedEof`] if there are fewer; a source
    /// that seeks may notice that only later.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

impl Source for BufReader<fs::File> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.seek_relative(bytes)
    }
}

/// A source that cannot seek, such as a pipe.
#[derive(Debug)]
pub struct Streamed<R>(pub R);

impl<R: Read> Read for Streamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Source for Streamed<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.0.by_ref().take(bytes), &mut io::sink())?;
        if skipped < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File,
    /// A further name of an earlier member.
    HardLink(TreePath),
    /// Anything else that a tree holds.
    Other(Kind),
}

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its clean path; the root is empty.
    pub path: TreePath,
    /// What it is.
    pub node: Node,
    /// The low 12 bits of its mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes of content (of a file; otherwise 0).
    pub size: u64,
    /// Where in the archive the content begins.
    pub offset: u64,
}

impl Member {
    fn inode(self, kind: Kind) -> Inode {
        Inode {
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs: self.xattrs,
        }
    }
}

/// Reads an archive member by member.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    position: u64,
    /// Content and padding of the last member that nobody has read yet.
    content: u64,
    padding: u64,
}

#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse: bool,
}

impl<S: Source> Reader<S> {
    /// A reader at the first header.
    pub fn new(source: S) -> Self {
        Self {
            source,
            position: 0,
            content: 0,
            padding: 0,
        }
    }

    /// The next member; `None` after the last. Content of the one before that was not read is
    /// passed over.
    ///
    /// # Errors
    /// [`TarError`] if the archive is damaged, cut off or holds what a tree cannot.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        let mut extended = Extended::default();
        loop {
            self.skip_rest()?;
            let offset = self.position;
            let mut header = [0; BLOCK];
            self.exact(&mut header)?;
            if header == [0; BLOCK] {
                return Ok(None);
            }
            let bad = |reason| TarError::Header { offset, reason };
            if number(&header[CHECKSUM]).map_err(bad)? != i64::from(checksum(&header)) {
                return Err(bad("its checksum is wrong"));
            }
            let size = u64::try_from(number(&header[SIZE]).map_err(bad)?)
                .map_err(|_| bad("its size is negative"))?;
            match header[TYPE] {
                b'x' => {
                    let data = self.small(size, offset)?;
                    parse_extended(&data, &mut extended).map_err(bad)?;
                }
                // Global attributes: nobody sets any that matter to a file.
                b'g' => {
                    self.small(size, offset)?;
                }
                b'L' => extended.path = Some(text(&self.small(size, offset)?).to_vec()),
                b'K' => extended.link = Some(text(&self.small(size, offset)?).to_vec()),
                _ => return self.member(&header, size, extended, offset).map(Some),
            }
        }
    }

    /// Reads from the content of the last member; 0 at its end.
    ///
    /// # Errors
    /// [`TarError::Truncated`] if the archive ends before the content does.
    pub fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let wanted = usize::try_from(self.content)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(TarError::Truncated(self.position));
        }
        self.content -= read as u64;
        self.position += read as u64;
        Ok(read)
    }

    /// Gives the source back, behind what was read.
    pub fn into_source(self) -> S {
        self.source
    }

    fn member(
        &mut self,
        header: &[u8; BLOCK],
        size: u64,
        mut extended: Extended,
        offset: u64,
    ) -> Result<Member, TarError> {
        let bad = |reason| TarError::Header { offset, reason };
        let field = |range| number(&header[range]).map_err(bad);
        let id = |range| u32::try_from(field(range)?).map_err(|_| bad("an owner is out of range"));
        let name = extended.path.take().unwrap_or_else(|| {
            let mut name = Vec::new();
            if &header[MAGIC] == b"ustar\x0000" && header[PREFIX.start] != 0 {
                name.extend_from_slice(text(&header[PREFIX]));
                name.push(b'/');
            }
            name.extend_from_slice(text(&header[NAME]));
            name
        });
        let link = extended
            .link
            .take()
            .unwrap_or_else(|| text(&header[LINK]).to_vec());
        if name.len() > MAX_PATH || link.len() > MAX_PATH {
            return Err(bad("a path is longer than 4096 bytes"));
        }
        let shown = || String::from_utf8_lossy(&name).into_owned();
        let unsupported = |what| TarError::Unsupported {
            path: shown(),
            what,
        };
        let path = inside(&name)?;
        let size = extended.size.unwrap_or(size);
        let node = match header[TYPE] {
            _ if extended.sparse => return Err(unsupported("a sparse file")),
            b'S' => return Err(unsupported("a sparse file")),
            b'0' | b'\0' | b'7' if name.ends_with(b"/") && size == 0 => {
                Node::Other(Kind::Directory)
            }
            b'0' | b'\0' | b'7' => Node::File,
            b'1' => Node::HardLink(inside(&link)?),
            b'2' if link.is_empty() || link.contains(&0) => {
                return Err(unsupported("a symbolic link without a target"));
            }
            b'2' => Node::Other(Kind::Symlink(link)),
            b'5' => Node::Other(Kind::Directory),
            b'6' => Node::Other(Kind::Fifo),
            kind @ (b'3' | b'4') => {
                let part =
                    |range| u32::try_from(field(range)?).map_err(|_| bad("a device number is bad"));
                let (major, minor) = (part(MAJOR)?, part(MINOR)?);
                Node::Other(if kind == b'3' {
                    Kind::CharDevice { major, minor }
                } else {
                    Kind::BlockDevice { major, minor }
                })
            }
            _ => return Err(unsupported("of an unknown kind")),
        };
        if path.is_empty() && node != Node::Other(Kind::Directory) {
            return Err(bad("the root is no folder"));
        }
        if node != Node::File && size != 0 {
            return Err(bad("content follows what has none"));
        }
        let member = Member {
            path,
            node,
            mode: u32::try_from(field(MODE)? & 0o7777).unwrap_or_default(),
            uid: extended.uid.map_or_else(|| id(UID), Ok)?,
            gid: extended.gid.map_or_else(|| id(GID), Ok)?,
            mtime: extended.mtime.map_or_else(|| field(MTIME), Ok)?,
            xattrs: extended.xattrs,
            size,
            offset: self.position,
        };
        self.content = size;
        self.padding = padding(size);
        Ok(member)
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        self.source
            .read_exact(buffer)
            .map_err(|error| self.cut(error))?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let bytes = self.content.saturating_add(self.padding);
        if bytes > 0 {
            self.source.skip(bytes).map_err(|error| self.cut(error))?;
        }
        self.position = self.position.saturating_add(bytes);
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn small(&mut self, size: u64, offset: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENDED {
            return Err(TarError::Header {
                offset,
                reason: "an extended header is larger than 1 MiB",
            });
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or_default()];
        self.exact(&mut data)?;
        self.padding = padding(size);
        Ok(data)
    }

    fn cut(&self, error: io::Error) -> TarError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            TarError::Truncated(self.position)
        } else {
            TarError::Io(error)
        }
    }
}

/// Reads an uncompressed archive into a tree whose files are pieces of the archive's file.
///
/// # Errors
/// [`TarError`] if it cannot be read, is damaged, or a member points out of the tree.
pub fn read_tar(path: &Path) -> Result<Tree, TarError> {
    let opened = fs::File::open(path)?;
    let length = opened.metadata()?.len();
    read_tree(
        BufReader::with_capacity(1 << 13, opened),
        length,
        &Arc::from(path),
    )
}

pub(super) fn read_tree<S: Source>(
    source: S,
    length: u64,
    file: &Arc<Path>,
) -> Result<Tree, TarError> {
    let mut reader = Reader::new(source);
    let mut tree = Tree::new();
    while let Some(member) = reader.next_member()? {
        let path = member.path.clone();
        match &member.node {
            Node::HardLink(target) => tree.link(&path, target)?,
            Node::File => {
                let (offset, size) = (member.offset, member.size);
                if offset.checked_add(size).is_none_or(|end| end > length) {
                    return Err(TarError::Truncated(length));
                }
                let content = if size == 0 {
                    Content::inline([])
                } else {
                    Content::Slice {
                        file: Arc::clone(file),
                        offset,
                        size,
                    }
                };
                tree.insert(&path, member.inode(Kind::File(content)))?;
            }
            Node::Other(kind) => {
                let kind = kind.clone();
                tree.insert(&path, member.inode(kind))?;
            }
        }
    }
    Ok(tree)
}

fn inside(path: &[u8]) -> Result<TreePath, TarError> {
    let outside = || TarError::Outside(String::from_utf8_lossy(path).into_owned());
    if path.is_empty() || path.starts_with(b"/") {
        return Err(outside());
    }
    Tree::clean(path).map_err(|_| outside())
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Records of the form `LENGTH KEY=VALUE\n` (POSIX.1-2008, "pax Extended Header").
fn parse_extended(mut data: &[u8], extended: &mut Extended) -> Result<(), &'static str> {
    const BAD: &str = "an extended record is malformed";
    while !data.is_empty() {
        let blank = data.iter().position(|byte| *byte == b' ').ok_or(BAD)?;
        let length: usize = std::str::from_utf8(&data[..blank])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(BAD)?;
        let record = data.get(blank + 1..length).ok_or(BAD)?;
        let record = record.strip_suffix(b"\n").ok_or(BAD)?;
        data = &data[length..];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extended.path = Some(value.to_vec()),
            b"linkpath" => extended.link = Some(value.to_vec()),
            b"size" => extended.size = Some(decimal(value).ok_or(BAD)?),
            b"uid" => extended.uid = Some(decimal(value).ok_or(BAD)?),
            b"gid" => extended.gid = Some(decimal(value).ok_or(BAD)?),
            b"mtime" => extended.mtime = Some(seconds(value).ok_or(BAD)?),
            _ if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    extended.xattrs.insert(name.to_vec(), value.to_vec());
                }
            }
        }
    }
    Ok(())
}

fn decimal<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whole seconds of a decimal number, rounded down.
fn seconds(value: &[u8]) -> Option<i64> {
    let point = value.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = value.split_at(point.unwrap_or(value.len()));
    let seconds: i64 = decimal(whole)?;
    let rest = fraction.iter().any(|digit| !matches!(digit, b'.' | b'0'));
    if rest && value.starts_with(b"-") {
        return seconds.checked_sub(1);
    }
    Some(seconds)
}
