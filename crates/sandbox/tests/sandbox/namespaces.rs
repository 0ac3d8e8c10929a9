use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use lifeboat_archive::{Cache, Digest, MergeOptions, Tree, merge};
use lifeboat_sandbox::{
    ConfigureError, Network, Ownership, Sandbox, ToolsError, ToolsTree, configure, materialise,
};

use crate::{chain, is_root, set_helper};

fn shell(sandbox: &Sandbox, script: &str) -> (u8, String, String) {
    set_helper();
    let output = sandbox
        .output(Command::new("/bin/sh").args(["-c", script]))
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    (
        output.code,
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_sandbox_is_apart_from_its_host() {
    let (code, stdout, stderr) = shell(
        &Sandbox::new(),
        "id -u; uname -n; tail -n +3 /proc/net/dev | wc -l; ls -d /proc/[0-9]* | wc -l; \
         read line || echo no input; echo trouble >&2; exit 7",
    );
    let lines: Vec<&str> = stdout.lines().map(str::trim).collect();
    assert_eq!(lines[..3], ["0", "localhost", "1"], "{stdout} {stderr}");
    // Process 1, the shell, and those that count.
    assert!(lines[3].parse::<u32>().unwrap() <= 5, "{stdout}");
    assert_eq!(
        (code, lines[4], stderr.as_str()),
        (7, "no input", "trouble\n")
    );
}

#[test]
fn mounts_are_seen_inside_only() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for path in [&from, &to] {
        std::fs::create_dir(path).unwrap();
    }
    std::fs::write(from.join("file"), "content").unwrap();
    let sandbox = Sandbox::new().bind(&from, &to).tmpfs(&from);
    let script = format!("cat {}/file; ls -A {}", to.display(), from.display());
    assert_eq!(shell(&sandbox, &script).1, "content");
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
    let own = std::fs::read_to_string("/proc/net/dev").unwrap();
    let (_, seen, _) = shell(&Sandbox::new().network(Network::Host), "cat /proc/net/dev");
    assert_eq!(seen.lines().count(), own.lines().count());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    set_helper();
    let error = Sandbox::new()
        .output(&Command::new("/no/such/program"))
        .unwrap_err();
    assert!(
        chain(&error).contains("cannot start `/no/such/program`"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_program_ended_by_a_signal_is_told_as_shells_do() {
    assert_eq!(shell(&Sandbox::new(), "kill -9 $$").0, 137);
}

#[test]
fn a_sandbox_ends_with_the_process_that_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    // A process of its own that makes a sandbox which holds the pipe open for writing.
    let task = serde_json::json!({
        "user_namespace": false,
        "network": "None",
        "task": {"Run": {
            "mounts": [], "root": null, "program": "/bin/sh",
            "arguments": ["-c", format!("exec 3>{}; exec sleep 1000", fifo.display())],
            "environment": [], "folder": null,
        }},
    });
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let mut outside = Command::new(crate::built_helper())
        .args(["--lifeboat-sandbox", "outside", &task.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(outside.stdin.as_mut().unwrap(), b"g").unwrap();
    // Opening waits for the writer; reading ends when nobody has it open any more.
    let mut pipe = std::fs::File::open(&fifo).unwrap();
    outside.kill().unwrap();
    outside.wait().unwrap();
    let start = Instant::now();
    std::io::Read::read_to_end(&mut pipe, &mut Vec::new()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_tree_is_laid_out_as_it_is() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    tree.write("a/file", 0o4640, "content").unwrap();
    tree.link(b"a/hard", b"a/file").unwrap();
    tree.symlink("soft", "a/file").unwrap();
    tree.mkdir("closed", 0o500).unwrap();
    tree.write("closed/inside", 0o400, "x").unwrap();
    tree.get_mut("a/file").unwrap().mtime = 1234;
    tree.get_mut("closed").unwrap().mtime = 5678;
    let root = folder.path().join("root");
    materialise(&tree, &root, Ownership::Ignore).unwrap();
    let file = root.join("a/file").metadata().unwrap();
    assert_eq!(
        (file.mode() & 0o7777, file.mtime(), file.nlink()),
        (0o640, 1234, 2)
    );
    assert_eq!(
        std::fs::read_link(root.join("soft")).unwrap(),
        Path::new("a/file")
    );
    let closed = root.join("closed").metadata().unwrap();
    assert_eq!((closed.mode() & 0o7777, closed.mtime()), (0o700, 5678));
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn tools_without_a_loader_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let error = ToolsTree::materialise(&cache, &[]).unwrap_err();
    assert!(matches!(error, ToolsError::NoLoader), "{error}");
}

#[test]
fn a_tree_that_cannot_be_configured_says_why_and_leaves_nothing() {
    set_helper();
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let tree = merge(&[], &MergeOptions::unpacked()).unwrap();
    for _ in 0..2 {
        let error = configure(&cache, &tree, &Digest::of("x")).unwrap_err();
        assert!(matches!(error, ConfigureError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("cannot start `dpkg`"), "{error}");
    }
    let left: Vec<_> = cache.entries().unwrap();
    assert_eq!(left, []);
}
