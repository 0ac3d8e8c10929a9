//! Kubernetes and CRI-O from package repositories, which the tests make, sign and serve, on
//! top of Debian's own archive. CRI-O itself cannot be had here: what it would read is read back.

#[cfg(test)]
mod place;
#[cfg(test)]
mod repository;
#[cfg(test)]
#[path = "../../../archive/tests/support/mod.rs"]
mod support;

use place::{Place, check_payload, tools};
use repository::{Upstream, VERSION, images, write_images};

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
    check_payload(&place, &tools);
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
