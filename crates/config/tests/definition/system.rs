//! The keys for network, users, storage, registries and units: what is refused, and what the
//! node gets.

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
};

use lifeboat_config::{
    Cni, NodeConfig, Runtime, parse_node, parse_node_with_warnings,
    render::{self, Accounts, Facts, Numbers, RenderedFile},
};

fn node(text: &str) -> NodeConfig {
    parse_node("node.yaml", text.as_bytes()).unwrap_or_else(|findings| panic!("{findings}"))
}

fn said(text: &str) -> String {
    match parse_node_with_warnings("node.yaml", text.as_bytes()) {
        Ok((_, warnings)) => lifeboat_config::Findings(warnings).to_string(),
        Err(findings) => findings.to_string(),
    }
}

fn facts(runtime: Runtime) -> Facts {
    Facts::new("1.36.3", runtime, Cni::Bridge, "n1")
}

/// What a configuration adds to the files of a node without one.
fn added(text: &str, runtime: Runtime) -> String {
    let node = node(text);
    let plain = render::node_files(&NodeConfig::default(), &facts(runtime));
    let files = render::node_files(&node, &facts(runtime));
    let mut shown = String::new();
    for file in files.iter().filter(|file| !plain.contains(file)) {
        let _ = write!(shown, "==> {} {:o}\n{}", file.path, file.mode, file.content);
    }
    for gone in plain
        .iter()
        .filter(|file| !files.iter().any(|one| one.path == file.path))
    {
        let _ = writeln!(shown, "==> {} gone", gone.path);
    }
    for link in render::node_links(&node) {
        let _ = writeln!(shown, "--> {} to {}", link.path, link.target);
    }
    shown
}

#[test]
fn a_network_of_every_kind() {
    insta::assert_snapshot!(added(
        "
dns_nameservers: [9.9.9.9]
network:
  others: ignore
  interfaces:
    - name: lan0
      match: {mac: '52:54:00:12:34:56', driver: virtio_net}
      addresses: [192.0.2.10/24, '2001:db8::10/64']
      gateway: 192.0.2.1
      gateway6: fe80::1
      dns_nameservers: [192.0.2.53]
      search_domains: [example.org, ~corp.example]
      mtu: 9000
      metric: 100
      routes:
        - {to: 10.0.0.0/8, via: 192.0.2.254, metric: 50}
        - {to: default, via: 192.0.2.2, table: 100, source: 192.0.2.10}
        - {to: 198.51.100.7}
    - {name: eth1, optional: true}
    - {name: eth2}
    - name: bond0
      bond: {members: [eth1, eth2], mode: 802.3ad, lacp_rate: fast, hash_policy: layer3+4, primary: eth1}
      mac: 02:00:00:00:00:01
      dhcp: false
    - {name: bond0.100, vlan: {id: 100, link: bond0}, dhcp: ipv4}
    - {name: br0, bridge: {members: [], stp: true, forward_delay: 4}, addresses: [203.0.113.5/32], gateway: 172.31.1.1, accept_ra: false}
    - {name: en*, dhcp: ipv6}
",
        Runtime::Containerd
    ));
}

#[test]
fn without_a_network_nothing_changes() {
    assert_eq!(added("network: {}", Runtime::Containerd), "");
    assert_eq!(
        render::network_files(&node("network: {interfaces: []}")),
        render::network_files(&NodeConfig::default())
    );
    let others = added("network: {interfaces: [{name: eth0}]}", Runtime::Containerd);
    assert!(others.contains("RequiredForOnline=no\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\nRouteMetric=2048\n"), "{others}");
}

#[test]
fn rules_of_networks() {
    insta::assert_snapshot!(said(
        "
network:
  interfaces:
    - {name: eth0, addresses: [192.0.2.10/24], gateway: 198.51.100.1}
    - {name: eth0}
    - {name: cni0}
    - {name: averylonginterface}
    - {name: eth1, addresses: [192.0.2.10/16, 192.0.2.0/24], mtu: 1000, dhcp: true}
    - {name: bond0, bond: {members: [eth1, eht0, bond0], lacp_rate: slow, primary: eth7}}
    - {name: br0, bridge: {members: [eth1]}, vlan: {id: 4, link: eth0}}
    - {name: vlan1, vlan: {id: 5, link: eth0}}
    - {name: vlan2, vlan: {id: 5, link: eth0}}
    - {name: vlan3, vlan: {id: 9, link: nothing}}
    - {name: x, match: {}}
    - {name: 'wl*', bridge: {}}
    - {name: a, vlan: {id: 1, link: b}}
    - {name: b, vlan: {id: 1, link: a}}
    - {name: r, routes: [{to: default}, {to: 10.0.0.0/8, via: '2001:db8::1'}]}
"
        .replace("averylonginterface", "eth9")
        .as_str()
    ));
}

