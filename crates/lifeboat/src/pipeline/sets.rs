//! Which package sets a definition needs. Pure: nothing is read but the definition.

use std::collections::BTreeSet;

use lifeboat_archive::{Base, Keys, Repository, Request, Wishes};
use lifeboat_config::{Definition, Runtime, bundle};

/// The packages of the node's root file system.
pub const IMAGE: &str = "image";
/// Programs of the build machine, run from the cache.
pub const TOOLS: &str = "tools";
/// What the container images of the payload take from Debian.
pub const PAYLOAD: &str = "payload";
/// A Go toolchain, where the host's is too old.
pub const GO: &str = "go";

/// Debian's architecture name of what is built.
const ARCHITECTURE: &str = "amd64";

/// Programs of the build machine besides those of the image's build, each with what needs it.
const TOOL_PACKAGES: [&str; 5] = [
    "qemu-system-x86", // machines
    "qemu-utils",      // qemu-img: disks of machines
    "ovmf",            // their firmware
    "seabios",         // what QEMU loads where OVMF is not asked for
    "openssh-client",  // lifeboat ssh
];

/// One set to resolve.
#[derive(Debug)]
pub struct Set {
    /// Its name in the lock.
    pub name: &'static str,
    /// What is asked of the archive.
    pub request: Request,
}

fn request(suite: &str, base: Base, names: Vec<String>) -> Request {
    Request {
        repositories: Repository::debian(suite),
        architecture: ARCHITECTURE.to_owned(),
        wishes: Wishes {
            names,
            base,
            ..Wishes::default()
        },
    }
}

/// The sets that every definition needs, in the order of their names.
pub fn of(definition: &Definition) -> Vec<Set> {
    let image = &definition.image;
    let suite = image.base.suite();
    let base = bundle::base();
    let bundles: Vec<_> = image
        .bundles
        .iter()
        .filter_map(|name| bundle::find(name.as_str()))
        .collect();

    let mut names: BTreeSet<String> = BTreeSet::new();
    names.insert(base.kernel(image.kernel).as_str().to_owned());
    names.extend(
        lifeboat_image::IMAGE_PACKAGES
            .iter()
            .map(|&name| name.to_owned()),
    );
    names.extend(
        base.packages
            .iter()
            .map(|package| package.name.as_str().to_owned()),
    );
    names.extend(
        bundles
            .iter()
            .flat_map(|bundle| &bundle.packages)
            .map(|package| package.name.as_str().to_owned()),
    );
    names.extend(image.packages.iter().map(|name| name.as_str().to_owned()));
    if image.runtime() == Runtime::Containerd {
        // The low-level runtime below containerd; CRI-O's packages bring their own.
        names.insert("crun".to_owned());
    }
    let mut root = request(suite, Base::Essential, names.iter().cloned().collect());
    root.wishes.exclude = base
        .without
        .iter()
        .chain(bundles.iter().flat_map(|bundle| &bundle.without))
        .map(|package| package.name.as_str().to_owned())
        .filter(|name| !names.contains(name))
        .collect();

    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let tools = [TOOL_PACKAGES.as_slice(), lifeboat_image::TOOL_PACKAGES].concat();
    vec![
        Set {
            name: IMAGE,
            request: root,
        },
        Set {
            name: PAYLOAD,
            request: request(suite, Base::None, owned(lifeboat_payload::images::PACKAGES)),
        },
        Set {
            name: TOOLS,
            request: request(suite, Base::None, owned(&tools)),
        },
    ]
}

/// The Go toolchain, from the first suite on that has one that is new enough.
pub fn go() -> Set {
    let mut request = request(
        "trixie",
        Base::None,
        vec!["golang-1.26-go/trixie-backports".to_owned()],
    );
    request.repositories.push(Repository {
        keys: Keys::Debian,
        ..Repository::debian_on_demand("trixie-backports")
    });
    Set { name: GO, request }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(text: &str) -> Definition {
        lifeboat_config::parse("lifeboat.yaml", text.as_bytes()).unwrap()
    }

    fn names(text: &str) -> Vec<String> {
        of(&definition(text)).remove(0).request.wishes.names
    }

    #[test]
    fn packages_of_bundles_and_the_user_are_asked_for() {
        let names = names("image: {bundles: [cockpit], packages: [htop]}");
        for name in [
            "systemd",
            "cockpit-ws",
            "htop",
            "crun",
            "linux-image-cloud-amd64",
        ] {
            assert!(names.iter().any(|one| one == name), "{name}");
        }
    }

    #[test]
    fn what_a_bundle_bans_is_banned() {
        let sets = of(&definition("image: {bundles: [cockpit]}"));
        assert!(
            sets[0]
                .request
                .wishes
                .exclude
                .contains("cockpit-packagekit")
        );
    }

    #[test]
    fn the_kernel_can_be_chosen() {
        let names = names("image: {kernel: generic}");
        assert!(names.iter().any(|one| one == "linux-image-amd64"));
        assert!(!names.iter().any(|one| one == "linux-image-cloud-amd64"));
    }
}
