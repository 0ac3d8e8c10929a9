//! Sandboxes and tools as their users have them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure ends the test, and measurements are to be seen"
)]

mod namespaces;
mod real;

/// Where the helper program is, for a test that runs itself as another user.
const HELPER: &str = "LIFEBOAT_TEST_HELPER";

/// Sandboxes become processes of our helper program.
fn set_helper() {
    let built = built_helper().into_os_string();
    lifeboat_sandbox::set_helper(std::env::var_os(HELPER).unwrap_or(built));
}

/// The example of that name, which cargo builds for tests. It is no program of the package, as
/// `cargo run` must find one alone in the workspace.
fn built_helper() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(std::path::Path::parent).unwrap();
    profile.join("examples/lifeboat-sandbox-helper")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// An error with its causes, as a person would see it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        parts.push(source.to_string());
        next = source.source();
    }
    parts.join(": ")
}
