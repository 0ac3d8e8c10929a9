//! What tests of several formats share.

use std::{ffi::OsStr, path::Path, process::Command};

/// Runs an outside tool on a file and returns all that it prints, or says that it is not there.
/// `LIFEBOAT_TEST_TOOLS` names the root of an unpacked tree to take tools from.
pub(crate) fn tool(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = command(program)?
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} fails: {text}");
    Some(text)
}

/// A command for an outside tool, if there is one.
pub(crate) fn command(program: &str) -> Option<Command> {
    let folders = ["usr/bin", "usr/sbin"];
    if let Some(root) = std::env::var_os("LIFEBOAT_TEST_TOOLS") {
        let root = Path::new(&root);
        for folder in folders {
            let path = root.join(folder).join(program);
            if path.is_file() {
                let mut command =
                    Command::new(root.join("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
                command
                    .arg("--library-path")
                    .arg(root.join("usr/lib/x86_64-linux-gnu"))
                    .arg("--argv0")
                    .arg(program)
                    .arg(path);
                return Some(command);
            }
        }
    }
    for folder in folders {
        let path = Path::new("/").join(folder).join(program);
        if path.is_file() {
            return Some(Command::new(path));
        }
    }
    eprintln!("skipped: no {} on this host", OsStr::new(program).display());
    None
}
