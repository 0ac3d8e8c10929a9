//! Says what a hash area is, for a person.

use std::fmt::Write as _;

use lifeboat_archive::Digest;

use super::format::{BLOCK_SIZE, HashArea, levels, tree_size};

/// A hash area as text, one fact a line.
pub fn dump(area: &HashArea) -> String {
    let uuid = uuid::Uuid::from_bytes(area.parameters.uuid);
    let mut text = format!(
        "root hash    {}\nsalt         {}\nuuid         {uuid}\ndata blocks  {} of {BLOCK_SIZE} bytes\nhash offset  {}\nhash size    {}\n",
        area.root_hash,
        Digest(area.parameters.salt),
        area.data_blocks,
        area.offset,
        tree_size(area.data_blocks),
    );
    for (level, blocks) in levels(area.data_blocks).into_iter().enumerate().rev() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "level {level}      {blocks} blocks");
    }
    text
}
