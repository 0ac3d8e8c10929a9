//! The user's definition, found and read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use lifeboat_config::{Definition, Finding, Findings};

use crate::hint::Advised;

/// The file that is read when none is named.
const DEFAULT: &str = "lifeboat.yaml";

/// A definition and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The definition.
    pub definition: Definition,
    /// Its file; none if there is none, which means a definition without a line.
    pub file: Option<PathBuf>,
    /// The folder that relative paths in it, and the lock, are in.
    pub folder: PathBuf,
    /// The file as the user named it, for messages.
    name: String,
    /// What is in it.
    bytes: Vec<u8>,
}

impl Loaded {
    /// A definition from the bytes of a file called `name` in messages, which is in `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, bytes: Vec<u8>, folder: PathBuf) -> Result<Self, Findings> {
        Ok(Self {
            definition: lifeboat_config::parse(name, &bytes)?,
            file: None,
            folder,
            name: name.to_owned(),
            bytes,
        })
    }

    /// What a later step found about the value at `path`, with its place in the file.
    pub fn finding(
        &self,
        path: &str,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) -> Finding {
        lifeboat_config::finding_at(&self.name, &self.bytes, path, code, message, hint)
    }
}

/// Reads the named file, or `lifeboat.yaml` in this folder if that is there.
pub fn load(named: Option<&Path>) -> Result<Loaded> {
    let path = named.unwrap_or(Path::new(DEFAULT));
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if named.is_some() {
                return Err(Advised::new(
                    format!("there is no file `{}`", path.display()),
                    "an empty file is a whole definition; `lifeboat schema` lists its keys",
                ));
            }
            return Ok(Loaded::parse(
                DEFAULT,
                Vec::new(),
                std::path::absolute(".")?,
            )?);
        }
        Err(error) => return Err(error.into()),
    };
    let file = std::path::absolute(path)?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut loaded = Loaded::parse(&path.display().to_string(), bytes, folder)?;
    loaded.file = Some(file);
    Ok(loaded)
}
