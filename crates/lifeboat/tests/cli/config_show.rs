//! `config show` on roots of all kinds.

use crate::place::Place;

/// A node with every source of k3OS.
fn node() -> Place {
    Place::new()
        .file(
            "root/k3os/system/config.yaml",
            "hostname: base\nssh_authorized_keys: [github:someone]\nk3os:\n  token: Tok3n\n  labels: {rack: 7, spare: no}\n  install: {device: /dev/sda}\n",
        )
        .file(
            "root/proc/cmdline",
            "BOOT_IMAGE=/vmlinuz quiet k3os.password=\"Pass w0rd\" k3os.install.silent k3os.labels[zone]=b\n",
        )
        .file(
            "root/var/lib/rancher/k3os/config.yaml",
            "k3os: {dns_nameserver: 192.0.2.1, wifi: {name: attic, pass: Wif1}}\n",
        )
        .file("root/run/config/local_hostname", "cloud\n")
        .file("root/run/config/ssh/authorized_keys", "ssh-ed25519 AAAA a\n\nssh-ed25519 BBBB b\n")
        .file("root/run/config/userdata", "#!/bin/sh\nuptime\n")
        .file("root/var/lib/rancher/k3os/config.d/20", "hostname: last\nboot_cmd: [sync, [x]]\n")
        .file("root/var/lib/rancher/k3os/config.d/10", "hostname: first\nk3os: {tokn: S3cret}\n")
}

const SHOW: [&str; 6] = ["config", "show", "--as", "k3os", "--root", "root"];

fn show(place: &Place, more: &[&str]) -> String {
    place.run(&[&SHOW, more].concat())
}

#[test]
fn help_of_config_show() {
    insta::assert_snapshot!(Place::new().run(&["config", "show", "--help"]));
}

#[test]
fn all_sources_of_a_node_are_merged_and_secrets_masked() {
    let place = node();
    insta::assert_snapshot!(show(&place, &[]));
    insta::assert_snapshot!(show(
        &place,
        &["--format", "json", "--show-secrets", "--strict"]
    ));
}

#[test]
fn the_text_form_is_a_configuration_file_of_the_same_meaning() {
    let place = node();
    let said = show(&place, &["--show-secrets"]);
    let text = said
        .strip_prefix("status: 0\n")
        .and_then(|said| said.split("--- stderr").next())
        .unwrap();
    let again = Place::new().file("root/k3os/system/config.yaml", text);
    let shown = show(&again, &["--show-secrets"]);
    assert_eq!(shown, format!("status: 0\n{text}"));
}

#[test]
fn a_given_command_line_stands_in_for_the_kernels() {
    let place = Place::new().file("root/proc/cmdline", "hostname=kernel");
    assert_eq!(show(&place, &[]), "status: 0\nhostname: kernel\n");
    assert_eq!(show(&place, &["--cmdline", ""]), "status: 0\n{}\n");
    let given = show(&place, &["--cmdline", "-- hostname=given"]);
    assert_eq!(given, "status: 0\nhostname: given\n");
}

#[test]
fn nothing_outside_the_root_and_nothing_but_files_is_read() {
    let place = Place::new()
        .file("outside", "hostname: outside\n")
        .file("root/etc/inside", "hostname: inside\n")
        .link("root/k3os/system/config.yaml", "/etc/inside")
        .link(
            "root/var/lib/rancher/k3os/config.yaml",
            "../../../../../../outside",
        )
        .pipe("root/run/config/local_hostname")
        .sparse("root/run/config/userdata", 100 << 20)
        .file(
            "root/var/lib/rancher/k3os/config.d/folder/file",
            "hostname: deep\n",
        )
        .link("root/var/lib/rancher/k3os/config.d/loop", "loop")
        .link(
            "root/var/lib/rancher/k3os/config.d/magic",
            "/proc/self/fd/0",
        )
        .file("root/run/config/ssh", "");
    insta::assert_snapshot!(show(&place, &["--cmdline", ""]));
    insta::assert_snapshot!(place.run(&["config", "show", "--as", "k3os", "--root", "none"]));
}

/// The same node with files of its own.
fn native_node() -> Place {
    node()
        .file(
            "root/var/lib/lifeboat/config.yaml",
            "hostname: own\ntoken: Own\nlabels: {own: yes, 'b d': x}\ninstall: {tty: ttyS0}\nnetwork: {interfaces: [{name: eth0, dhcp: ipv4}]}\n",
        )
        .file(
            "root/var/lib/lifeboat/config.d/50.yaml",
            "boot_cmd: \ninstall: {device: }\nhostnam: x\n",
        )
        .file("root/var/lib/lifeboat/config.d/60.yaml", "timezone: [\n")
        .file("root/var/lib/lifeboat/config.d/note.txt", "not read")
}

#[test]
fn native_files_go_above_those_of_k3os() {
    let place = native_node();
    let show = |more: &[&str]| place.run(&[&["config", "show", "--root", "root"], more].concat());
    insta::assert_snapshot!(show(&[]));
    insta::assert_snapshot!(show(&["--format", "json", "--show-secrets", "--strict"]));
}

#[test]
fn a_key_is_explained() {
    let place = native_node();
    let explain = |key: &str, more: &[&str]| {
        let said = place.run(
            &[
                &["config", "show", "--root", "root", "--explain", key],
                more,
            ]
            .concat(),
        );
        said.split("--- stderr").next().unwrap().to_owned()
    };
    let keys = [
        "hostname",
        "k3os.token",
        "install",
        "labels.own",
        "boot_cmd",
        "locale",
    ];
    let said: String = keys.iter().map(|key| explain(key, &[])).collect();
    insta::assert_snapshot!(said);
    insta::assert_snapshot!(explain("token", &["--show-secrets", "--format", "json"]));
    insta::assert_snapshot!(explain("hostname", &["--as", "k3os"]));
    insta::assert_snapshot!(place.run(&[
        "config",
        "show",
        "--explain",
        "hostnam",
        "--root",
        "root"
    ]));
}
