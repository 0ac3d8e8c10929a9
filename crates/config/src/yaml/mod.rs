//! YAML 1.2 (core schema) as values that know their place; [`legacy`] reads files of other
//! systems as their own readers do.
//!
//! What goes beyond saphyr's events: places of every value and key, limits against hostile
//! input (size, depth, aliases that multiply), duplicate keys as findings, and the source text
//! of plain scalars, so that `1.30` can be understood as a version.

mod dialect;
pub(crate) mod legacy;
mod reader;
mod resolve;
mod source;
mod tabs;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use reader::read;
pub(crate) use source::MOST_BYTES;
pub(crate) use value::{Data, Entry, Kind, Scalar, Span, Value};
