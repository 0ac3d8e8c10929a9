//! `config check` on files of all kinds.

use crate::place::Place;

fn files() -> Place {
    Place::new()
        .file(
            "lifeboat.yaml",
            "image: {kubernetes: \"1.36\"}\nnode:\n  hostname: n1\n  password: Pl4in\n  k3os: {taints: [a]}\n",
        )
        .file(
            "k3os.yaml",
            "hostname: n1\nnetwork: {}\nwrite_files:\n- {path: /x, permissions: 0644}\nk3os:\n  token: Pl4in\n  sysctl: {a.b: 1}\n  k3s_args: [server, --docker]\n",
        )
        .file("node.yaml", "hostname: n1\nlabels: {a: b}\n")
        .file("broken.yaml", "hostname: [\n")
}

#[test]
fn help_of_config_check() {
    insta::assert_snapshot!(Place::new().run(&["config", "check", "--help"]));
}

#[test]
fn everything_is_told_at_once() {
    let place = files();
    let said = place.run(&[
        "config",
        "check",
        "lifeboat.yaml",
        "k3os.yaml",
        "node.yaml",
        "broken.yaml",
        "none.yaml",
    ]);
    assert!(!said.contains("Pl4in"), "{said}");
    insta::assert_snapshot!(said);
    insta::assert_snapshot!(place.run(&["config", "check", "lifeboat.yaml", "--format", "json"]));
}

#[test]
fn warnings_fail_only_if_that_is_wanted() {
    let place = files();
    let status = |arguments: &[&str]| {
        let said = place.run(&[&["config", "check"], arguments].concat());
        said.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(status(&["k3os.yaml"]), "status: 0");
    assert_eq!(status(&["k3os.yaml", "--strict"]), "status: 1");
    assert_eq!(status(&["k3os.yaml", "--as", "native"]), "status: 1");
    assert_eq!(status(&["node.yaml", "--strict"]), "status: 0");
    assert_eq!(status(&["node.yaml", "broken.yaml"]), "status: 1");
    assert_eq!(status(&[]), "status: 2");
}
