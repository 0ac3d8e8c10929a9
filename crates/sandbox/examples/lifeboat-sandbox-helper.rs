//! A program that is nothing but a sandbox' process, for tests: their own `main` is not ours.

use std::process::ExitCode;

fn main() -> ExitCode {
    lifeboat_sandbox::helper_main().unwrap_or(ExitCode::FAILURE)
}
