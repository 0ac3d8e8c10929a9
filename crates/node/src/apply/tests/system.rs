//! Kernel, names, environment, passwords.

use super::{super::crypt, *};

#[test]
fn modules_are_loaded_with_what_they_need_and_errors_cost_one_only() {
    let node = Node::new();
    modules(&node);
    let config = config(json!({
        "modules": ["bonding mode=4 miimon=100", "broken", "nope", "ext4", "net-pf-9"],
    }));
    let done = node.apply(Phase::Boot, &config);
    assert_eq!(
        *node.kernel.loaded.lock().unwrap(),
        ["tls", "bonding mode=4 miimon=100"]
    );
    assert_eq!(
        failures(&done, Step::Modules),
        [
            "nope: this kernel has no such module, neither as a file nor built in",
            "cannot load broken: Invalid module format"
        ]
    );
}

#[test]
fn settings_are_set_one_by_one() {
    let node = Node::new();
    let config = config(json!({
        "sysctls": {
            "kernel/printk": "3 4 1 7",
            "net.ipv4.conf.eth0.5.forwarding": "1",
            "no.such": "1",
            "net.ipv4.ip_forward": "2",
        },
    }));
    let done = node.apply(Phase::Boot, &config);
    assert_eq!(node.read("proc/sys/kernel/printk"), "3 4 1 7");
    assert_eq!(node.read("proc/sys/net/ipv4/conf/eth0.5/forwarding"), "1");
    assert_eq!(node.read("proc/sys/net/ipv4/ip_forward"), "2");
    let failed = failures(&done, Step::Sysctls);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("cannot set no.such: this kernel has no such setting"));
    // What the kernel separates by tabs is the same.
    node.write("proc/sys/kernel/printk", "3\t4\t1\t7\n");
    node.apply(Phase::Runtime, &config);
    assert_eq!(node.read("proc/sys/kernel/printk"), "3\t4\t1\t7\n");
}

#[test]
fn the_host_name_is_in_the_kernel_and_in_files() {
    let node = Node::new();
    node.apply(Phase::Initrd, &config(json!({"hostname": "n1"})));
    assert_eq!(*node.kernel.name.lock().unwrap(), "n1");
    assert_eq!(node.read("etc/hostname"), "n1\n");
    assert!(node.read("etc/hosts").contains("127.0.1.1 n1\n"));
    let more = node.read("etc/hosts") + "10.0.0.1 nas\n";
    node.write("etc/hosts", &more);
    node.apply(Phase::Runtime, &config(json!({"hostname": "n2"})));
    assert_eq!(node.read("etc/hosts"), more.replace("n1", "n2"));
}

#[test]
fn a_password_is_a_hash_or_hashed_and_none_changes_nothing() {
    let node = Node::new();
    let root = |node: &Node| {
        let text = node.read("etc/shadow");
        let line = text.lines().find(|line| line.starts_with("root:")).unwrap();
        line.split(':').nth(1).unwrap().to_owned()
    };
    node.apply(Phase::Boot, &config(json!({"password": "$6$salt$hash"})));
    assert_eq!(root(&node), "$6$salt$hash");
    node.apply(Phase::Runtime, &NodeConfig::default());
    assert_eq!(root(&node), "$6$salt$hash");
    node.apply(Phase::Runtime, &config(json!({"password": "plain"})));
    assert!(crypt::fits("plain", &root(&node)));
    let hash = root(&node);
    node.apply(Phase::Runtime, &config(json!({"password": "plain"})));
    assert_eq!(root(&node), hash);
    assert!(node.read("etc/shadow").contains("adm:*:"));
    // A boot begins with none.
    node.apply(Phase::Boot, &NodeConfig::default());
    assert_eq!(root(&node), "*");
}

#[test]
fn what_a_later_configuration_does_not_have_is_taken_away() {
    let node = Node::new();
    let first = config(json!({
        "environment": {"A": "x y", "B": "$HOME `id`"},
        "ntp_servers": ["ntp.example.org"],
    }));
    node.apply(Phase::Boot, &first);
    assert!(node.path("etc/environment").exists());
    let done = node.apply(Phase::Runtime, &NodeConfig::default());
    assert!(done.iter().all(|done| done.failures.is_empty()), "{done:?}");
    for path in [
        "etc/environment",
        "etc/systemd/system.conf.d/90-lifeboat.conf",
        "etc/systemd/timesyncd.conf.d/90-lifeboat.conf",
    ] {
        assert!(!node.path(path).exists(), "{path}");
    }
    assert!(node.path("etc/systemd/network/80-wired.network").exists());
}

