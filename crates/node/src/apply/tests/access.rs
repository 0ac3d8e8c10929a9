//! Who may log in: keys of the configuration, of other machines, and k3OS' user.

use std::time::Duration;

use sha2::Digest as _;

use super::{
    super::{fetch::Patience, proxy::Proxies},
    server::{Answer, Server},
    *,
};
use crate::init::hex;

const ROOT: &str = "etc/ssh/authorized_keys.d/root";

fn fetcher(server: &Server) -> Fetcher {
    let patience = Patience {
        tries: 3,
        pause: Duration::from_millis(1),
        timeout: Duration::from_millis(500),
        total: Duration::from_secs(20),
    };
    let mut fetcher = Fetcher::new(b"", &Proxies::default(), patience);
    fetcher.github = server.url("/github");
    fetcher.gitlab = server.url("/gitlab");
    fetcher
}

fn keys(entries: &[&str]) -> NodeConfig {
    config(json!({ "ssh_authorized_keys": entries }))
}

fn lines(node: &Node) -> Vec<String> {
    node.read(ROOT).lines().map(str::to_owned).collect()
}

fn body(text: &str) -> Answer {
    Answer::Body(text.as_bytes().to_vec())
}

#[test]
fn keys_come_from_other_machines_and_a_failure_costs_that_entry_only() {
    let server = Server::new();
    server.answer("/github/me.keys", body(&format!("{OTHER}\n{KEY}\n\n")));
    server.answer(
        "/ok",
        Answer::First(503, format!("# mine\n{KEY} again\n").into()),
    );
    server.answer("/moved", Answer::Redirect("/ok".to_owned()));
    server.answer("/circle", Answer::Redirect("/circle".to_owned()));
    server.answer("/page", body("<html>ssh-rsa is a key type</html>"));
    server.answer("/garbage", Answer::Garbage);
    server.answer("/silence", Answer::Silence);
    server.answer("/endless", Answer::Endless);
    server.answer("/broken", Answer::Status(500));
    let urls: Vec<String> = [
        "/moved", "/circle", "/page", "/garbage", "/silence", "/endless",
    ]
    .iter()
    .chain(&["/broken", "/missing"])
    .map(|path| server.url(path))
    .collect();
    let mut entries = vec![KEY, "github:me", "gitlab:nobody"];
    entries.extend(urls.iter().map(String::as_str));
    let node = Node::new();
    let done = node.apply_with(
        Phase::Runtime,
        &keys(&entries),
        Some(&fetcher(&server)),
        Rancher::Absent,
    );
    // Each once, the first spelling of each.
    assert_eq!(lines(&node), [KEY, OTHER]);
    let failed = failures(&done, Step::SshKeys);
    let failed_at = |path: &str| {
        let whole = format!("no keys from {}:", server.url(path));
        failed.iter().find(|reason| reason.starts_with(&whole))
    };
    for (path, why) in [
        ("/circle", "redirects too often"),
        ("/page", "holds no keys"),
        ("/garbage", ""),
        ("/silence", "no answer in time"),
        ("/endless", "more than 1048576 bytes"),
        ("/broken", "answers 500"),
        ("/missing", "answers 404"),
        ("/gitlab/nobody.keys", "answers 404"),
    ] {
        let reason = failed_at(path).unwrap_or_else(|| panic!("{path}: {failed:?}"));
        assert!(reason.contains(why), "{reason}");
    }
    assert_eq!(failed.len(), 8, "{failed:?}");
    assert_eq!(server.asked("/broken"), 3);
    assert_eq!(server.asked("/missing"), 1);
    assert_eq!(server.asked("/moved"), 2);
}

#[test]
fn a_boot_without_network_keeps_the_keys_that_it_knows() {
    let server = Server::new();
    server.answer("/github/me.keys", body(OTHER));
    let node = Node::new();
    let mut config = keys(&["github:me"]);
    config.ssh_keys_exclusive = true;

    // Without a network the entry is put off, and nothing is known yet.
    let done = node.apply(Phase::Boot, &config);
    let later = &done
        .iter()
        .find(|done| done.step == Step::SshKeys)
        .unwrap()
        .later;
    assert_eq!(*later, ["https://github.com/me.keys"]);
    assert!(lines(&node).is_empty());

    let url = [server.url("/github/me.keys")];
    let mut config = keys(&[&url[0]]);
    config.ssh_keys_exclusive = true;
    let network = fetcher(&server);
    node.apply_with(Phase::Runtime, &config, Some(&network), Rancher::Absent);
    assert_eq!(lines(&node), [OTHER]);
    // The next boot: /etc is new, the network is not there yet, then its server is ill.
    fs::remove_file(node.path(ROOT)).unwrap();
    node.apply(Phase::Boot, &config);
    assert_eq!(lines(&node), [OTHER]);
    server.answer("/github/me.keys", Answer::Status(500));
    let done = node.apply_with(Phase::Runtime, &config, Some(&network), Rancher::Absent);
    assert_eq!(lines(&node), [OTHER]);
    assert!(failures(&done, Step::SshKeys)[0].ends_with("; those of the last time stay"));
    // The server says that there is no such user any more.
    server.answer("/github/me.keys", Answer::Status(404));
    node.apply_with(Phase::Runtime, &config, Some(&network), Rancher::Absent);
    assert!(lines(&node).is_empty());
}

