//! Kubernetes and CRI-O from package repositories, which the tests make, sign and serve, on
//! top of Debian's own archive. CRI-O itself cannot be had here: what it would read is read back.

#[cfg(test)]
mod place;
#[cfg(test)]
mod repository;
#[cfg(test)]
#[expect(
    dead_code,
    unused_imports,
    reason = "the archive's tests use the rest of it"
)]
#[path = "../../../archive/tests/support/mod.rs"]
mod support;

use std::path::Path;

use lifeboat_payload::containers_storage;
use place::{Place, names, read_payload, skopeo_agrees, tools};
use repository::{Upstream, VERSION, images, program, write_images};

#[test]
#[ignore = "network"]
fn a_repository_that_another_key_signed_is_refused_at_its_place() {
    let upstream = Upstream::new();
    let place = Place::new(&upstream, &upstream.definition("1.36", ""));
    fs_err::copy(place.path("kubernetes.asc"), place.path("crio.asc")).unwrap();
    insta::assert_snapshot!(place.refused(&upstream));
}

#[test]
#[ignore = "network"]
fn a_repository_that_was_tampered_with_is_refused_at_its_place() {
    let upstream = Upstream::new();
    let place = Place::new(&upstream, &upstream.definition("1.36", ""));
    let release = upstream.path("kubernetes/InRelease");
    let text = fs_err::read_to_string(&release).unwrap();
    fs_err::write(release, text.replace("Origin: Test", "Origin: Best")).unwrap();
    insta::assert_snapshot!(place.refused(&upstream));
}

#[test]
#[ignore = "network"]
fn a_version_that_is_not_there_is_refused_with_those_that_are() {
    let upstream = Upstream::new();
    for (name, version) in [("minor", "1.35"), ("patch", "1.36.78")] {
        let place = Place::new(&upstream, &upstream.definition(version, ""));
        insta::assert_snapshot!(name, place.refused(&upstream));
    }
}

#[test]
#[ignore = "network"]
fn a_repository_that_is_missing_is_refused_with_the_package_that_is_in_none() {
    let upstream = Upstream::new();
    let definition = upstream.definition("1.36", "");
    let at = definition.rfind("      - url").unwrap();
    let place = Place::new(&upstream, &definition[..at]);
    insta::assert_snapshot!(place.refused(&upstream));
}

