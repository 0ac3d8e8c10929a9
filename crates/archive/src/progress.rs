//! How a long operation tells what it does; this crate prints nothing itself.

/// Told about the steps of a long operation, from any thread.
pub trait Progress: Sync {
    /// A step starts that will move `total_bytes` bytes; 0 when that is not known.
    fn start(&self, what: &str, total_bytes: u64);
    /// `bytes` more bytes were moved.
    fn advance(&self, bytes: u64);
    /// The step is over.
    fn finish(&self);
    /// Something worth a line: a mirror that fails, a retry.
    fn note(&self, text: &str);
}

/// A [`Progress`] that nobody looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}
