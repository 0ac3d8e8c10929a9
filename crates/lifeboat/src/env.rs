//! The environment variables that are read here; archive and machine read those of their
//! folders. `docs/reference/cli.md` has all of them.

/// The folder of keys and settings.
pub const CONFIG: &str = "LIFEBOAT_CONFIG";
/// The machine that verbs mean when none is named.
pub const NAME: &str = "LIFEBOAT_NAME";
