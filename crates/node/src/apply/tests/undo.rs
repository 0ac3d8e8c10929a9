//! Dry runs and trials.

use std::time::Duration;

use super::{
    super::{
        diff::{Secrets, show},
        journal,
        trial::Desk,
    },
    *,
};

/// A node with an earlier configuration applied, and a later one.
fn changed() -> (Node, NodeConfig) {
    let node = Node::new();
    modules(&node);
    let before = config(json!({
        "hostname": "old",
        "ssh_authorized_keys": [OTHER],
        "write_files": [{"path": "/etc/motd", "content": "hi\n", "permissions": "0600"}],
        "environment": {"A": "1"},
        "sysctls": {"kernel.printk": "1 1 1 1"},
    }));
    node.apply(Phase::Boot, &before);
    let mut later = full();
    later.run_cmd = vec![
        format!("touch {}", node.path("ran").display())
            .parse()
            .unwrap(),
    ];
    (node, later)
}

#[test]
fn a_dry_run_shows_the_changes_and_makes_none() {
    let (node, later) = changed();
    let before = node.tree();
    let mut target = node.target(Mode::DryRun);
    let done = node.apply_to(&mut target, Phase::Runtime, &later, None, Rancher::Wanted);
    let shown = show(&target.changes, &Secrets::of(&later));
    assert_eq!(node.tree(), before);
    assert_eq!(*node.kernel.name.lock().unwrap(), "old");
    assert!(node.kernel.loaded.lock().unwrap().is_empty());
    assert!(done.iter().all(|done| done.failures.is_empty()), "{done:?}");
    for wanted in [
        "hostname: old -> n1.lan\n",
        "sysctl kernel/printk: 1 1 1 1 -> 4 4 1 7\n",
        "module bonding: load mode=4 miimon=100\n",
        "-127.0.1.1 old\n+127.0.1.1 n1.lan n1\n",
        "/opt/a/b: nothing -> file 4755 0:0\n",
        "/etc/motd: file 0600 0:0 -> file 0644 0:0\n",
        "FallbackDNS=1.1.1.1\n",
        "+rancher:x:1000:1000:",
        "http://me:…@proxy:3128",
        &format!("+{KEY}\n"),
    ] {
        let wanted = if rustix::process::geteuid().is_root() {
            wanted.to_owned()
        } else {
            wanted.split(" 0:0").next().unwrap().to_owned()
        };
        assert!(shown.contains(&wanted), "{wanted} is not in:\n{shown}");
    }
    for secret in ["secret", "plain text", "$6$", "run/lifeboat"] {
        assert!(!shown.contains(secret), "{secret} is in:\n{shown}");
    }
}

#[test]
fn a_trial_is_taken_back_as_a_whole() {
    let (node, later) = changed();
    let before = node.tree();
    let desk = Desk::new(node.path("run/lifeboat"));
    let turn = desk.turn().unwrap();
    let begun = desk.begin(&turn, Duration::from_mins(5), |limit| {
        assert_eq!(limit, Duration::from_mins(5));
        Ok(())
    });
    let mut target = node.target(Mode::Trial(begun.unwrap()));
    node.apply_to(&mut target, Phase::Runtime, &later, None, Rancher::Wanted);
    assert!(target.changes.len() > 10);
    assert_eq!(node.read("opt/a/b"), "hello");
    assert_eq!(node.mode("run/lifeboat/trial.jsonl"), 0o600);
    assert!(!node.path("ran").exists());
    assert!(desk.is_open());

    let root = Root::open(node.folder.path()).unwrap();
    let (changes, failed) = desk.take_back(&turn, &root, &node.kernel).unwrap().unwrap();
    assert!(failed.is_empty() && !changes.is_empty(), "{failed:?}");
    assert!(!desk.is_open());
    fs::remove_file(node.path("run/lifeboat/apply.lock")).unwrap();
    assert_eq!(node.tree(), before);
    assert_eq!(*node.kernel.name.lock().unwrap(), "old");
    assert!(
        desk.take_back(&turn, &root, &node.kernel)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_trial_that_is_confirmed_stays() {
    let (node, later) = changed();
    let desk = Desk::new(node.path("run/lifeboat"));
    let turn = desk.turn().unwrap();
    assert!(!desk.confirm(&turn).unwrap());
    let journal = desk
        .begin(&turn, Duration::from_secs(1), |_| Ok(()))
        .unwrap();
    let mut target = node.target(Mode::Trial(journal));
    node.apply_to(&mut target, Phase::Runtime, &later, None, Rancher::Absent);
    // Only one at a time.
    assert!(
        desk.begin(&turn, Duration::from_secs(1), |_| Ok(()))
            .is_err()
    );
    assert!(desk.confirm(&turn).unwrap());
    let root = Root::open(node.folder.path()).unwrap();
    assert!(
        desk.take_back(&turn, &root, &node.kernel)
            .unwrap()
            .is_none()
    );
    assert_eq!(node.read("opt/a/b"), "hello");
}

#[test]
fn a_trial_that_nothing_would_end_does_not_begin() {
    let node = Node::new();
    let desk = Desk::new(node.path("run/lifeboat"));
    let turn = desk.turn().unwrap();
    let refused = desk.begin(&turn, Duration::from_secs(1), |_| {
        Err(io::Error::other("no systemd"))
    });
    assert_eq!(refused.unwrap_err().to_string(), "no systemd");
    assert!(!desk.is_open());
}

#[test]
fn a_trial_that_broke_off_is_taken_back_as_far_as_it_came() {
    let (node, later) = changed();
    let before = node.tree();
    let desk = Desk::new(node.path("run/lifeboat"));
    let turn = desk.turn().unwrap();
    let journal = desk
        .begin(&turn, Duration::from_secs(1), |_| Ok(()))
        .unwrap();
    let mut target = node.target(Mode::Trial(journal));
    node.apply_to(&mut target, Phase::Runtime, &later, None, Rancher::Absent);
    // The last note is cut in half, as if its change was never made: put it back by hand.
    let path = node.path("run/lifeboat/trial.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let noted = journal::read(&path).unwrap();
    let last = noted.last().unwrap();
    let root = Root::open(node.folder.path()).unwrap();
    journal::take_back(&root, &node.kernel, std::slice::from_ref(last));
    let half = text.trim_end().len() - 5;
    fs::write(&path, &text[..half]).unwrap();
    assert_eq!(journal::read(&path).unwrap().len(), noted.len() - 1);
    let (_, failed) = desk.take_back(&turn, &root, &node.kernel).unwrap().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    fs::remove_file(node.path("run/lifeboat/apply.lock")).unwrap();
    assert_eq!(node.tree(), before);
}
