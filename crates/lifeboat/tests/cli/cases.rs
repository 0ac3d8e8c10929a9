//! The acceptance cases that lie beside the project, if they do.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folder of the cases, or a word about its absence.
fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    if folder.join("run.py").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent", folder.display());
    None
}

/// Runs the cases of one file by their own runner.
fn all_pass(file: &str) {
    let Some(folder) = cases() else {
        return;
    };
    let run = Command::new("python3")
        .arg("-B")
        .arg(folder.join("run.py"))
        .args(["--bin", env!("CARGO_BIN_EXE_lifeboat")])
        .arg(folder.join(file))
        .stdin(Stdio::null())
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: python3 cannot be run: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn k3os_configurations_are_shown_as_the_cases_say() {
    all_pass("k3os.json");
}

#[test]
fn files_of_other_systems_are_converted_as_the_cases_say() {
    all_pass("convert.json");
}
