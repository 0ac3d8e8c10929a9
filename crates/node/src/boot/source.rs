//! Where a node's configuration comes from.

use std::path::Path;

use lifeboat_config::NodeConfig;
pub use lifeboat_config::layers::SourceState as Source;

use crate::sources;

/// Reads all sources of this node. What cannot be used is left out and named; without any
/// source a node has the defaults.
pub fn read() -> (NodeConfig, Vec<Source>) {
    match sources::read(Path::new("/"), None) {
        Ok(inputs) => {
            let made = inputs.effective();
            (made.node, made.sources)
        }
        Err(error) => {
            let source = Source {
                name: "/".to_owned(),
                used: false,
                problems: vec![error.to_string()],
            };
            (NodeConfig::default(), vec![source])
        }
    }
}
