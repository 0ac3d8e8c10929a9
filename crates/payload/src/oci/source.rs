//! Files inside an image archive, be it a folder or a tar file.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use lifeboat_archive::{Cache, CacheError, Content, Digest, Kind, TarError, Tree, read_tar};

/// An image archive that is open.
#[derive(Debug)]
pub(super) enum Source {
    Folder(PathBuf),
    Tar(Tree),
}

/// How many links from file to file are followed; old archives have one.
const LINKS: usize = 4;

impl Source {
    /// Opens an archive; one that is compressed is inflated into the cache. `digest` is that of
    /// the file.
    pub(super) fn open(cache: &Cache, path: &Path, digest: &Digest) -> Result<Self, SourceError> {
        if fs::metadata(path)?.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let content = super::content(path)?;
        let plain = plain(cache, &content, digest)?;
        let Content::Slice { file, .. } = plain else {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        };
        Ok(Self::Tar(read_tar(&file)?))
    }

    /// The content of a file, if it is there.
    pub(super) fn find(&self, path: &str) -> Option<Content> {
        let mut path = Tree::clean(path).ok()?;
        match self {
            Self::Folder(root) => {
                let path = root.join(std::str::from_utf8(&path).ok()?);
                path.is_file().then(|| super::content(&path).ok())?
            }
            Self::Tar(tree) => {
                for _ in 0..LINKS {
                    match &tree.get(&path)?.kind {
                        Kind::File(content) => return Some(content.clone()),
                        Kind::Symlink(target) => {
                            let folder = path.iter().rposition(|byte| *byte == b'/');
                            path.truncate(folder.unwrap_or(0));
                            path.push(b'/');
                            path.extend_from_slice(target);
                            // Cleans the path, and stays inside the archive.
                            path.push(b'/');
                            path = tree.resolve_parents(&path);
                        }
                        _ => return None,
                    }
                }
                None
            }
        }
    }
}

/// An archive or layer that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It could not be read or inflated.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no tar archive, or a damaged one.
    #[error(transparent)]
    Tar(#[from] TarError),
}

/// The content itself if it is not compressed, else what it inflates to, as a whole file of the
/// cache. `digest` is that of the content.
pub(super) fn plain(
    cache: &Cache,
    content: &Content,
    digest: &Digest,
) -> Result<Content, SourceError> {
    let mut magic = Vec::new();
    content.open()?.take(4).read_to_end(&mut magic)?;
    let path = match &magic[..] {
        [0x1f, 0x8b, ..] => inflate(cache, digest, || {
            Ok(Box::new(flate2::read::MultiGzDecoder::new(content.open()?)))
        })?,
        [0x28, 0xb5, 0x2f, 0xfd] => inflate(cache, digest, || {
            Ok(Box::new(zstd::Decoder::new(content.open()?)?))
        })?,
        // A piece of a larger file is no file that can be read as an archive by its path.
        _ if whole(content)? => return Ok(content.clone()),
        _ => inflate(cache, digest, || content.open())?,
    };
    Ok(super::content(&path)?)
}

fn whole(content: &Content) -> io::Result<bool> {
    Ok(match content {
        Content::Inline(_) => false,
        Content::Slice { file, offset, size } => {
            *offset == 0 && fs::metadata(file.as_ref())?.len() == *size
        }
    })
}

fn inflate<'a>(
    cache: &Cache,
    digest: &Digest,
    open: impl FnOnce() -> io::Result<Box<dyn Read + 'a>>,
) -> Result<PathBuf, SourceError> {
    cache.derive("layer", digest, |path| {
        let mut file = fs::File::create(path)?;
        io::copy(&mut open()?, &mut file)?;
        file.sync_all()?;
        Ok(())
    })
}

/// The whole of a small file.
pub(super) fn small(content: &Content) -> io::Result<Arc<[u8]>> {
    /// More than any document of an image has.
    const LIMIT: u64 = 4 << 20;
    if content.size() > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a document of an image has over 4 MiB",
        ));
    }
    Ok(content.read()?.into())
}
