//! The configuration of the container runtimes.

use serde_json::{Value as Json, json};

use super::{CNI_CONFIG, CNI_PLUGINS, CRIO_AUTH, Facts, RenderedFile, registries, text};
use crate::{NodeConfig, Runtime};

/// The registries that [`image_policy`] lets through on a node that names none.
pub const POLICY_REGISTRIES: [&str; 8] = [
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.k8s.io",
    "registry.gitlab.com",
];

fn toml(value: &Json) -> String {
    value.as_object().map(text::toml).unwrap_or_default()
}

/// The files of the runtime itself; with the credentials of registries only root reads them.
pub(super) fn runtime_files(node: &NodeConfig, facts: &Facts) -> Vec<RenderedFile> {
    let auth = registries::has_auth(node);
    match facts.runtime {
        Runtime::Containerd => {
            let path = "/etc/containerd/config.toml";
            let mut config = containerd_tables(facts);
            if auth {
                // `registry.configs` is the one place for credentials that containerd itself
                // uses; those of pods are pull secrets.
                config["plugins"]["io.containerd.cri.v1.images"]["registry"]["configs"] =
                    Json::Object(registries::containerd_auth(node));
                vec![RenderedFile::secret(path, toml(&config))]
            } else {
                vec![RenderedFile::new(path, toml(&config))]
            }
        }
        Runtime::CriO => {
            let mut config = crio_tables(facts);
            if auth {
                config["crio"]["image"]["global_auth_file"] = json!(CRIO_AUTH);
            }
            let names = registries::named_registries(node);
            let any = node
                .registries
                .mirrors
                .keys()
                .any(|name| name.as_str() == "*");
            vec![
                RenderedFile::new("/etc/crio/crio.conf.d/20-lifeboat.conf", toml(&config)),
                RenderedFile::new("/etc/containers/storage.conf", storage_config(facts)),
                RenderedFile::new(
                    "/etc/containers/policy.json",
                    // A mirror of every registry is a wish to pull from any.
                    if any {
                        open_policy()
                    } else {
                        image_policy(&names)
                    },
                ),
            ]
        }
    }
}

/// A policy that lets every registry through.
fn open_policy() -> String {
    text::json(&json!({ "default": [{ "type": "insecureAcceptAnything" }] }))
}

/// `/etc/containerd/config.toml`, format 3 (containerd 2).
pub fn containerd_config(facts: &Facts) -> String {
    toml(&containerd_tables(facts))
}

fn containerd_tables(facts: &Facts) -> Json {
    json!({
        "version": 3,
        "root": "/var/lib/containerd",
        "state": "/run/containerd",
        // What no node here uses, each a start-up cost.
        "disabled_plugins": [
            "io.containerd.internal.v1.tracing",
            "io.containerd.nri.v1.nri",
            "io.containerd.snapshotter.v1.blockfile",
            "io.containerd.snapshotter.v1.btrfs",
            "io.containerd.snapshotter.v1.devmapper",
            "io.containerd.snapshotter.v1.erofs",
            "io.containerd.snapshotter.v1.zfs",
            "io.containerd.tracing.processor.v1.otlp",
        ],
        "grpc": { "address": "/run/containerd/containerd.sock" },
        "plugins": {
            "io.containerd.cri.v1.images": {
                "snapshotter": "overlayfs",
                "pinned_images": { "sandbox": facts.pause_image },
                "registry": { "config_path": "/etc/containerd/certs.d" },
            },
            "io.containerd.cri.v1.runtime": {
                "cni": { "bin_dirs": CNI_PLUGINS, "conf_dir": CNI_CONFIG },
                "containerd": {
                    "default_runtime_name": "runc",
                    "runtimes": { "runc": {
                        "runtime_type": "io.containerd.runc.v2",
                        "options": { "BinaryName": facts.oci_runtime, "SystemdCgroup": true },
                    } },
                },
            },
        },
    })
}

/// `/etc/crio/crio.conf.d/20-lifeboat.conf`.
pub fn crio_config(facts: &Facts) -> String {
    toml(&crio_tables(facts))
}

fn crio_tables(facts: &Facts) -> Json {
    json!({ "crio": {
        "runtime": {
            "default_runtime": "crun",
            "cgroup_manager": "systemd",
            "conmon_cgroup": "pod",
            "runtimes": { "crun": {
                "runtime_path": facts.oci_runtime,
                "runtime_root": "/run/crun",
                "monitor_path": facts.monitor,
            } },
        },
        "image": {
            "pause_image": facts.pause_image,
            "pinned_images": facts.pinned_images,
            "signature_policy": "/etc/containers/policy.json",
        },
        "network": { "network_dir": CNI_CONFIG, "plugin_dirs": CNI_PLUGINS },
    } })
}

/// `/etc/containers/storage.conf`: images of the payload beside those that are pulled.
pub fn storage_config(facts: &Facts) -> String {
    toml(&json!({ "storage": {
        "driver": "overlay",
        "runroot": "/run/containers/storage",
        "graphroot": "/var/lib/containers/storage",
        "options": { "additionalimagestores": facts.image_stores },
    } }))
}

/// `/etc/containers/policy.json`: images come from the store or from these registries, and from
/// nowhere else (containers-policy.json(5)).
pub fn image_policy(registries: &[&str]) -> String {
    let accept = || json!([{ "type": "insecureAcceptAnything" }]);
    let docker: serde_json::Map<String, Json> = registries
        .iter()
        .map(|registry| ((*registry).to_owned(), accept()))
        .collect();
    text::json(&json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": docker, "containers-storage": { "": accept() } },
    }))
}

/// `/etc/crictl.yaml`.
pub fn crictl_config(runtime: Runtime) -> String {
    text::yaml(&json!({
        "runtime-endpoint": runtime.socket(),
        "image-endpoint": runtime.socket(),
    }))
}
