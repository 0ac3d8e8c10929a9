//! Which package sets a definition needs. Pure: nothing is read but the definition.

use std::collections::BTreeSet;

use lifeboat_archive::{Base, Keys, Repository, Request, Wishes};
use lifeboat_config::{
    Cni, Definition, ImageConfig, Runtime, bundle, definition::image::KubernetesSource,
};
use lifeboat_payload::packages;

/// The packages of the node's root file system.
pub const IMAGE: &str = "image";
/// Programs of the build machine, run from the cache.
pub const TOOLS: &str = "tools";
/// What the container images of the payload take from Debian.
pub const PAYLOAD: &str = "payload";
/// Kubernetes and its runtime, where they come from packages.
pub const KUBERNETES: &str = "kubernetes";
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

/// The runtime of a definition's payload.
pub fn runtime(image: &ImageConfig) -> lifeboat_payload::Runtime {
    match image.runtime() {
        Runtime::Containerd => lifeboat_payload::Runtime::Containerd,
        Runtime::CriO => lifeboat_payload::Runtime::CriO,
    }
}

/// Whether a part of the payload is built from Go modules: Kubernetes itself, containerd, or
/// flannel, which no package has.
pub fn builds_modules(image: &ImageConfig) -> bool {
    image.kubernetes_source == KubernetesSource::Modules
        || image.runtime() == Runtime::Containerd
        || image.cni == Cni::Flannel
}

/// Kubernetes and its runtime from the definition's repositories, whose keys are `keys`; what
/// they need is Debian's.
fn kubernetes(image: &ImageConfig, keys: &[String]) -> Option<Set> {
    if image.kubernetes_source == KubernetesSource::Modules {
        return None;
    }
    let version = image.kubernetes;
    let names = packages::wishes(version.minor(), version.named_patch(), runtime(image));
    let mut request = request(image.base.suite(), Base::None, names);
    let own = image.repositories().iter().zip(keys);
    request
        .repositories
        .extend(own.map(|(one, key)| Repository {
            url: one.url.as_str().trim_end_matches('/').to_owned(),
            suite: one.suite.clone(),
            components: one.components.clone(),
            keys: Keys::Armoured(key.clone()),
            // Before packages of the same name that Debian has.
            priority: Some(600),
        }));
    Some(Set {
        name: KUBERNETES,
        request,
    })
}

/// The sets that a definition needs. `keys` are those of its repositories, in their order.
pub fn of(definition: &Definition, keys: &[String]) -> Vec<Set> {
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
    // The low-level runtime, and CRI-O's monitor of containers, where its package brings none.
    names.insert("crun".to_owned());
    if image.runtime() == Runtime::CriO {
        names.insert("conmon".to_owned());
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
    // The definition's own repositories first, as they are what is wrong most often.
    let mut sets: Vec<Set> = kubernetes(image, keys).into_iter().collect();
    sets.push(Set {
        name: IMAGE,
        request: root,
    });
    if builds_modules(image) {
        sets.push(Set {
            name: PAYLOAD,
            request: request(suite, Base::None, owned(lifeboat_payload::images::PACKAGES)),
        });
    }
    sets.push(Set {
        name: TOOLS,
        request: request(suite, Base::None, owned(&tools)),
    });
    sets
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
        of(&definition(text), &[]).remove(0).request.wishes.names
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
        let sets = of(&definition("image: {bundles: [cockpit]}"), &[]);
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

    #[test]
    fn kubernetes_from_packages_is_a_set_of_its_own() {
        let text = "image: {cni: bridge, kubernetes: 1.36.3, kubernetes_source: {packages: \
                    [{url: 'https://one.example/deb/', key: a}, {url: 'https://two.example', key: b}]}}";
        let keys = ["one".to_owned(), "two".to_owned()];
        let sets = of(&definition(text), &keys);
        let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
        assert_eq!(names, [KUBERNETES, IMAGE, TOOLS]);
        let Request {
            repositories,
            wishes,
            ..
        } = &sets[0].request;
        let own: Vec<_> = repositories
            .iter()
            .filter(|one| one.keys != Keys::Debian)
            .collect();
        assert_eq!(own.len(), 2);
        assert_eq!(
            (&*own[0].url, &*own[0].suite, &own[1].keys),
            (
                "https://one.example/deb",
                "./",
                &Keys::Armoured("two".to_owned())
            )
        );
        assert!(
            wishes
                .names
                .contains(&"kubelet (>= 1.36.3-0), kubelet (<< 1.36.4~)".to_owned())
        );
        assert!(
            wishes
                .names
                .contains(&"cri-o (>= 1.36.0-0), cri-o (<< 1.37~)".to_owned())
        );
        let image = &sets[1].request.wishes.names;
        for name in ["conmon", "crun"] {
            assert!(image.iter().any(|one| one == name), "{name}");
        }
        let flannel = of(&definition(&text.replace("bridge", "flannel")), &keys);
        assert!(flannel.iter().any(|set| set.name == PAYLOAD));
    }
}