#[test]
fn values_of_networks() {
    insta::assert_snapshot!(said(
        "
network:
  others: dhpc
  interfaces:
    - {name: averylonginterface, vlan: {id: 4095, link: eth0}, gatway: 1.2.3.4}
    - {name: 'a b', addresses: [192.0.2.1, 192.0.2.1/33, 192.0.2.1/255.255.255.0, x/24], mtu: 20}
    - {name: lo, match: {mac: 52-54-00-12-34-56}, gateway: 'fe80::1', gateway6: 192.0.2.1}
    - {name: eth0, routes: [{to: 10.1.0.0/8}, {to: everywhere}], search_domains: ['a b'], dhcp: maybe}
    - {name: bond0, bond: {members: [], mode: lacp}}
"
    ));
}

#[test]
fn the_operating_system() {
    insta::assert_snapshot!(added(
        r"
timezone: Europe/Berlin
locale: de_DE.UTF-8
mounts:
  - {what: 'LABEL=my data', where: /var/lib/longhorn, type: ext4, options: [noatime, 'discard,x-a=b']}
  - {what: 'nas:/export', where: /srv/nas-1, type: nfs}
  - {what: tmpfs, where: /var/tmp2, type: tmpfs, options: [noauto, size=50%]}
swap:
  - {path: /var/lib/swap file, size: 1GiB}
  - {device: UUID=0a-1b, priority: 5}
systemd:
  units:
    - name: hello.service
      enabled: true
      contents: |
        [Service]
        ExecStart=/bin/true
        [Install]
        WantedBy=multi-user.target
        Alias=greeting.service
    - {name: getty@tty1.service, mask: true}
    - name: kubelet.service
      dropins: [{name: 50-x.conf, contents: '[Service]'}]
proxy: {http: 'http://p.example:3128', https: 'http://p.example:3128', no_proxy: [.example.org]}
hostname: n7
wifi: [{name: Café, passphrase: 'pass # ''word'' \ x'}, {name: open}]
",
        Runtime::Containerd
    ));
}

const REGISTRIES: &str = r"
registries:
  mirrors:
    docker.io: {endpoints: ['https://m.example:5000', 'http://cache.example/v2/hub']}
    '*': {endpoints: ['https://any.example']}
  configs:
    'm.example:5000':
      auth: {username: me, password: 'se\cret'}
      tls: {ca: /etc/ssl/m.pem, insecure_skip_verify: true}
    private.example: {auth: {token: tok}}
    docker.io: {auth: {username: a, password: b}}
";

#[test]
fn registries_of_containerd() {
    insta::assert_snapshot!(added(REGISTRIES, Runtime::Containerd));
}

#[test]
fn registries_of_crio() {
    insta::assert_snapshot!(added(REGISTRIES, Runtime::CriO));
}

#[test]
fn rules_of_the_operating_system() {
    insta::assert_snapshot!(said(
        "
users: [{name: a, uid: 0}, {name: a, password: plain}, {name: b, uid: 1000}, {name: c, uid: 1000}]
groups: [{name: g, gid: 5}, {name: g, gid: 5}]
mounts: [{what: /dev/sdb, where: /srv/a}, {what: /dev/sdc, where: /srv/a}]
swap: [{}, {path: /swap, size: 1GiB}, {path: /var/s}, {device: /dev/sdd, size: 1GiB}, {path: /var/t, device: /dev/sde, size: 1}]
registries: {configs: {a.example: {auth: {username: x}, tls: {cert: /c, insecure_skip_verify: true}}, '*': {}}}
systemd: {units: [{name: a.service, mask: true, enabled: true}, {name: a.service, enabled: true, contents: '[Service]'}]}
"
    ));
}

