//! The data of a resource, as far as the document itself has it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256, Sha512};

use super::{super::tree::Node, data_url, url::Url};
use crate::{definition::node::WriteFile, finding::Place};

/// Where the data of a file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nowhere: no source is given.
    Nothing,
    /// In the document.
    Bytes(Vec<u8>),
    /// In the document, packed by gzip.
    Packed(Vec<u8>),
    /// On a server.
    Fetched {
        /// Its address.
        url: String,
        /// What it must be.
        sha256: String,
    },
}

/// Why data is not carried over, and which key is to blame.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) path: String,
    pub(crate) place: Place,
    pub(crate) message: String,
}

fn refuse<T>(node: &Node, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        path: node.path.clone(),
        place: node.place,
        message: message.into(),
    })
}

/// How much all packed data of one document may unpack to: a hostile one could go on for hours.
const MOST_UNPACKED: u64 = 256 << 20;

/// Reads resources.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    unpacked: u64,
}

impl Resources {
    /// The data of a resource that broke no rule.
    pub(crate) fn content(&mut self, resource: &Node) -> Result<Content, Refusal> {
        if let Some(local) = resource.get("local") {
            return refuse(
                local,
                "is a file beside the document, which is not read; write its content as `inline`",
            );
        }
        let bytes = if let Some(inline) = resource.text("inline") {
            inline.as_bytes().to_vec()
        } else {
            let Some(source) = resource.filled("source") else {
                return Ok(Content::Nothing);
            };
            if Url::parse(source).is_none_or(|url| url.scheme != "data") {
                return fetched(resource, source);
            }
            match data_url::decode(source) {
                Ok(bytes) => bytes,
                Err(flaw) => return refuse(resource.below("source"), flaw),
            }
        };
        let packed = resource.text("compression") == Some("gzip");
        let hash = resource.below("verification").text("hash");
        let found = if packed {
            self.unpack(resource, &bytes, hash)?
        } else {
            hash.and_then(|hash| sum(hash, &bytes))
        };
        if let (Some(hash), Some(found)) = (hash, found)
            && !hash
                .split_once('-')
                .is_some_and(|(_, wanted)| wanted.eq_ignore_ascii_case(&found))
        {
            return refuse(
                resource.below("verification").below("hash"),
                format!(
                    "is not the hash of the data{}, which is {found}; Ignition would fail at boot",
                    if packed { ", unpacked" } else { "" }
                ),
            );
        }
        Ok(if packed {
            Content::Packed(bytes)
        } else {
            Content::Bytes(bytes)
        })
    }

    /// Checks packed data; its hash once it is unpacked.
    fn unpack(
        &mut self,
        resource: &Node,
        bytes: &[u8],
        hash: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        let most = WriteFile::MOST_BYTES.min(MOST_UNPACKED - self.unpacked);
        let mut reader = MultiGzDecoder::new(bytes).take(most + 1);
        let mut hasher = Hasher::of(hash);
        let mut buffer = vec![0; 64 << 10];
        let mut size = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    size += count as u64;
                }
                Err(error) => {
                    return refuse(
                        resource.below("compression"),
                        format!("the data is not gzip ({error}); Ignition would fail at boot"),
                    );
                }
            }
        }
        self.unpacked += size.min(most);
        if size > most {
            return refuse(
                resource,
                format!(
                    "the data unpacks to more than {} MiB, all of the document to more than {} MiB, or both",
                    WriteFile::MOST_BYTES >> 20,
                    MOST_UNPACKED >> 20
                ),
            );
        }
        Ok(hasher.finish())
    }
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
    None,
}

impl Hasher {
    fn of(hash: Option<&str>) -> Self {
        match hash.and_then(|hash| hash.split_once('-')) {
            Some(("sha256", _)) => Self::Sha256(Sha256::new()),
            Some(("sha512", _)) => Self::Sha512(Sha512::new()),
            _ => Self::None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::None => {}
        }
    }

    fn finish(self) -> Option<String> {
        match self {
            Self::Sha256(hasher) => Some(hex(&hasher.finalize())),
            Self::Sha512(hasher) => Some(hex(&hasher.finalize())),
            Self::None => None,
        }
    }
}

fn sum(hash: &str, bytes: &[u8]) -> Option<String> {
    let mut hasher = Hasher::of(Some(hash));
    hasher.update(bytes);
    hasher.finish()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn fetched(resource: &Node, source: &str) -> Result<Content, Refusal> {
    let blame = resource.below("source");
    let scheme = Url::parse(source).map(|url| url.scheme);
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return refuse(
            blame,
            "files are fetched by http and https only; put the data into a data: URL, or serve it by https",
        );
    }
    if !resource.list("httpHeaders").is_empty() {
        return refuse(
            blame,
            "files are fetched without headers of one's own; put the data into a data: URL",
        );
    }
    if resource.filled("compression").is_some() {
        return refuse(
            blame,
            "a file that is fetched is not unpacked; serve it unpacked",
        );
    }
    match resource.below("verification").text("hash") {
        Some(hash) => match hash.split_once('-') {
            Some(("sha256", sum)) => Ok(Content::Fetched {
                url: source.to_owned(),
                sha256: sum.to_ascii_lowercase(),
            }),
            _ => refuse(
                blame,
                "a file is fetched only with a sha256 hash; give `verification.hash` as sha256-…",
            ),
        },
        None => refuse(
            blame,
            "a file is fetched only with a hash of it; add `verification.hash` as sha256-…",
        ),
    }
}
