//! What is at a place of the node, before and after a change.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// A file as a whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewFile {
    /// Its content.
    #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
    pub bytes: Vec<u8>,
    /// Its mode, special bits included.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl NewFile {
    /// A file of root.
    pub fn new(bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self {
            bytes: bytes.into(),
            mode,
            uid: 0,
            gid: 0,
        }
    }
}

impl fmt::Debug for NewFile {
    /// Without the content, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "file of {} bytes, mode {:04o}",
            self.bytes.len(),
            self.mode
        )
    }
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Nothing.
    Nothing,
    /// A file.
    File(NewFile),
    /// A file that is too large to be compared or kept.
    Large {
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link to this.
    Link(String),
    /// A folder.
    Folder {
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Neither file nor link nor folder.
    Other,
}

/// Something of the node that has a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// What is at a path.
    Path(String),
    /// A kernel setting, by its file below /proc/sys.
    Setting(String),
    /// The running kernel's host name.
    HostName,
    /// A kernel module that was not loaded, with its parameters.
    Module(String),
}

/// One change. It can be shown, and it can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Of what.
    pub subject: Subject,
    /// What was there; text of settings and names is a file's.
    pub before: Place,
    /// What is there now.
    pub after: Place,
}

/// Text as the content of a place.
pub(crate) fn text(value: &str) -> Place {
    Place::File(NewFile::new(value, 0o644))
}

fn as_base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
