//! A container image whose only program is this very test program, which is static: it serves,
//! or asks a service by its name.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use lifeboat_archive::{Content, Digest, Inode, Kind, Tree, write_tar};
use serde_json::json;

/// The image's name in manifests.
pub const IMAGE: &str = "example.org/lifeboat/test:1";
/// What the server says.
pub const GREETING: &str = "hello from the service";
/// Says what the program is to do in a pod.
const ROLE: &str = "LIFEBOAT_TEST_ROLE";

/// Writes the image as an OCI archive.
pub fn write_archive(to: &Path) {
    let mut layer = Tree::new();
    let program = std::env::current_exe().expect("the test program has a path");
    let content = Content::file(program).expect("the test program can be read");
    layer
        .insert(b"program", Inode::new(Kind::File(content), 0o755))
        .expect("a clean path");
    let layer = tar(&layer);

    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/program", "--exact", "pod::role_in_a_pod", "--ignored", "--nocapture"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", Digest::of(&layer))]},
    });
    let config = config.to_string().into_bytes();
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{}", Digest::of(bytes)),
            "size": bytes.len(),
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor("manifest.v1+json", &manifest);
    entry["annotations"] = json!({
        "org.opencontainers.image.ref.name": IMAGE,
        "io.containerd.image.name": IMAGE,
    });
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();

    let mut archive = Tree::new();
    archive
        .write("oci-layout", 0o644, r#"{"imageLayoutVersion": "1.0.0"}"#)
        .expect("clean");
    archive.write("index.json", 0o644, index).expect("clean");
    for blob in [&layer, &config, &manifest] {
        archive
            .write(format!("blobs/sha256/{}", Digest::of(blob)), 0o644, blob)
            .expect("clean");
    }
    fs_err::write(to, tar(&archive)).expect("the archive can be written");
}

fn tar(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_tar(tree, &mut bytes).expect("memory takes it");
    bytes
}

/// A server with its service, and a pod that asks it by the service's name until it answers.
pub fn manifests() -> String {
    let container = |role: &str| {
        json!({
            "name": "main", "image": IMAGE, "imagePullPolicy": "Never",
            "env": [{"name": ROLE, "value": role}],
        })
    };
    let pod = |name: &str, role: &str, restart: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"restartPolicy": restart, "containers": [container(role)]},
        })
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "greeter"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    let items = [
        pod("server", "serve", "Always"),
        pod("client", "ask", "OnFailure"),
        service,
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Plays the role that the pod gives; nothing outside of one.
#[test]
#[ignore = "runs in a pod"]
fn role_in_a_pod() {
    match std::env::var(ROLE).as_deref() {
        Ok("serve") => serve(),
        Ok("ask") => ask(),
        _ => {}
    }
}

fn serve() {
    let listener = TcpListener::bind("0.0.0.0:8080").expect("the pod's own port");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        stream
            .write_all(GREETING.as_bytes())
            .expect("the client listens");
    }
}

/// Fails until service and DNS answer; the kubelet starts it again.
fn ask() {
    let address = "greeter.default.svc.cluster.local:80";
    let mut stream = TcpStream::connect(address).expect("cluster DNS and the service answer");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a valid time");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("the server speaks");
    assert_eq!(said, GREETING);
    println!("the service said: {said}");
}
