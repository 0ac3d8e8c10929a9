//! What the command says, without a network, root or a machine.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod config_convert;
#[cfg(test)]
mod config_show;
#[cfg(test)]
mod input;
#[cfg(test)]
mod place;

use place::Place;

#[test]
fn help_teaches() {
    insta::assert_snapshot!(Place::new().run(&["--help"]));
}

#[test]
fn help_of_up() {
    insta::assert_snapshot!(Place::new().run(&["up", "--help"]));
}

#[test]
fn no_verb_is_a_usage_error() {
    let said = Place::new().run(&[]);
    assert!(said.starts_with("status: 2\n"), "{said}");
}

#[test]
fn an_unknown_verb_gets_the_nearest_one() {
    insta::assert_snapshot!(Place::new().run(&["statsu"]));
}

#[test]
fn a_bad_machine_name_is_a_usage_error() {
    insta::assert_snapshot!(Place::new().run(&["status", "../x"]));
}

#[test]
fn a_mistake_in_the_definition_is_named_with_its_place() {
    let place = Place::new().file(
        "lifeboat.yaml",
        "image:\n  kubernets: \"1.36\"\nmachine:\n  cpus: two\n",
    );
    for verb in [
        &["up"][..],
        &["build"],
        &["lock"],
        &["inspect", "lifeboat.yaml"],
    ] {
        insta::assert_snapshot!("mistake", place.run(verb));
    }
}

#[test]
fn a_missing_key_of_a_repository_is_named_with_its_place_and_how_to_get_it() {
    let place = Place::new().file(
        "lifeboat.yaml",
        "image:\n  kubernetes_source:\n    packages:\n      - url: https://pkgs.k8s.io/core:/stable:/v1.36/deb/\n        key: keys/kubernetes.asc\n",
    );
    insta::assert_snapshot!(place.run(&["build"]));
    let place = place.file("keys/kubernetes.asc", "binary");
    insta::assert_snapshot!("bad_key", place.run(&["lock"]));
}

#[test]
fn a_named_definition_must_be_there() {
    insta::assert_snapshot!(Place::new().run(&["build", "-f", "none.yaml"]));
}

#[test]
fn verbs_on_an_unknown_machine_say_so() {
    let place = Place::new();
    for verb in [
        "status",
        "down",
        "ssh",
        "console",
        "logs",
        "kubectl",
        "kubeconfig",
    ] {
        insta::assert_snapshot!("unknown_machine", place.run(&[verb, "other"]));
    }
}

#[test]
fn a_stopped_machine_is_listed_and_described() {
    let place = Place::new().machine("one");
    insta::assert_snapshot!(place.run(&["list"]));
    insta::assert_snapshot!(place.run(&["list", "--format", "json"]));
    insta::assert_snapshot!(place.run(&["status", "one"]));
}

#[test]
fn a_stopped_machine_cannot_be_logged_in_to() {
    insta::assert_snapshot!(Place::new().machine("one").run(&["ssh", "one"]));
}

#[test]
fn the_name_may_come_from_the_environment() {
    let place = Place::new().machine("one").variable("LIFEBOAT_NAME", "one");
    assert!(place.run(&["status"]).contains("machine      one"));
}

#[test]
fn down_removes_a_machine_or_keeps_it() {
    let place = Place::new().machine("one");
    insta::assert_snapshot!(place.run(&["down", "one", "--keep-state"]));
    insta::assert_snapshot!(place.run(&["down", "one"]));
    insta::assert_snapshot!(place.run(&["list"]));
}

#[test]
fn a_machine_of_another_version_is_refused_and_can_be_removed() {
    let place = Place::new().machine("one");
    let place = place.file(
        "state/machines/one/machine.json",
        "{\"schema\": \"lifeboat.machine/9\"}",
    );
    insta::assert_snapshot!(place.run(&["status", "one"]));
    let removed = place.run(&["down", "one"]);
    assert!(removed.starts_with("status: 0\n"), "{removed}");
}

#[test]
fn a_kubeconfig_is_printed_and_merged() {
    let text = "apiVersion: v1\nkind: Config\nclusters:\n- name: lifeboat-one\n  cluster: {}\n";
    let place = Place::new()
        .machine("one")
        .file("state/machines/one/kubeconfig", text)
        .file("kube", "current-context: work\nclusters: []\n")
        .variable("KUBECONFIG", "kube");
    let printed = place.run(&["kubeconfig", "one"]);
    assert!(printed.contains("lifeboat-one"), "{printed}");
    insta::assert_snapshot!(place.run(&["kubeconfig", "one", "--merge"]));
    insta::assert_snapshot!(place.read("kube"));
}

#[test]
fn logs_are_printed_without_escape_sequences() {
    let place = Place::new().machine("one").file(
        "state/machines/one/console.log",
        "\u{1b}[31mred\u{1b}[0m\r\nlast",
    );
    insta::assert_snapshot!(place.run(&["logs", "one"]));
}

#[test]
fn an_empty_cache_is_shown() {
    insta::assert_snapshot!(Place::new().run(&["cache", "show"]));
}

#[test]
fn the_schema_and_completions_are_printed() {
    let place = Place::new();
    assert!(place.run(&["schema"]).contains("\"$schema\""));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).contains("kubeconfig"));
    }
}

#[test]
fn json_documents_name_their_schema() {
    let place = Place::new().machine("one");
    for (verb, schema) in [
        (&["list"][..], "lifeboat.list/1"),
        (&["status", "one"], "lifeboat.status/1"),
        (&["cache", "show"], "lifeboat.cache/1"),
        (&["down", "one"], "lifeboat.down/1"),
    ] {
        let said = place.run(&[verb, &["--format", "json"]].concat());
        let start = said.find('{').expect("a document");
        let end = said.rfind('}').expect("its end");
        let document: serde_json::Value = serde_json::from_str(&said[start..=end]).unwrap();
        assert_eq!(document["schema"], schema);
    }
}
