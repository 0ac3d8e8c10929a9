//! What tests of several formats share.

use std::{ffi::OsStr, path::Path, process::Command};

use lifeboat_archive::Cache;
use lifeboat_sandbox::ToolsTree;

/// The cache of the user who runs the tests: packages are the same for all.
pub(crate) fn cache() -> Cache {
    Cache::open(Cache::default_root(|name| std::env::var_os(name)).unwrap()).unwrap()
}

/// Runs an outside tool on a file and returns all that it prints, or says that it is not there.
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

/// A command for an outside tool of this host, or of the tools in the cache, if there is one.
pub(crate) fn command(program: &str) -> Option<Command> {
    let folders = ["usr/bin", "usr/sbin"];
    let inside = |root: &Path| {
        let mut paths = folders.iter().map(|folder| root.join(folder).join(program));
        paths.find(|path| path.is_file())
    };
    if let Some(path) = inside(Path::new("/")) {
        return Some(Command::new(path));
    }
    let trees = cache().entries_of("tools").unwrap();
    if let Some(tree) = trees.iter().find(|tree| inside(&tree.path).is_some()) {
        return Some(ToolsTree::open(&tree.path).unwrap().command(program));
    }
    eprintln!("skipped: no {} on this host", OsStr::new(program).display());
    None
}
