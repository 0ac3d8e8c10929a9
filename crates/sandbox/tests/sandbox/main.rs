//! Sandboxes and tools as their users have them.

mod namespaces;
mod real;

/// Sandboxes become processes of our helper program.
fn set_helper() {
    lifeboat_sandbox::set_helper(env!("CARGO_BIN_EXE_lifeboat-sandbox-helper"));
}

/// An error with its causes, as a person would see it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}