#[test]
fn values_of_the_operating_system() {
    insta::assert_snapshot!(said(
        "
users: [{name: Admin, home: relative, sudo: everything, shell: '/bin/a:b', gecos: 'a:b'}]
ca_certs: [nonsense, \"-----BEGIN CERTIFICATE-----\\nMAA=\\n\", \"-----BEGIN CERTIFICATE-----\\nMAAA\\n-----END CERTIFICATE-----\", \"-----BEGIN RSA PRIVATE KEY-----\"]
timezone: America/New York
locale: de-DE
mounts: [{what: LABLE=x, where: /proc/x, type: swap, options: ['a b', x-systemd.automount]}, {what: '', where: data}]
swap: [{path: '/var/a\\', size: 1KB}]
registries: {mirrors: {'https://docker.io/': {endpoints: ['m:5000', 'https://u:secret@m', 'https://m/a?b']}}}
systemd: {units: [{name: sshd, contents: 'ExecStart=x'}, {name: a.servce, dropins: [{name: x, contents: ''}]}]}
proxy: {http: 'user:secret@p:3128', https: 'http://u:p$x@h', no_proxy: ['a,b']}
kernel_args: ['root=/dev/sda1', 'a b', 'x=\"', quiet]
"
    ));
}

#[test]
fn users_get_numbers_that_stay() {
    let image = Accounts {
        passwd: "root:x:0:0:root:/root:/bin/bash\n".to_owned(),
        group: "root:x:0:\nsudo:x:27:\n".to_owned(),
        shadow: "root:*:20000:0:99999:7:::\n".to_owned(),
        gshadow: "root:*::\nsudo:*::\n".to_owned(),
    };
    let hash = |password: &lifeboat_config::definition::types::Password| {
        password.hash().map(str::to_owned)
    };
    let both = node(
        "users: [{name: ada, groups: [sudo, wheel], password: '$6$a$b', sudo: true}, {name: bob, uid: 1007, primary_group: staff}, {name: svc, system: true}]\ngroups: [{name: staff, gid: 50}]",
    );
    let first = render::plan_accounts(&both, &image, &Numbers::default(), &hash);
    insta::assert_snapshot!(format!(
        "{}--\n{}--\n{}--\n{}--\n{}\n{:?}",
        first.accounts.passwd,
        first.accounts.group,
        first.accounts.shadow,
        first.accounts.gshadow,
        first.problems.join("\n"),
        first.homes
    ));
    // Without the first, the others keep their numbers; when it comes back, so does its own.
    let fewer = node("users: [{name: eve}]");
    let second = render::plan_accounts(&fewer, &image, &first.numbers, &hash);
    assert!(
        second.accounts.passwd.contains("eve:x:1001:1001:"),
        "{:?}",
        second.accounts
    );
    let third = render::plan_accounts(&both, &image, &second.numbers, &hash);
    assert_eq!(third.accounts, first.accounts);
    assert_eq!(
        render::sudo_file(&both).unwrap().content,
        "ada ALL=(ALL:ALL) NOPASSWD: ALL\n"
    );
}

#[test]
fn authorities_are_added_once_and_go_again() {
    let pem = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n";
    let node = NodeConfig {
        ca_certs: vec![format!("# comment\n{pem}").parse().unwrap()],
        ..NodeConfig::default()
    };
    let image = "-----BEGIN CERTIFICATE-----\nMAMwAQA=\n-----END CERTIFICATE-----\n";
    let once = render::ca_bundle(image, &node);
    assert!(once.starts_with(image) && once.contains(pem));
    assert_eq!(render::ca_bundle(&once, &node), once);
    assert_eq!(render::ca_bundle(&once, &NodeConfig::default()), image);
    assert_eq!(render::ca_files(&node)[0].content, pem);
}

#[test]
fn units_of_the_image_are_enabled_by_their_own_section() {
    let node = node(
        "systemd: {units: [{name: a@1.service, enabled: true}, {name: b.timer, enabled: false}]}",
    );
    let units = render::image_units(&node);
    let named: Vec<_> = units
        .iter()
        .map(|(name, on)| (name.as_str(), *on))
        .collect();
    assert_eq!(named, [("a@1.service", true), ("b.timer", false)]);
    let text = "[Service]\n[Install]\nWantedBy=x.target\nWantedBy=\nWantedBy=multi-user.target g@%i.target ../../evil.service\nRequiredBy=%p.target\nAlso=a.socket\n";
    let installed =
        render::install_links("a@1.service", "/usr/lib/systemd/system/a@.service", text);
    let links: Vec<_> = installed
        .links
        .iter()
        .map(|link| link.path.as_str())
        .collect();
    assert_eq!(
        links,
        [
            "/etc/systemd/system/multi-user.target.wants/a@1.service",
            "/etc/systemd/system/g@1.target.wants/a@1.service",
            "/etc/systemd/system/a.target.requires/a@1.service",
        ]
    );
    assert_eq!(installed.also, ["a.socket"]);
}

#[test]
fn what_an_image_may_lack_is_named() {
    let node = node(
        "wifi: [{name: x, passphrase: '12345678'}]\nmounts: [{what: 's:/e', where: /srv/x, type: nfs}]\nlocale: de_DE.UTF-8\nusers: [{name: a, sudo: true}]",
    );
    let packages: Vec<_> = render::wanted_programs(&node)
        .iter()
        .map(|one| (one.key, one.package))
        .collect();
    assert_eq!(
        packages,
        [
            ("wifi", "wpasupplicant"),
            ("users", "sudo"),
            ("mounts", "nfs-common"),
            ("locale", "locales-all"),
        ]
    );
    assert_eq!(render::wanted_programs(&NodeConfig::default()), []);
    // Where image and node are in one file, it is known before the image is built.
    let text = "image: {packages: [tzdata]}\nnode: {timezone: Asia/Tokyo, users: [{name: a, sudo: true}]}\n";
    let (_, warnings) = lifeboat_config::parse_with_warnings("f", text.as_bytes()).unwrap();
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f:2:30: node.users: needs /usr/bin/sudo, which this image does not have unless another package brings it"
        ]
    );
}

