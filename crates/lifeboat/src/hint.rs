//! What to do about an error: the crates below know, by the error's type.

use std::io;

use lifeboat_archive::{FetchError, LockError, ResolveError, Unsolvable};
use lifeboat_machine::{DiskError, FolderError, PortError, StartError, WaitError};

/// The caller was asked to end.
#[derive(Debug, thiserror::Error)]
#[error("ended by Ctrl-C")]
pub struct Interrupted;

/// An error of the command itself, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Advised {
    message: String,
    hint: String,
}

impl Advised {
    /// An error and what to do about it.
    #[expect(
        clippy::new_ret_no_self,
        reason = "it is only made to be returned as an error"
    )]
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
        .into()
    }
}

/// Whether the user ended it.
pub fn is_interrupt(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || matches!(cause.downcast_ref(), Some(WaitError::Cancelled))
            || matches!(cause.downcast_ref(), Some(FolderError::Cancelled))
            || matches!(cause.downcast_ref(), Some(FetchError::Cancelled))
    })
}

/// The hint of the first error in the chain that has one.
pub fn of(error: &anyhow::Error) -> Option<String> {
    macro_rules! hint_of {
        ($cause:ident, $($kind:ty),*) => {
            None$(.or_else(|| $cause.downcast_ref().and_then(<$kind>::hint)))*
        };
    }
    error
        .chain()
        .find_map(|cause| {
            let own = cause.downcast_ref::<Advised>();
            own.map(|error| error.hint.clone()).or_else(|| {
                hint_of!(
                    cause,
                    FolderError,
                    StartError,
                    DiskError,
                    PortError,
                    ResolveError,
                    LockError,
                    FetchError,
                    Unsolvable
                )
            })
        })
        .or_else(|| {
            error.chain().any(is_full).then(|| {
                "make room (`lifeboat cache gc`), or put the cache elsewhere with LIFEBOAT_CACHE"
                    .to_owned()
            })
        })
}

/// Whether the disk is full, by the error itself or by what a tool printed.
fn is_full(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error: Option<&io::Error> = cause.downcast_ref();
    error.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        || cause.to_string().contains("No space left on device")
}
