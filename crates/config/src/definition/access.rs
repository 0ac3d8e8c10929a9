//! Defaults of text types.

use std::str::FromStr;

use super::formats::Refusal;

/// A value that is written in this crate and known to be valid; the test of the defaults reads
/// each.
pub(super) fn known<T: FromStr<Err = Refusal>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|refusal| unreachable!("the default {text:?}: {refusal}"))
}