#[test]
fn a_proxy_with_a_password_is_no_business_of_other_users() {
    let node = node("proxy: {https: 'http://me:hidden@p.example:3128'}");
    let files = render::node_files(&node, &facts(Runtime::Containerd));
    let holds = |file: &&RenderedFile| file.content.contains("hidden");
    let holding: Vec<_> = files.iter().filter(holds).collect();
    assert_eq!(holding.len(), 2, "{holding:?}");
    assert!(holding.iter().all(|file| file.mode == 0o600));
    assert!(!format!("{node:?}{files:?}").contains("hidden"));
}

#[test]
fn pods_and_services_of_the_cluster_need_no_proxy() {
    let node = node(
        "proxy: {http: 'http://p:1'}\nkubeadm: {cluster: {networking: {podSubnet: '10.1.0.0/16,fd00::/56', dnsDomain: k8s.example}}}\nnetwork: {interfaces: [{name: eth0, addresses: [192.0.2.7/26]}]}\nserver_url: https://cp.example:6443",
    );
    let files = render::node_files(&node, &facts(Runtime::Containerd));
    let file = files
        .iter()
        .find(|file| file.path == "/etc/lifeboat/proxy.env");
    let line = file
        .unwrap()
        .content
        .lines()
        .find(|line| line.starts_with("no_proxy="));
    assert_eq!(
        line.unwrap(),
        "no_proxy='localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10,.svc,10.1.0.0/16,fd00::/56,10.96.0.0/12,.k8s.example,192.0.2.0/26,cp.example,n1'"
    );
    assert_eq!(
        render::static_address(&node),
        Some("192.0.2.7".parse().unwrap())
    );
}

#[test]
fn shells_and_scripts_read_variables_as_they_are() {
    let values = [
        "it's",
        "a\"b",
        "$(false) `false` $HOME",
        "x # y",
        "\\ \\n",
        "",
        "'\"$",
    ];
    let mut variables = String::new();
    let mut print = String::new();
    for (index, value) in values.iter().enumerate() {
        let value = serde_json::to_string(value).unwrap();
        let _ = writeln!(variables, "  V{index}: {value}");
        let _ = writeln!(print, "printf '%s\\n' \"$V{index}\"");
    }
    let node = node(&format!("environment:\n{variables}"));
    for path in ["/etc/environment", "/etc/profile.d/90-lifeboat.sh"] {
        let file = render::environment(&node)
            .into_iter()
            .find(|file| file.path == path)
            .unwrap();
        let output = Command::new("sh")
            .args(["-euc", &format!("{}{print}", file.content)])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            values.join("\n") + "\n",
            "{path}"
        );
    }
}
