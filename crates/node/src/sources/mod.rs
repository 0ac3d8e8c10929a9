//! The files that a node's configuration comes from, read below a root.
//!
//! Any user may read any root with it: a mounted disk, an unpacked image, a copy of a node's
//! files. Nothing outside the root is read, whatever links say, and nothing is waited for.

mod native;
mod root;

use std::path::Path;

use lifeboat_config::{
    Effective, NativeInput, effective,
    k3os::{Input, Kind},
};

use root::Root;
pub use root::RootError;

/// The sources that exist, from low to high priority.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// k3OS' own.
    pub k3os: Vec<Input>,
    /// Lifeboat's own, which go above those of k3OS.
    pub native: Vec<NativeInput>,
}

impl Inputs {
    /// What they say together.
    pub fn effective(&self) -> Effective {
        effective(&self.k3os, &self.native)
    }
}

/// The kernel's command line below the root.
const COMMAND_LINE: &str = "proc/cmdline";
/// Its name in warnings.
const COMMAND_LINE_NAME: &str = "cmdline";
/// k3OS' files, but those of [`CONFIG_D`], which come last.
const K3OS: [(&str, Kind); 6] = [
    ("k3os/system/config.yaml", Kind::Yaml),
    (COMMAND_LINE, Kind::CommandLine),
    ("var/lib/rancher/k3os/config.yaml", Kind::Yaml),
    ("run/config/local_hostname", Kind::Hostname),
    ("run/config/ssh/authorized_keys", Kind::Keys),
    ("run/config/userdata", Kind::Userdata),
];
/// The folder of which k3OS reads every file, in the order of the names' bytes.
const CONFIG_D: &str = "var/lib/rancher/k3os/config.d";

/// Reads all sources below `root`; `command_line` stands in for the kernel's.
///
/// A source that cannot be read is there with the reason.
///
/// # Errors
/// [`RootError`] if `root` is no folder that can be opened.
pub fn read(root: &Path, command_line: Option<&[u8]>) -> Result<Inputs, RootError> {
    let mut root = Root::open(root)?;
    let mut k3os = Vec::new();
    for (path, kind) in K3OS {
        let (name, content) = match (kind, command_line) {
            (Kind::CommandLine, Some(text)) => (COMMAND_LINE_NAME, Some(Ok(text.to_owned()))),
            (Kind::CommandLine, None) => (COMMAND_LINE_NAME, root.read(path)),
            _ => (path, root.read(path)),
        };
        k3os.extend(content.map(|content| Input {
            name: name.to_owned(),
            kind,
            content,
        }));
    }
    k3os.extend(
        root.read_all(CONFIG_D)
            .into_iter()
            .map(|(name, content)| Input {
                name,
                kind: Kind::Yaml,
                content,
            }),
    );
    let native = native::read(&mut root);
    Ok(Inputs { k3os, native })
}