#[test]
#[ignore = "network"]
fn packages_become_a_payload_with_a_store_for_cri_o() {
    let upstream = Upstream::new();
    let images = images();
    let given = "  container_images: [some.tar]\n";
    let place = Place::new(&upstream, &upstream.definition("1.36", given));

    // One image is missing, and only that is named.
    write_images(&place.path("some.tar"), &images[1..]);
    let (success, said) = place.run(&upstream, &["build"]);
    assert!(!success, "{said}");
    insta::assert_snapshot!("missing_image", said);

    write_images(&place.path("some.tar"), &images);
    let (success, said) = place.run(&upstream, &["build", "-o", "out"]);
    assert!(success, "{said}");
    let lock = fs_err::read_to_string(place.path("lifeboat.lock")).unwrap();
    let (_, set) = lock.split_once("[sets.kubernetes]").unwrap();
    let (set, _) = set.split_once("\n[sets.").unwrap();
    for package in ["kubeadm", "kubectl", "kubelet"] {
        let line = format!("name = \"{package}\", version = \"{VERSION}-1.1\"");
        assert!(set.contains(&line), "{set}");
    }
    assert!(set.contains("name = \"iptables\""), "{set}");

    let tools = tools();
    let (manifest, payload) = read_payload(&place, &tools, &format!("kubernetes-{VERSION}-crio"));
    assert_eq!(
        (&*manifest.kubernetes, &*manifest.runtime, &*manifest.cni),
        (VERSION, "cri-o", "bridge")
    );
    assert_eq!(manifest.sandbox_image, "registry.k8s.io/pause:3.10.2");
    let programs = [
        "conmon", "crictl", "crio", "kubeadm", "kubectl", "kubelet", "pinns",
    ];
    assert_eq!(manifest.programs, programs);
    assert_eq!(names(&payload), ["bin", "cni", "images"]);
    assert_eq!(names(&payload.join("bin")), programs);
    assert_eq!(
        names(&payload.join("cni")),
        ["bridge", "host-local", "loopback", "macvlan", "portmap"]
    );
    for (path, says) in [("bin/crio", "crio\n"), ("cni/bridge", "bridge\n")] {
        assert_eq!(fs_err::read(payload.join(path)).unwrap(), program(says));
    }
    let store = payload.join("images");
    check_store(&store);
    skopeo_agrees(&place, &store, &images);

    let manifest = fs_err::read_to_string(place.path("out/manifest.json")).unwrap();
    assert!(manifest.contains(&format!("kubernetes-{VERSION}-crio")));
    let bill = fs_err::read_to_string(place.path("out/sbom.spdx.json")).unwrap();
    assert!(
        bill.contains("pkg:deb/cri-o@1.36.5-1.1?arch=amd64"),
        "{bill}"
    );
    // What the root has for CRI-O, whichever payload is mounted.
    for path in [
        "/usr/bin/conmon",
        "/usr/bin/crun",
        "/usr/bin/crio",
        "/usr/bin/pinns",
        "/usr/lib/systemd/system/crio.service",
        "/etc/systemd/system/multi-user.target.wants/crio.service",
    ] {
        let output = tools
            .command("dump.erofs")
            .arg(format!("--path={path}"))
            .arg(place.path("out/root.erofs"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("NID"),
            "{path}: {text}"
        );
    }

    // The lock is followed, and nothing is made again.
    let (success, said) = place.run(&upstream, &["build", "--locked", "--format", "json"]);
    assert!(success && said.contains("\"made\": []"), "{said}");
}

/// Each image has its own layer on the one that all share.
fn check_store(folder: &Path) {
    let store = containers_storage::read(folder).expect("a store that fits together");
    assert_eq!(store.images.len(), images().len());
    for name in images() {
        let mut all = store.images.iter();
        let image = all.find(|image| image.names == [&*name]);
        let layers = &image.expect("the image").layers;
        let own = fs_err::read_to_string(layers[0].join("name"));
        assert_eq!(own.expect("its file"), name);
        assert!(layers[1].join("etc/passwd").is_file());
        assert_eq!(layers[1], store.images[0].layers[1]);
    }
    // The layers, and the folder of short names.
    assert_eq!(names(&folder.join("overlay")).len(), images().len() + 1 + 1);
}

#[test]
#[ignore = "network"]
fn kubernetes_of_packages_runs_on_what_only_modules_have() {
    let upstream = Upstream::new();
    let definition = upstream
        .definition(
            "1.36.76",
            "  runtime: containerd\n  container_images: [some.tar]\n",
        )
        .replace("  cni: bridge\n", "");
    let place = Place::new(&upstream, &definition);
    // The programs of this version are told of the images of the other, and name those.
    write_images(&place.path("some.tar"), &images());
    let (success, said) = place.run(&upstream, &["build"]);
    assert!(success, "{said}");
    let name = "kubernetes-1.36.76-containerd";
    let (manifest, payload) = read_payload(&place, &tools(), name);
    assert_eq!(
        (&*manifest.runtime, &*manifest.cni),
        ("containerd", "flannel")
    );
    let flannel = |name: &String| name.contains("/flannel:");
    assert!(manifest.images.iter().any(flannel), "{manifest:?}");
    assert_eq!(manifest.images.len(), images().len() + 1);
    assert_eq!(
        names(&payload.join("bin")),
        [
            "containerd",
            "containerd-shim-runc-v2",
            "crictl",
            "ctr",
            "kubeadm",
            "kubectl",
            "kubelet"
        ]
    );
    assert!(payload.join("cni/flannel").is_file());
    assert_eq!(names(&payload), ["bin", "cni", "containerd"]);
}
