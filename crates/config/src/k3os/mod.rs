//! k3OS' configuration, taken as it is: its files, its kernel command line, and how they merge.
//!
//! One bad value never costs more than itself, and nothing is dropped without a [`Warning`].
//!
//! ```
//! use lifeboat_config::k3os::{Input, Kind, merge};
//!
//! let merged = merge(&[
//!     Input::new("k3os/system/config.yaml", Kind::Yaml, b"hostname: one\nk3os: {tokn: x}\n"),
//!     Input::new("cmdline", Kind::CommandLine, b"quiet k3os.labels[zone]=b"),
//! ]);
//! assert_eq!(merged.config.hostname, "one");
//! assert_eq!(merged.config.k3os.labels["zone"], "b");
//! assert_eq!(merged.origins["k3os.labels"][0].source, "cmdline");
//! assert_eq!(
//!     merged.warnings[0].to_string(),
//!     "k3os/system/config.yaml: k3os.tokn: unknown key; did you mean \"token\"?; ignored (line 2, column 8)"
//! );
//! ```

mod command_line;
mod config;
mod file;
pub(crate) mod keys;
mod metadata;
#[cfg(test)]
mod tests;
mod warning;

use std::{collections::BTreeMap, fmt, mem};

pub use config::{Config, Install, K3os, WifiNetwork, WriteFile};
pub use warning::Warning;

use crate::finding::Place;
use keys::{Field, Key};
use warning::Warnings;

/// How a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A configuration file.
    Yaml,
    /// The kernel's command line.
    CommandLine,
    /// A host name of the metadata.
    Hostname,
    /// SSH keys of the metadata.
    Keys,
    /// A script, or a configuration file.
    Userdata,
}

/// A source that exists.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in warnings: the path below the root, or `cmdline`.
    pub name: String,
    /// How it is read.
    pub kind: Kind,
    /// Its bytes, or why they cannot be read.
    pub content: Result<Vec<u8>, String>,
}

impl Input {
    /// A source with its bytes.
    pub fn new(name: &str, kind: Kind, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            content: Ok(bytes.to_owned()),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sources hold secrets.
        let length = self.content.as_ref().map(Vec::len);
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("length", &length)
            .finish_non_exhaustive()
    }
}

/// Where a key was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source's name.
    pub source: String,
    /// The key's place, if the source is a YAML file.
    pub place: Option<Place>,
    /// Whether the source erased what others had set.
    pub erased: bool,
}

/// What all sources together say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The configuration.
    pub config: Config,
    /// What was passed over, source by source.
    pub warnings: Vec<Warning>,
    /// Which sources set each key, such as `k3os.install.device`, from low to high: the last
    /// one is in force.
    pub origins: BTreeMap<String, Vec<Origin>>,
}

/// What a source makes of a key.
#[derive(Clone, PartialEq, Eq)]
enum New {
    Text(String),
    Flag(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Files(Vec<WriteFile>),
    Wifi(Vec<WifiNetwork>),
    Erased,
}

struct Change {
    key: &'static Key,
    new: New,
    place: Option<Place>,
}

/// Merges sources, from low to high priority.
pub fn merge(inputs: &[Input]) -> Merged {
    let mut merged = Merged::default();
    for input in inputs {
        let mut warnings = Warnings::new(&input.name);
        let changes = match &input.content {
            Err(why) => {
                warnings.unreadable(None, why);
                Vec::new()
            }
            Ok(bytes) => match input.kind {
                Kind::Yaml => file::read(bytes, &mut warnings),
                Kind::CommandLine => command_line::read(bytes, &mut warnings),
                Kind::Hostname => metadata::hostname(bytes, &mut warnings),
                Kind::Keys => metadata::keys(bytes, &mut warnings),
                Kind::Userdata => metadata::userdata(bytes, &mut warnings),
            },
        };
        for change in changes {
            let origin = Origin {
                source: input.name.clone(),
                place: change.place,
                erased: change.new == New::Erased,
            };
            merged.apply(change.key, change.new, &origin);
        }
        merged.warnings.append(&mut warnings.finish());
    }
    merged
}

impl Merged {
    fn apply(&mut self, key: &'static Key, new: New, origin: &Origin) {
        let config = &mut self.config;
        match (key.field, new) {
            (Field::Section(section), New::Erased) => {
                for key in section.keys() {
                    self.apply(key, New::Erased, origin);
                }
                return;
            }
            (Field::Text(field), New::Text(text)) => *field(config) = text,
            (Field::Flag(field), New::Flag(flag)) => *field(config) = flag,
            (Field::List(field), New::List(list)) => *field(config) = list,
            (Field::Map(field), New::Map(map)) => *field(config) = map,
            (Field::Files(field), New::Files(files)) => *field(config) = files,
            (Field::Wifi(field), New::Wifi(wifi)) => *field(config) = wifi,
            (field, _) => {
                // An erased section erases what is in it; what nobody set has no history.
                if !self.origins.contains_key(key.path) {
                    return;
                }
                match field {
                    Field::Text(field) => drop(mem::take(field(config))),
                    Field::Flag(field) => *field(config) = false,
                    Field::List(field) => field(config).clear(),
                    Field::Map(field) => field(config).clear(),
                    Field::Files(field) => field(config).clear(),
                    Field::Wifi(field) => field(config).clear(),
                    Field::Section(_) => {}
                }
            }
        }
        let origins = self.origins.entry(key.path.to_owned()).or_default();
        origins.push(origin.clone());
    }
}

/// Truth values of the command line, also as texts in files; k3OS knew `true` only.
fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