#[test]
fn keys_stay_unless_only_those_of_the_configuration_count() {
    let node = Node::new();
    node.apply(Phase::Boot, &keys(&[KEY]));
    fs::remove_file(node.path(ROOT)).unwrap();
    node.apply(Phase::Boot, &keys(&[OTHER]));
    assert_eq!(lines(&node), [KEY, OTHER]);
    let settings = "etc/ssh/sshd_config.d/05-lifeboat-keys.conf";
    assert!(!node.path(settings).exists());

    let mut exclusive = keys(&[OTHER]);
    exclusive.ssh_keys_exclusive = true;
    node.apply(Phase::Runtime, &exclusive);
    assert_eq!(lines(&node), [OTHER]);
    assert!(
        node.read(settings)
            .contains("\nAuthorizedKeysFile /etc/ssh/authorized_keys.d/%u\n")
    );
    node.apply(Phase::Runtime, &keys(&[]));
    assert_eq!(lines(&node), [OTHER]);
    assert!(!node.path(settings).exists());
    assert_eq!(node.mode(ROOT), 0o600);
}

#[test]
fn those_who_come_from_k3os_log_in_as_rancher() {
    let node = Node::new();
    node.write("usr/bin/sudo", "");
    let mut config = keys(&[KEY]);
    config.password = Some("secret".parse().unwrap());
    for of in [Phase::Initrd, Phase::Boot, Phase::Boot, Phase::Runtime] {
        let done = node.apply_with(of, &config, None, Rancher::Wanted);
        assert!(done.iter().all(|done| done.failures.is_empty()), "{done:?}");
    }
    let passwd = node.read("etc/passwd");
    assert_eq!(
        passwd
            .matches("rancher:x:1000:1000:k3OS:/home/rancher:")
            .count(),
        1
    );
    assert_eq!(
        node.read("etc/group").matches("rancher:x:1000:\n").count(),
        1
    );
    assert!(node.read("etc/shadow").contains("\nrancher:$6$"));
    assert_eq!(
        node.read("etc/ssh/authorized_keys.d/rancher"),
        format!("{KEY}\n")
    );
    assert_eq!(node.mode("etc/ssh/authorized_keys.d/rancher"), 0o644);
    assert_eq!(lines(&node), [KEY]);
    assert_eq!(node.mode("home/rancher"), 0o700);
    assert_eq!(node.mode("etc/sudoers.d/90-rancher"), 0o440);

    let taken = Node::new();
    taken.write(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/:/bin/sh\n",
    );
    let done = taken.apply_with(Phase::Boot, &config, None, Rancher::Wanted);
    assert!(failures(&done, Step::Accounts)[0].contains("number 1000 is that of me"));
    assert_eq!(lines(&taken), [KEY]);
}

#[test]
fn files_of_the_network_are_checked_and_kept() {
    let server = Server::new();
    server.answer("/file", body("content"));
    let digest = hex(&sha2::Sha256::digest("content"));
    let wrong = hex(&sha2::Sha256::digest("other"));
    let url = server.url("/file");
    let secret = url.replace("http://", "http://me:hunter2@") + "?token=hunter3";
    let files = |digest: &str, url: &str| {
        let source = json!({"url": url, "sha256": digest});
        config(json!({"write_files": [
            {"path": "/opt/f", "source": source, "permissions": "0755"},
            {"path": "/opt/g", "content": "g"},
        ]}))
    };
    let node = Node::new();
    let network = fetcher(&server);
    let done = node.apply(Phase::Boot, &files(&digest, &url));
    let step = done.iter().find(|done| done.step == Step::Files).unwrap();
    assert_eq!((step.later.len(), step.failures.len()), (1, 0));
    assert!(!node.path("opt/f").exists());
    assert_eq!(node.read("opt/g"), "g");

    let done = node.apply_with(
        Phase::Runtime,
        &files(&wrong, &secret),
        Some(&network),
        Rancher::Absent,
    );
    let failed = failures(&done, Step::Files).join("\n");
    assert!(
        failed.contains(&digest) && failed.contains(&wrong),
        "{failed}"
    );
    assert!(!failed.contains("hunter"), "{failed}");
    assert!(!node.path("opt/f").exists());

    let upper = files(&digest.to_uppercase(), &url);
    node.apply_with(Phase::Runtime, &upper, Some(&network), Rancher::Absent);
    assert_eq!(
        (node.read("opt/f").as_str(), node.mode("opt/f")),
        ("content", 0o755)
    );
    // The next boot has it without a network; a damaged copy is fetched again.
    let asked = server.asked("/file");
    fs::remove_file(node.path("opt/f")).unwrap();
    node.apply(Phase::Boot, &upper);
    assert_eq!(node.read("opt/f"), "content");
    node.apply_with(Phase::Runtime, &upper, Some(&network), Rancher::Absent);
    assert_eq!(server.asked("/file"), asked);
    let cached = format!("var/lib/lifeboat/cache/files/{digest}");
    node.write(&cached, "damaged");
    node.apply_with(Phase::Runtime, &upper, Some(&network), Rancher::Absent);
    assert_eq!(node.read(&cached), "content");
    // What nothing names any more goes.
    node.apply(Phase::Boot, &NodeConfig::default());
    assert!(!node.path(&cached).exists());
}
