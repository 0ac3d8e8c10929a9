//! The user's definition, found and read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use lifeboat_config::{Definition, Finding, finding_at};

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
}

impl Loaded {
    /// A finding about a value that only a later step could judge, at its place in the file.
    pub fn finding(
        &self,
        path: &str,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) -> Finding {
        let file = self.file.as_deref().unwrap_or(Path::new(DEFAULT));
        // One that is gone by now still has a first line.
        let bytes = fs::read(file).unwrap_or_default();
        let here = std::env::current_dir().unwrap_or_default();
        let name = file.strip_prefix(here).unwrap_or(file).display();
        finding_at(&name.to_string(), &bytes, path, code, message, hint)
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
            return Ok(Loaded {
                definition: Definition::default(),
                file: None,
                folder: std::path::absolute(".")?,
            });
        }
        Err(error) => return Err(error.into()),
    };
    let definition = lifeboat_config::parse(&path.display().to_string(), &bytes)?;
    let file = std::path::absolute(path)?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Loaded {
        definition,
        file: Some(file),
        folder,
    })
}
