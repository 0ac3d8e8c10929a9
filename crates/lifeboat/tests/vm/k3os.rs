//! The example of k3OS' documentation, adapted in nothing but names, in an image whose pod
//! network the user brings: every effect on the running node, and again after a reboot.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::user::User;

const DEFINITION: &str = r#"
image:
  cni: none
  files: [{path: /k3os/system/config.yaml, source: config.yaml, mode: "0600"}]
"#;

/// The server's URL is left out: it names a cluster to join. Commands say where they ran.
const CONFIG: &str = r#"
ssh_authorized_keys:
- KEY
- github:lifeboat-example
write_files:
- encoding: ""
  content: |-
    #!/bin/bash
    echo hello, local service start
  owner: root
  path: /etc/rc.local
  permissions: '0755'
hostname: myhost
init_cmd:
- "echo init >> /run/order"
boot_cmd:
- "echo boot $(ls /etc/rc.local) >> /run/order"
run_cmd:
- "echo run $(hostname) >> /run/order"

k3os:
  data_sources:
  - vmware
  - cdrom
  modules:
  - kvm
  - nvme
  sysctl:
    kernel.printk: "4 4 1 7"
    kernel.kptr_restrict: "1"
  dns_nameservers:
  - 8.8.8.8
  - 1.1.1.1
  ntp_servers:
  - 0.us.pool.ntp.org
  - 1.us.pool.ntp.org
  wifi:
  - name: home
    passphrase: mypassword
  - name: nothome
    passphrase: somethingelse
  password: rancher
  token: TOKEN_VALUE
  labels:
    region: us-west-1
    somekey: somevalue
  k3s_args:
  - server
  - "--cluster-init"
  environment:
    http_proxy: http://myserver
    https_proxy: http://myserver
  taints:
  - "key1=value1:NoSchedule"
  - "key1=value1:NoExecute"
"#;

#[test]
#[ignore = "vm"]
fn a_k3os_configuration_is_taken_as_it_is() {
    let user = User::new(DEFINITION);
    let key = user.public_key();
    let config = CONFIG.replace("KEY", &key);
    fs_err::write(user.file("config.yaml"), config).expect("the folder is ours");

    let said = user.both(&["up"]);
    assert!(said.contains("bring"), "no pod network is named: {said}");
    every_effect(&user);

    let before = user.boot_id().expect("the node answers");
    // Not from the session, which would not be told when the network goes before it.
    user.run(&[
        "ssh",
        "--",
        "systemd-run --quiet --on-active=1 systemctl reboot",
    ]);
    user.wait("another boot", Duration::from_mins(4), || {
        user.boot_id().ok().filter(|now| *now != before)
    });
    user.run(&["up"]);
    every_effect(&user);
    user.run(&["down"]);
}

fn every_effect(user: &User) {
    // By key, as the user that k3OS had, who may do what root may.
    let node = |command: &str| user.run(&["ssh", "--user", "rancher", "--", command]);
    let root = |command: &str| node(&format!("sudo -n sh -c '{command}'"));
    let is = |found: String, wanted: &str| assert_eq!(found.trim_end(), wanted);

    is(node("id -un"), "rancher");
    is(node("hostname"), "myhost");
    is(node("grep -c myhost /etc/hosts"), "1");
    is(node("stat -c %U:%a /etc/rc.local"), "root:755");
    is(node("/etc/rc.local"), "hello, local service start");
    let order = user.wait("run_cmd", Duration::from_mins(2), || {
        let order = root("cat /run/order");
        order.contains("run ").then_some(order)
    });
    is(order, "init\nboot /etc/rc.local\nrun myhost");
    node("ls -d /sys/module/kvm /sys/module/nvme");
    is(root("cat /proc/sys/kernel/printk"), "4\t4\t1\t7");
    is(root("cat /proc/sys/kernel/kptr_restrict"), "1");
    let resolved = node("cat /etc/systemd/resolved.conf.d/*");
    assert!(
        resolved.contains("8.8.8.8") && resolved.contains("1.1.1.1"),
        "{resolved}"
    );
    let clocks = node("cat /etc/systemd/timesyncd.conf.d/*");
    assert!(clocks.contains("0.us.pool.ntp.org"), "{clocks}");
    is(root("stat -c %a /etc/wpa_supplicant/lifeboat.conf"), "600");
    // Hashed, and the console takes it.
    let shadow = root("cat /etc/shadow");
    assert!(shadow.contains(":$6$"), "{shadow}");
    is(node("bash -lc \"echo \\$http_proxy\""), "http://myserver");

    let name = user.json(&["kubectl", "--", "get", "node", "myhost", "-o", "json"]);
    let labels = &name["metadata"]["labels"];
    assert_eq!(labels["region"], "us-west-1", "{labels}");
    assert_eq!(labels["somekey"], "somevalue", "{labels}");
    let taints = name["spec"]["taints"].as_array().expect("there are some");
    for effect in ["NoSchedule", "NoExecute"] {
        let wanted = json!({"key": "key1", "value": "value1", "effect": effect});
        let has = |taint: &Json| {
            ["key", "value", "effect"]
                .iter()
                .all(|key| taint[*key] == wanted[*key])
        };
        assert!(taints.iter().any(has), "{taints:?}");
    }

    // No secret is where it may be read.
    let status: Json = serde_json::from_str(&root("lifeboat node status --format json"))
        .expect("it is a document");
    let text = status.to_string();
    for secret in ["TOKEN_VALUE", "mypassword", "somethingelse"] {
        assert!(!text.contains(secret), "{text}");
    }
}