#[test]
fn consoles_ask_only_where_there_is_a_password() {
    let node = Node::new();
    let unit = "etc/systemd/system/serial-getty@.service";
    node.apply(Phase::Boot, &NodeConfig::default());
    assert_eq!(
        fs::read_link(node.path(unit)).unwrap(),
        Path::new("/dev/null")
    );
    node.apply(Phase::Runtime, &config(json!({"password": "x"})));
    assert!(fs::symlink_metadata(node.path(unit)).is_err());
    node.apply(Phase::Runtime, &config(json!({"password": "*"})));
    assert!(fs::symlink_metadata(node.path(unit)).is_ok());
    let users = json!({"password": "!", "users": [{"name": "ann", "password": "$6$a$b"}]});
    node.apply(Phase::Runtime, &config(users));
    assert!(fs::symlink_metadata(node.path(unit)).is_err());
}

#[test]
fn commands_run_in_their_lists_and_the_environment_does_not_reach_them() {
    let node = Node::new();
    let out = node.path("out");
    let say = |what: &str| format!("echo \"{what} $SECRET\" >> {}", out.display());
    let config = config(json!({
        "environment": {"SECRET": "x"},
        "proxy": {"http": "http://p:3128"},
        "init_cmd": [say("init")],
        "boot_cmd": [say("boot"), "false", say("never")],
        "run_cmd": [say("run $http_proxy")],
    }));
    node.apply(Phase::Initrd, &config);
    let done = node.apply(Phase::Boot, &config);
    node.apply(Phase::Runtime, &config);
    assert_eq!(node.read("out"), "init \nboot \nrun http://p:3128 \n");
    assert_eq!(failures(&done, Step::BootCommands).len(), 1);
}

#[test]
fn users_keep_their_numbers_over_boots() {
    let node = Node::new();
    let first = config(json!({
        "groups": [{"name": "ops", "gid": 2000}],
        "users": [
            {"name": "ann", "groups": ["ops"], "password": "plain", "ssh_authorized_keys": [KEY]},
            {"name": "bob"},
        ],
        "write_files": [{"path": "/home/bob/f", "content": "", "owner": "bob"}],
    }));
    let done = node.apply(Phase::Initrd, &first);
    assert!(done.iter().all(|done| done.failures.is_empty()), "{done:?}");
    node.apply(Phase::Boot, &first);
    let again = node.apply(Phase::Runtime, &first);
    assert_eq!(
        again.iter().map(|done| done.changed).sum::<usize>(),
        0,
        "{again:?}"
    );
    let number = |node: &Node, name: &str| {
        let text = node.read("etc/passwd");
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")));
        line.map(|line| line.split(':').nth(2).unwrap().to_owned())
    };
    let bob = number(&node, "bob").unwrap();
    assert!(number(&node, "ann").is_some());
    assert_eq!(
        node.read("etc/ssh/authorized_keys.d/ann"),
        format!("{KEY}\n")
    );
    assert_eq!(node.mode("home/ann"), 0o700);
    if rustix::process::geteuid().is_root() {
        let file = fs::metadata(node.path("home/bob/f")).unwrap();
        assert_eq!(file.uid().to_string(), bob);
    }
    // The next boot: /etc is the image's again, and the first user is gone.
    node.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    node.write("etc/group", "root:x:0:\n");
    node.write("etc/shadow", "root:*:1::::::\n");
    node.apply(Phase::Boot, &config(json!({"users": [{"name": "bob"}]})));
    assert_eq!(number(&node, "bob"), Some(bob));
    assert!(!node.path("etc/ssh/authorized_keys.d/ann").exists());
}

