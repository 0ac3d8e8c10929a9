//! `config convert` on files of other systems.

use crate::place::Place;

const IGNITION: &str = r#"{"ignition": {"version": "3.5.0"},
 "passwd": {"users": [{"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 AAAA one"]}]},
 "storage": {"files": [
  {"path": "/etc/motd", "mode": 644, "contents": {"source": "data:,hello%0A"}},
  {"path": "/opt/tool", "contents": {"source": "https://example.com/tool"}}],
 "disks": [{"device": "/dev/sdb", "wipeTable": true}]},
 "networkd": {"units": []}}
"#;

#[test]
fn help_of_config_convert() {
    insta::assert_snapshot!(Place::new().run(&["config", "convert", "--help"]));
}

#[test]
fn the_configuration_and_the_report_go_apart() {
    let place = Place::new().file("config.ign", IGNITION);
    insta::assert_snapshot!(place.run(&["config", "convert", "config.ign"]));
    insta::assert_snapshot!(place.run(&["-q", "config", "convert", "config.ign"]));
    insta::assert_snapshot!(place.run(&[
        "config",
        "convert",
        "--from",
        "ignition",
        "config.ign",
        "--report",
        "json"
    ]));
}

#[test]
fn a_document_that_breaks_rules_gives_no_configuration() {
    let place = Place::new().file(
        "config.bu",
        "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n  - path: etc/motd\n    mode: \"0644\"\n",
    );
    insta::assert_snapshot!(place.run(&["config", "convert", "config.bu"]));
    let said = place.run(&["config", "convert", "config.bu", "-o", "node.yaml"]);
    assert!(said.starts_with("status: 1\n"), "{said}");
    assert!(!said.contains("wrote"), "{said}");
}

#[test]
fn a_file_that_is_there_is_kept_unless_forced() {
    let place = Place::new()
        .file("config.ign", IGNITION)
        .file("node.yaml", "mine");
    let convert = ["config", "convert", "config.ign", "-o", "node.yaml"];
    let said = place.run(&convert);
    assert!(said.starts_with("status: 1\n"), "{said}");
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(place.read("node.yaml"), "mine");
    let said = place.run(&[&convert[..], &["--force"]].concat());
    assert!(said.starts_with("status: 0\n"), "{said}");
    assert!(place.read("node.yaml").contains("path: /etc/motd"));
}

#[test]
fn a_format_that_cannot_be_guessed_is_asked_for() {
    let place = Place::new().file("x", "hello\n");
    let said = place.run(&["config", "convert", "x"]);
    assert!(said.starts_with("status: 1\n"), "{said}");
    assert!(said.contains("--from ignition|butane"), "{said}");
}
