//! Debian binary packages (deb(5)): an `ar` archive of control files and a tar of the tree.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{
    Cache, CacheError, Digest, Tree,
    tar::{Node, Reader, Streamed, TarError, read_tar},
};

/// More data than this in one package is refused.
const MAX_DATA: u64 = 16 << 30;
/// More control files than this in one package are refused.
const MAX_CONTROL: u64 = 64 << 20;
const AR_MAGIC: &[u8; 8] = b"!<arch>\n";

/// A package file that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("package file `{name}` cannot be unpacked")]
pub struct DebError {
    /// The file, as a person knows it.
    pub name: String,
    /// Why.
    #[source]
    pub reason: DebReason,
}

/// Why a package file cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DebReason {
    /// Reading or writing failed.
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It is not what deb(5) describes.
    #[error("it is no Debian package: {0}")]
    Format(&'static str),
    /// It ends in the middle.
    #[error("it is cut off inside `{0}`")]
    Truncated(String),
    /// A member with an unknown compression.
    #[error("its member `{0}` is compressed in an unknown way")]
    Compression(String),
    /// Compressed data that is damaged.
    #[error("its member `{member}` is damaged")]
    Damaged {
        /// The member.
        member: String,
        /// What the decompressor says.
        source: io::Error,
    },
    /// It unpacks to more than any package has.
    #[error("its member `{member}` unpacks to more than {limit} bytes")]
    TooLarge {
        /// The member.
        member: String,
        /// The most that is unpacked.
        limit: u64,
    },
    /// A tar inside is damaged or hostile.
    #[error("its {archive}: {source}")]
    Tar {
        /// `control.tar` or `data.tar`.
        archive: &'static str,
        /// What is wrong.
        source: TarError,
    },
    /// The control file lacks a field or is malformed.
    #[error("its control file {0}")]
    Control(String),
}

/// The control files of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The fields of `control` in their order; continuation lines are kept with their newlines
    /// and leading blanks.
    pub fields: Vec<(String, String)>,
    /// All other members by name (`postinst`, `md5sums`, `triggers`, …) with their mode.
    pub files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Control {
    /// Reads one paragraph of deb822(5) fields.
    ///
    /// # Errors
    /// [`DebReason::Control`] if a line is neither a field nor a continuation.
    pub fn parse(text: &str) -> Result<Self, DebReason> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if line.starts_with('#') || (fields.is_empty() && line.trim().is_empty()) {
                continue;
            }
            if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
                let Some((_, value)) = fields.last_mut() else {
                    return Err(DebReason::Control("begins with a continuation line".into()));
                };
                value.push('\n');
                value.push_str(line.trim_end());
            } else if line.trim().is_empty() {
                break;
            } else {
                let (name, value) = line.split_once(':').ok_or_else(|| {
                    DebReason::Control(format!("has the line `{line}`, which is no field"))
                })?;
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        Ok(Self {
            fields,
            files: BTreeMap::new(),
        })
    }

    /// The value of a field, whatever its case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A control file's bytes.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|(_, bytes)| bytes.as_slice())
    }

    /// The configuration files that the package declares, as absolute paths. Those marked
    /// `remove-on-upgrade` are not in the package and left out.
    pub fn conffiles(&self) -> impl Iterator<Item = &str> {
        self.file("conffiles")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('/'))
    }

    /// Whether a field is `yes`.
    pub fn is_set(&self, name: &str) -> bool {
        self.field(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }

    pub(crate) fn required(&self, name: &str) -> Result<String, DebReason> {
        self.field(name)
            .filter(|value| !value.is_empty() && !value.contains(['/', '\n', ' ']))
            .map(str::to_owned)
            .ok_or_else(|| DebReason::Control(format!("has no usable `{name}`")))
    }
}

/// The derived cache entry of a package file: a folder with `control/` (its control files) and
/// `data.tar` (its tree, uncompressed). Made when it is not there.
pub(crate) fn derive(cache: &Cache, path: &Path, sha256: &Digest) -> Result<PathBuf, DebReason> {
    cache.derive("deb", sha256, |to| {
        extract(path, to)?;
        // So that what is in the cache is known to be readable.
        let control = read_control(to)?;
        for field in ["Package", "Version", "Architecture"] {
            control.required(field)?;
        }
        read_data(to).map(drop)
    })
}

/// The tree of a derived entry.
pub(crate) fn read_data(entry: &Path) -> Result<Tree, DebReason> {
    read_tar(&entry.join("data.tar")).map_err(|source| DebReason::Tar {
        archive: "data.tar",
        source,
    })
}

/// The control files of a derived entry.
pub(crate) fn read_control(entry: &Path) -> Result<Control, DebReason> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = entry.join("control");
    let text = fs::read_to_string(folder.join("control"))?;
    let mut control = Control::parse(&text)?;
    for file in fs::read_dir(&folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name != "control" {
            let mode = file.metadata()?.permissions().mode() & 0o7777;
            control.files.insert(name, (mode, fs::read(file.path())?));
        }
    }
    Ok(control)
}