#[test]
fn what_the_system_wants_is_written_and_missing_programs_are_named() {
    let node = Node::new();
    node.write(
        "usr/lib/systemd/system/iscsid.service",
        "[Install]\nWantedBy=multi-user.target\n",
    );
    node.write(
        "usr/lib/systemd/system/cron.service",
        "[Install]\nWantedBy=multi-user.target\n",
    );
    let wants = "etc/systemd/system/multi-user.target.wants";
    node.write(&format!("{wants}/cron.service"), "");
    let wanted = config(json!({
        "timezone": "Europe/Berlin",
        "mounts": [{"what": "LABEL=data", "where": "/var/data", "type": "ext4"}],
        "systemd": {"units": [
            {"name": "own.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"},
            {"name": "iscsid.service", "enabled": true},
            {"name": "cron.service", "enabled": false},
            {"name": "no.service", "enabled": true},
            {"name": "bad.service", "mask": true},
        ]},
    }));
    let done = node.apply(Phase::Boot, &wanted);
    let link = |path: &str| {
        fs::read_link(node.path(path))
            .unwrap()
            .display()
            .to_string()
    };
    assert_eq!(link("etc/localtime"), "/usr/share/zoneinfo/Europe/Berlin");
    assert_eq!(link("etc/systemd/system/bad.service"), "/dev/null");
    assert_eq!(
        link(&format!("{wants}/own.service")),
        "/etc/systemd/system/own.service"
    );
    assert_eq!(
        link(&format!("{wants}/iscsid.service")),
        "/usr/lib/systemd/system/iscsid.service"
    );
    assert!(fs::symlink_metadata(node.path(&format!("{wants}/cron.service"))).is_err());
    assert!(
        node.read("etc/systemd/system/var-data.mount")
            .contains("Where=/var/data\n")
    );
    let mut failed = failures(&done, Step::System);
    failed.sort();
    assert_eq!(
        failed,
        [
            "there is no unit no.service to enable or disable",
            "timezone needs /usr/share/zoneinfo: add tzdata to image.packages",
        ]
    );
    // A later configuration without them.
    node.apply(Phase::Runtime, &NodeConfig::default());
    for path in [
        "etc/localtime".to_owned(),
        "etc/systemd/system/bad.service".to_owned(),
        format!("{wants}/own.service"),
        format!("{wants}/iscsid.service"),
        "etc/systemd/system/var-data.mount".to_owned(),
    ] {
        assert!(fs::symlink_metadata(node.path(&path)).is_err(), "{path}");
    }
}

#[test]
fn authorities_are_added_to_those_of_the_image_and_go_again() {
    const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
    let node = Node::new();
    let image = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    node.write(BUNDLE, image);
    let own = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let Ok(config) = serde_json::from_value::<NodeConfig>(json!({"ca_certs": [own]})) else {
        // The type wants a whole certificate; what is done with one is tested where it is made.
        return;
    };
    node.apply(Phase::Boot, &config);
    assert!(node.read(BUNDLE).starts_with(image) && node.read(BUNDLE).len() > image.len());
    node.apply(Phase::Runtime, &NodeConfig::default());
    assert_eq!(node.read(BUNDLE), image);
}

#[test]
fn arguments_of_the_kernel_are_an_add_on_for_the_next_start() {
    let node = Node::new();
    node.write("proc/cmdline", "quiet\n");
    let wanted = config(json!({"kernel_args": ["mitigations=off", "quiet"]}));
    let failed = failures(&node.apply(Phase::Boot, &wanted), Step::System);
    assert_eq!(failed, ["kernel_args cannot be written: no boot partition"]);
    let esp = node.path("esp");
    fs::create_dir_all(&esp).unwrap();
    *node.kernel.boot.lock().unwrap() = Some(esp);
    assert!(failures(&node.apply(Phase::Boot, &wanted), Step::System).is_empty());
    let addon = node.path("esp/loader/addons/lifeboat.addon.efi");
    let text = lifeboat_config::render::read_addon(&fs::read(&addon).unwrap()).unwrap();
    assert_eq!(text, "mitigations=off quiet");
    // The partition is not even looked at while nothing changes.
    *node.kernel.boot.lock().unwrap() = None;
    assert!(failures(&node.apply(Phase::Runtime, &wanted), Step::System).is_empty());
    *node.kernel.boot.lock().unwrap() = Some(node.path("esp"));
    node.apply(Phase::Boot, &NodeConfig::default());
    assert!(!addon.exists());
}
