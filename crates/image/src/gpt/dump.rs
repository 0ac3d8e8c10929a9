//! Tables for people.

use std::fmt::Write as _;

use super::{Copy, SECTOR, Tables, kinds};

/// A table as text, one line per partition.
pub fn dump(tables: &Tables) -> String {
    let table = &tables.table;
    let mut text = format!(
        "GPT disk {}, {} bytes, {} copy",
        table.disk,
        table.sectors * SECTOR,
        match tables.from {
            Copy::Primary => "primary",
            Copy::Backup => "backup",
        }
    );
    if let Some(other) = &tables.other {
        let _ = write!(text, " (the other {other})");
    }
    text.push('\n');
    for partition in &table.partitions {
        let kind = kinds::name(&partition.kind)
            .map_or_else(|| partition.kind.to_string(), ToOwned::to_owned);
        let _ = writeln!(
            text,
            "{:>3}  offset {:>12}  size {:>12}  {}  {kind}  attributes {:#x}  `{}`",
            partition.number,
            partition.offset(),
            partition.size(),
            partition.id,
            partition.attributes,
            partition.label,
        );
    }
    text
}