fn extract(path: &Path, to: &Path) -> Result<(), DebReason> {
    let mut file = BufReader::with_capacity(1 << 16, fs::File::open(path)?);
    let length = file.get_ref().metadata()?.len();
    let mut magic = [0; 8];
    exact(&mut file, &mut magic, "ar header")?;
    if &magic != AR_MAGIC {
        return Err(DebReason::Format("it does not begin as an ar archive"));
    }
    fs::create_dir_all(to.join("control"))?;
    let (mut index, mut has_control) = (0, false);
    while let Some((name, size)) = ar_member(&mut file)? {
        let start = file.stream_position()?;
        let end = start.saturating_add(size);
        if end > length {
            return Err(DebReason::Truncated(name));
        }
        let mut content = (&mut file).take(size);
        if index == 0 {
            let mut version = String::new();
            let read = content.read_to_string(&mut version);
            if name != "debian-binary" || read.is_err() || !version.starts_with("2.") {
                return Err(DebReason::Format(
                    "its first member is not `debian-binary` of format 2",
                ));
            }
        } else if let Some(compression) = name.strip_prefix("control.tar") {
            let reader = decompress(compression, content, &name)?;
            extract_control(reader, &to.join("control"), &name)?;
            has_control = true;
        } else if let Some(compression) = name.strip_prefix("data.tar") {
            if !has_control {
                return Err(DebReason::Format(
                    "its data stands before its control files",
                ));
            }
            let mut reader = Limited {
                inner: decompress(compression, content, &name)?,
                left: MAX_DATA,
            };
            let mut out = fs::File::create(to.join("data.tar"))?;
            copy(&mut reader, &mut out, &name)?;
            out.flush()?;
            return Ok(());
        } else if !name.starts_with('_') {
            return Err(DebReason::Format("it has an unknown member"));
        }
        index += 1;
        file.seek(SeekFrom::Start(end + end % 2))?;
    }
    Err(DebReason::Format("it has no data"))
}

/// Name and size of the next member (ar(5)); `None` at the end.
fn ar_member(file: &mut BufReader<fs::File>) -> Result<Option<(String, u64)>, DebReason> {
    let mut header = [0; 60];
    let mut filled = 0;
    while filled < header.len() {
        match file.read(&mut header[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(DebReason::Truncated("ar header".into())),
            read => filled += read,
        }
    }
    if header[58..] != *b"`\n" {
        return Err(DebReason::Format("a member's header is damaged"));
    }
    let text = |range: std::ops::Range<usize>| {
        std::str::from_utf8(&header[range])
            .map(str::trim_end)
            .map_err(|_| DebReason::Format("a member's header is damaged"))
    };
    let name = text(0..16)?.trim_end_matches('/').to_owned();
    let size = text(48..58)?
        .parse()
        .map_err(|_| DebReason::Format("a member's size is no number"))?;
    Ok(Some((name, size)))
}

fn decompress<'a>(
    compression: &str,
    content: impl Read + 'a,
    name: &str,
) -> Result<Box<dyn Read + 'a>, DebReason> {
    Ok(match compression {
        "" => Box::new(content),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(content)),
        ".xz" => {
            // Debian's largest presets need 65 MiB; what needs a GiB is an attack.
            let stream =
                liblzma::stream::Stream::new_stream_decoder(1 << 30, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::from)?;
            Box::new(liblzma::read::XzDecoder::new_stream(content, stream))
        }
        ".zst" => Box::new(zstd::Decoder::new(content)?),
        _ => return Err(DebReason::Compression(name.to_owned())),
    })
}

fn extract_control(reader: impl Read, to: &Path, name: &str) -> Result<(), DebReason> {
    use std::os::unix::fs::PermissionsExt as _;
    // Small, and read whole first: so damage of the compression is told apart from the tar's.
    let mut bytes = Vec::new();
    let mut limited = Limited {
        inner: reader,
        left: MAX_CONTROL,
    };
    copy(&mut limited, &mut bytes, name)?;
    let tar = |source| DebReason::Tar {
        archive: "control.tar",
        source,
    };
    let mut reader = Reader::new(Streamed(&bytes[..]));
    let mut has_control = false;
    while let Some(member) = reader.next_member().map_err(tar)? {
        if member.node != Node::File {
            if member.path.is_empty() {
                continue;
            }
            return Err(DebReason::Format("a control member is no regular file"));
        }
        let file = std::str::from_utf8(&member.path)
            .ok()
            .filter(|path| !path.contains('/'))
            .ok_or(DebReason::Format("a control member has a bad name"))?
            .to_owned();
        let mut content = Vec::new();
        let mut buffer = [0; 1 << 12];
        loop {
            match reader.read_content(&mut buffer).map_err(tar)? {
                0 => break,
                read => content.extend_from_slice(&buffer[..read]),
            }
        }
        has_control |= file == "control";
        let path = to.join(file);
        fs::write(&path, content)?;
        let mode = 0o600 | member.mode & 0o777;
        fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    if !has_control {
        return Err(DebReason::Control("is missing".into()));
    }
    Ok(())
}

/// Yields at most so many bytes, then an error.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

fn copy<R: Read>(
    reader: &mut Limited<R>,
    out: &mut impl io::Write,
    member: &str,
) -> Result<(), DebReason> {
    let limit = reader.left;
    let mut buffer = vec![0; 1 << 18];
    loop {
        // Errors of reading are the package's fault, errors of writing the disk's.
        let read = reader
            .read(&mut buffer)
            .map_err(|source| match source.kind() {
                io::ErrorKind::FileTooLarge => DebReason::TooLarge {
                    member: member.to_owned(),
                    limit,
                },
                io::ErrorKind::UnexpectedEof => DebReason::Truncated(member.to_owned()),
                _ => DebReason::Damaged {
                    member: member.to_owned(),
                    source,
                },
            })?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read])?;
    }
}

fn exact(file: &mut impl Read, buffer: &mut [u8], what: &str) -> Result<(), DebReason> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DebReason::Truncated(what.to_owned()),
        _ => DebReason::Io(error),
    })
}

#[cfg(test)]
mod tests;
