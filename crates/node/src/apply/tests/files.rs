//! `write_files`.

use std::os::unix::fs::symlink;

use super::{super::root, *};

fn write(node: &Node, files: &serde_json::Value) -> Vec<String> {
    let config = config(json!({ "write_files": files }));
    failures(&node.apply(Phase::Boot, &config), Step::Files)
}

#[test]
fn contents_are_decoded() {
    let node = Node::new();
    // `printf 'hello\n' | gzip -n | base64`
    let gzip = "H4sIAAAAAAAAA8tIzcnJ5wIAIDA6NgYAAAA=";
    let failed = write(
        &node,
        &json!([
            {"path": "/a", "content": "hello\n"},
            {"path": "/b", "content": "aGVs\n bG8K", "encoding": "b64"},
            {"path": "/c", "content": "aGVsbG8K", "encoding": "base64"},
            {"path": "/d", "content": gzip, "encoding": "gz+b64"},
            {"path": "/e", "content": gzip, "encoding": "gzip+base64"},
            {"path": "/bad", "content": "%", "encoding": "b64"},
            {"path": "/worse", "content": "aGVsbG8K", "encoding": "gz+b64"},
            {"path": "/f", "content": "hello\n"},
        ]),
    );
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(node.read(name), "hello\n", "{name}");
    }
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].starts_with("/bad is not written: the content is not base64"));
    assert!(!node.path("bad").exists() && !node.path("worse").exists());
}

