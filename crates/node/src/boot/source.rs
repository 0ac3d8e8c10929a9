//! Where a node's configuration comes from.

use std::path::Path;

use lifeboat_config::NodeConfig;
pub use lifeboat_config::layers::SourceState as Source;

use crate::{apply::Rancher, sources};

/// What the sources of a node say.
#[derive(Debug, Default)]
pub struct Found {
    /// The configuration.
    pub config: NodeConfig,
    /// Its sources, low to high.
    pub sources: Vec<Source>,
    /// Whether something of it is from a configuration of k3OS, whose users log in as its user.
    pub rancher: Rancher,
}

/// Reads all sources of this node. What cannot be used is left out and named; without any
/// source a node has the defaults.
pub fn read() -> Found {
    match sources::read(Path::new("/"), None) {
        Ok(inputs) => {
            let made = inputs.effective();
            let k3os = made.origins.values().flatten();
            let rancher = if k3os.into_iter().any(|origin| is_of_k3os(&origin.source)) {
                Rancher::Wanted
            } else {
                Rancher::Absent
            };
            Found {
                config: made.node,
                sources: made.sources,
                rancher,
            }
        }
        Err(error) => {
            let source = Source {
                name: "/".to_owned(),
                used: false,
                problems: vec![error.to_string()],
            };
            Found {
                sources: vec![source],
                ..Found::default()
            }
        }
    }
}

/// Whether a source is one that only k3OS has. What clouds hand in is read by both.
fn is_of_k3os(source: &str) -> bool {
    source == "cmdline" || source.starts_with("k3os/") || source.starts_with("var/lib/rancher/")
}
