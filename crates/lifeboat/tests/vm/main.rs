//! The real image with the real kubelet in a virtual machine. One boot serves many checks.

#[cfg(test)]
mod k3os;
#[cfg(test)]
mod pod;
#[cfg(test)]
mod user;

use std::time::Duration;

use user::User;

const DEFINITION: &str = r#"
image:
  bundles: [cockpit]
  container_images: [test.tar]
  files: [{path: /usr/share/harbour.txt, content: "from the image\n"}]
node:
  hostname: harbour
  labels: {region: west}
  write_files: [{path: /etc/harbour.conf, content: "from the configuration\n", permissions: "0640"}]
"#;

#[test]
#[ignore = "vm"]
fn up_brings_a_node_to_ready() {
    let user = User::new(DEFINITION);
    pod::write_archive(&user.file("test.tar"));

    let built = user.json(&["build", "--format", "json"]);
    phases(
        &built,
        &[
            "resolve",
            "download",
            "unpack",
            "configure",
            "payload",
            "image",
        ],
    );
    // A wait that is ended, in whatever way, costs the machine nothing.
    user.end_up_at("initrd", None);
    user.end_up_at("kubeadm", Some(130));

    // From nothing to Ready with all system pods.
    let facts = user.json(&["up", "--format", "json"]);
    assert_eq!(facts["state"], "ready", "{facts}");
    let boot = [
        "firmware",
        "kernel",
        "userspace",
        "kubeadm",
        "ready",
        "pods",
    ];
    phases(&facts, &boot);
    println!("seconds: {}", facts["seconds"]);

    // What it costs, before anything of ours runs on it.
    let memory = user.memory_in_use_mib();
    println!("memory in use: {memory} MiB");
    assert!(memory <= 750, "{memory} MiB are in use");
    user.sizes_are_kept();

    // Nothing changed since, so that no package is looked at.
    let built = user.json(&["build", "--format", "json"]);
    assert_eq!(built["seconds"], serde_json::json!({}), "{built}");
    assert_eq!(built["image"], facts["image"]);

    // Asking again says so at once.
    let again = user.both(&["up"]);
    assert!(again.contains("runs already"), "{again}");

    definition_took_effect(&user, &facts);
    pod_reaches_the_service(&user);
    node_survives_a_reboot(&user);

    user.run(&["down"]);
    let machines = user.json(&["list", "--format", "json"]);
    assert_eq!(
        machines["machines"].as_array().map(Vec::len),
        Some(0),
        "{machines}"
    );
}

/// Each of these phases took some seconds.
fn phases(facts: &serde_json::Value, names: &[&str]) {
    for name in names {
        let seconds = &facts["seconds"][name];
        assert!(seconds.is_number(), "no `{name}` in {facts}");
    }
}

fn definition_took_effect(user: &User, facts: &serde_json::Value) {
    let label = [
        "kubectl",
        "--",
        "get",
        "node",
        "harbour",
        "-o",
        "jsonpath={.metadata.labels.region}",
    ];
    let region = user.wait("the node's labels", Duration::from_mins(2), || {
        user.try_run(&label).ok()
    });
    assert_eq!(region, "west");
    assert_eq!(
        user.run(&["ssh", "--", "cat", "/usr/share/harbour.txt"]),
        "from the image\n"
    );
    let conf = user.run(&[
        "ssh",
        "--",
        "stat -c '%a %U' /etc/harbour.conf; cat /etc/harbour.conf",
    ]);
    assert_eq!(conf, "640 root\nfrom the configuration\n");
    user.cockpit_answers(facts);
}

/// A pod from an archive beside the definition, a service, and cluster DNS.
fn pod_reaches_the_service(user: &User) {
    fs_err::write(user.file("pods.json"), pod::manifests()).expect("the folder is ours");
    // The schema that kubectl would check it by takes the emulated server half a minute.
    let apply = [
        "kubectl",
        "--",
        "apply",
        "--validate=false",
        "-f",
        "pods.json",
    ];
    user.wait("the server takes the pods", Duration::from_mins(4), || {
        user.try_run(&apply).ok()
    });
    user.wait(
        "the client reaches the service by its name",
        Duration::from_mins(4),
        || {
            let phase = user.try_run(&[
                "kubectl",
                "--",
                "get",
                "pod",
                "client",
                "-o",
                "jsonpath={.status.phase}",
            ]);
            (phase.as_deref() == Ok("Succeeded")).then_some(())
        },
    );
    let said = user.wait("the client's log", Duration::from_mins(2), || {
        user.try_run(&["kubectl", "--", "logs", "client"]).ok()
    });
    assert!(said.contains(pod::GREETING), "{said}");
}

/// The same node with its state after a reboot.
fn node_survives_a_reboot(user: &User) {
    user.run(&["ssh", "--", "echo kept > /var/lib/kept"]);
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
    let facts = user.json(&["up", "--format", "json"]);
    assert_eq!(facts["state"], "ready", "{facts}");
    assert_eq!(user.run(&["ssh", "--", "cat", "/var/lib/kept"]), "kept\n");
    user.wait("the pod runs again", Duration::from_mins(4), || {
        let ready = user.try_run(&[
            "kubectl",
            "--",
            "get",
            "pod",
            "server",
            "-o",
            "jsonpath={.status.conditions[?(@.type=='Ready')].status}",
        ]);
        (ready.as_deref() == Ok("True")).then_some(())
    });
}