#[test]
fn modes_have_special_bits_and_nothing_of_what_was_there_stays() {
    let node = Node::new();
    node.write("old", "a longer text than the new one");
    fs::set_permissions(node.path("old"), PermissionsExt::from_mode(0o600)).unwrap();
    node.write("target", "untouched");
    symlink("target", node.path("link")).unwrap();
    let failed = write(
        &node,
        &json!([
            {"path": "/old", "content": "new"},
            {"path": "/link", "content": "new"},
            {"path": "/setuid", "content": "", "permissions": "4755"},
            {"path": "/sticky", "content": "", "permissions": "0o1777"},
            {"path": "/plain", "content": "", "permissions": "644"},
        ]),
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(
        (node.read("old").as_str(), node.mode("old")),
        ("new", 0o644)
    );
    assert_eq!(node.read("target"), "untouched");
    assert!(fs::symlink_metadata(node.path("link")).unwrap().is_file());
    for (name, mode) in [("setuid", 0o4755), ("sticky", 0o1777), ("plain", 0o644)] {
        assert_eq!(node.mode(name), mode, "{name}");
    }
}

#[test]
fn missing_folders_are_made_and_a_file_in_the_way_costs_that_file_only() {
    let node = Node::new();
    node.write("file", "");
    symlink("nowhere", node.path("dangling")).unwrap();
    let failed = write(
        &node,
        &json!([
            {"path": "/file/below", "content": ""},
            {"path": "/dangling/x", "content": ""},
            {"path": "/etc", "content": ""},
            {"path": "/a/b/c", "content": "x"},
        ]),
    );
    assert_eq!(
        failed,
        [
            "/file/below is not written: /file is not a folder",
            "/dangling/x is not written: /dangling is not a folder",
            "/etc is not written: there is a folder of this name",
        ]
    );
    assert_eq!(node.read("a/b/c"), "x");
    assert_eq!((node.mode("a"), node.mode("a/b")), (0o755, 0o755));
}

#[test]
fn no_path_leads_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let node = Node::new();
    symlink(outside.path(), node.path("out")).unwrap();
    symlink("../../../../../../tmp", node.path("up")).unwrap();
    symlink("/etc", node.path("inside")).unwrap();
    let mut target = node.target(Mode::Apply);
    let file = || super::super::state::NewFile::new("x", 0o644);
    // What the types of a configuration refuse, a later one may let through.
    for path in ["/../../a", "b/../../../c", "rel", "//d//e/./f"] {
        target.put(path, file()).unwrap();
    }
    for path in ["a", "c", "rel", "d/e/f"] {
        assert_eq!(node.read(path), "x", "{path}");
    }
    target.put("/inside/motd", file()).unwrap();
    assert_eq!(node.read("etc/motd"), "x");
    // An absolute link means the same path in the root, where there is no such folder.
    assert!(target.put("/out/x", file()).is_err());
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    assert!(target.put("/up/lifeboat-escaped", file()).is_err());
    assert!(!Path::new("/tmp/lifeboat-escaped").exists());
    assert!(target.put("/", file()).is_err());
    assert!(target.put("/a/..", file()).is_err());
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let node = Node::new();
    node.write("folder/x", "");
    write(
        &node,
        &json!([
            {"path": "/folder", "content": "x"},
            {"path": "/ok", "content": "x"},
            {"path": format!("/{}", "n".repeat(255)), "content": "x"},
        ]),
    );
    let left: Vec<String> = node
        .tree()
        .into_keys()
        .filter(|path| path.contains(".lifeboat-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(node.read(&"n".repeat(255)), "x");
}

#[test]
fn owners_are_set_and_an_unknown_one_costs_that_file_only() {
    let node = Node::new();
    let failed = write(
        &node,
        &json!([
            {"path": "/a", "content": "", "owner": "adm"},
            {"path": "/b", "content": "", "owner": "nobody-there"},
            {"path": "/c", "content": "", "owner": "7:8", "permissions": "6755"},
            {"path": "/d", "content": "", "owner": "root:adm"},
        ]),
    );
    assert_eq!(
        failed,
        ["/b is not written: there is no user `nobody-there`"]
    );
    if !rustix::process::geteuid().is_root() {
        println!("owners are not looked at: only root can set them");
        return;
    }
    let owner = |path: &str| {
        let data = fs::metadata(node.path(path)).unwrap();
        (data.uid(), data.gid())
    };
    assert_eq!(
        (owner("a"), owner("c"), owner("d")),
        ((3, 4), (7, 8), (0, 4))
    );
    assert_eq!(node.mode("c"), 0o6755);
}

#[test]
fn a_file_of_the_user_wins_over_one_that_is_generated() {
    let node = Node::new();
    let own = "[Match]\nName=x\n";
    let config = config(json!({
        "hostname": "n1",
        "write_files": [
            {"path": "/etc/systemd/network/80-wired.network", "content": own},
            {"path": "/etc/hosts", "content": "mine\n"},
            {"path": "/etc/sysctl.d/90-lifeboat.conf", "content": "%", "encoding": "b64"},
        ],
    }));
    for of in [Phase::Initrd, Phase::Boot, Phase::Runtime, Phase::Runtime] {
        let done = node.apply(of, &config);
        assert_eq!(node.read("etc/systemd/network/80-wired.network"), own);
        assert_eq!(node.read("etc/hosts"), "mine\n");
        // One that cannot be written keeps nothing from being generated.
        assert!(
            node.read("etc/sysctl.d/90-lifeboat.conf")
                .contains("ip_forward")
        );
        if of == Phase::Runtime {
            let changed: usize = done.iter().map(|done| done.changed).sum();
            let rest: Vec<_> = done.iter().filter(|done| done.changed > 0).collect();
            assert_eq!(changed, 0, "{rest:?}");
        }
    }
}

#[test]
fn the_last_of_several_files_for_a_path_stays() {
    let node = Node::new();
    let files = json!([
        {"path": "/a", "content": "1"},
        {"path": "/a", "content": "2"},
        {"path": "/a", "content": "%", "encoding": "b64"},
    ]);
    write(&node, &files);
    assert_eq!(node.read("a"), "2");
    let again = node.apply(Phase::Boot, &config(json!({ "write_files": files })));
    assert_eq!(again.iter().map(|done| done.changed).sum::<usize>(), 0);
}

proptest::proptest! {
    #[test]
    fn any_path_stays_below_the_root(path in "(\\.\\.|\\.|/|a|é|\u{0}){0,12}") {
        let parts = root::parts(&path);
        proptest::prop_assert!(parts.iter().all(|part| !["", ".", ".."].contains(part)));
        proptest::prop_assert_eq!(root::normal(&root::normal(&path)), root::normal(&path));
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_generated_one() {
    let node = Node::new();
    node.write("etc/systemd/resolved.conf.d", "in the way");
    let with = |owner: &str| {
        config(json!({
            "ssh_authorized_keys": [KEY],
            "write_files": [
                {"path": "/etc/ssh/authorized_keys.d/root", "content": "mine", "owner": owner},
                {"path": "/etc/systemd/resolved.conf.d/x", "content": "mine"},
            ],
        }))
    };
    let keys = "etc/ssh/authorized_keys.d/root";
    for of in [Phase::Initrd, Phase::Boot, Phase::Runtime] {
        let done = node.apply(of, &with("nobody-knows"));
        assert_eq!(failures(&done, Step::Files).len(), 2, "{done:?}");
    }
    assert_eq!(node.read(keys), format!("{KEY}\n"));
    node.apply(Phase::Boot, &with("root"));
    assert_eq!(node.read(keys), "mine");
    // A later phase without the step knows by what is there.
    let known = with("root");
    let mut target = node.target(Mode::Apply);
    let job = Job {
        config: &known,
        facts: None,
        hostname: "n1",
        rancher: Rancher::Absent,
        fetcher: None,
        logs: node.folder.path(),
    };
    phase(Phase::Boot, &[Step::SshKeys], &job, &mut target, |_, _| {});
    assert_eq!(node.read(keys), "mine");
    fs::write(node.path(keys), "other").unwrap();
    phase(Phase::Boot, &[Step::SshKeys], &job, &mut target, |_, _| {});
    assert_eq!(node.read(keys), format!("{KEY}\n"));
}
