//! The definition and the node configuration: schema, parsing, rendering.
