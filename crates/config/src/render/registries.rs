//! Registries of container images: what containerd and CRI-O read.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use super::{POLICY_REGISTRIES, RenderedFile, RenderedLink, text};
use crate::{
    NodeConfig, Runtime,
    definition::{
        system::{RegistryAccess, RegistryTls},
        types::system::{
            CertificateSource, Endpoint, PrivateKeySource, RegistryHost, RegistrySecret,
            RegistryUser,
        },
    },
};

/// Where containerd looks for the hosts of a registry.
pub const CONTAINERD_HOSTS: &str = "/etc/containerd/certs.d";
/// The credentials that CRI-O pulls with.
pub const CRIO_AUTH: &str = "/etc/crio/auth.json";

/// The name of the file of a private key, which only root may read.
const KEY_FILE: &str = "client.key";

/// The files of `registries` for this runtime, besides credentials in its own configuration.
pub fn registry_files(node: &NodeConfig, runtime: Runtime) -> Vec<RenderedFile> {
    match runtime {
        Runtime::Containerd => containerd(node),
        Runtime::CriO => crio(node),
    }
}

/// Docker's hub has one name in images and another one as a host.
fn server_of(registry: &str) -> &str {
    match registry {
        "docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Scheme, host and path of an endpoint.
fn parts(endpoint: &Endpoint) -> (&str, &str, &str) {
    let (scheme, rest) = endpoint.as_str().split_once("://").unwrap_or(("https", ""));
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    (scheme, host, path.trim_end_matches('/'))
}

fn access<'a>(node: &'a NodeConfig, host: &str) -> Option<&'a RegistryAccess> {
    let configs = &node.registries.configs;
    let named = |host: &str| configs.iter().find(|(key, _)| key.as_str() == host);
    let found = named(host).or_else(|| match host {
        "registry-1.docker.io" => named("docker.io"),
        _ => None,
    });
    found.map(|(_, access)| access)
}

/// A PEM text that gets a file of its own, or the path that the user named.
fn source(text: &str, folder: &str, name: &str, files: &mut Vec<RenderedFile>) -> String {
    if text.starts_with('/') {
        return text.to_owned();
    }
    let path = format!("{folder}/{name}");
    let content = format!("{}\n", text.trim_end());
    files.push(if name == KEY_FILE {
        RenderedFile::secret(&*path, content)
    } else {
        RenderedFile::new(&*path, content)
    });
    path
}

/// The certificates of a registry by the names that CRI-O knows.
fn tls_files(tls: &RegistryTls) -> [(&'static str, Option<&str>); 3] {
    [
        ("ca.crt", tls.ca.as_ref().map(CertificateSource::as_str)),
        (
            "client.cert",
            tls.cert.as_ref().map(CertificateSource::as_str),
        ),
        (KEY_FILE, tls.key.as_ref().map(PrivateKeySource::as_str)),
    ]
}

/// What hosts.toml says of certificates (containerd's docs/hosts.md).
fn trust(
    tls: Option<&RegistryTls>,
    folder: &str,
    files: &mut Vec<RenderedFile>,
) -> Map<String, Json> {
    let mut settings = Map::new();
    let Some(tls) = tls else {
        return settings;
    };
    if let Some(ca) = &tls.ca {
        settings.insert(
            "ca".into(),
            json!(source(ca.as_str(), folder, "ca.crt", files)),
        );
    }
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        let pair = [
            source(cert.as_str(), folder, "client.cert", files),
            source(key.as_str(), folder, KEY_FILE, files),
        ];
        settings.insert("client".into(), json!([pair]));
    }
    if tls.insecure_skip_verify {
        settings.insert("skip_verify".into(), json!(true));
    }
    settings
}

fn containerd(node: &NodeConfig) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    let registries = &node.registries;
    let mut names: Vec<&RegistryHost> = registries.mirrors.keys().collect();
    // A registry without mirrors may have certificates of its own.
    names.extend(
        registries
            .configs
            .iter()
            .filter(|(name, access)| {
                access.tls.is_some() && !registries.mirrors.contains_key(*name)
            })
            .map(|(name, _)| name),
    );
    for name in names {
        let any = name.as_str() == "*";
        let folder = match name.as_str() {
            "*" => format!("{CONTAINERD_HOSTS}/_default"),
            name => format!("{CONTAINERD_HOSTS}/{name}"),
        };
        let mut root = Map::new();
        if !any {
            let server = server_of(name.as_str());
            root.insert("server".into(), json!(format!("https://{server}")));
            let tls = access(node, server).or_else(|| access(node, name.as_str()));
            let tls = tls.and_then(|access| access.tls.as_ref());
            root.extend(trust(tls, &folder, &mut files));
        }
        let mut hosts = Map::new();
        let endpoints = registries.mirrors.get(name).map(|one| &one.endpoints);
        for endpoint in endpoints.into_iter().flatten() {
            let (scheme, host, path) = parts(endpoint);
            let mut settings = Map::new();
            settings.insert("capabilities".into(), json!(["pull", "resolve"]));
            // A path other than the registry's own is the whole path of its API.
            let url = if matches!(path, "" | "/v2") {
                format!("{scheme}://{host}")
            } else {
                settings.insert("override_path".into(), json!(true));
                format!("{scheme}://{host}{path}")
            };
            let tls = access(node, host).and_then(|access| access.tls.as_ref());
            let folder = format!("{CONTAINERD_HOSTS}/{host}");
            settings.extend(trust(tls, &folder, &mut files));
            hosts.insert(url, Json::Object(settings));
        }
        if !hosts.is_empty() {
            root.insert("host".into(), Json::Object(hosts));
        }
        files.push(RenderedFile::new(
            format!("{folder}/hosts.toml"),
            text::toml(&root),
        ));
    }
    once_each(files)
}

/// The certificates of a host may be asked for several times.
fn once_each(files: Vec<RenderedFile>) -> Vec<RenderedFile> {
    let by_path: BTreeMap<String, RenderedFile> = files
        .into_iter()
        .map(|file| (file.path.clone(), file))
        .collect();
    by_path.into_values().collect()
}

/// Credentials for containerd's configuration: `registry.configs`, by the host that is asked.
pub(super) fn containerd_auth(node: &NodeConfig) -> Map<String, Json> {
    let mut configs = Map::new();
    for (host, access) in &node.registries.configs {
        let Some(auth) = &access.auth else {
            continue;
        };
        let mut settings = Map::new();
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                settings.insert(key.to_owned(), json!(value));
            }
        };
        set("username", auth.username.as_ref().map(RegistryUser::as_str));
        set(
            "password",
            auth.password.as_ref().map(RegistrySecret::as_str),
        );
        set(
            "identitytoken",
            auth.token.as_ref().map(RegistrySecret::as_str),
        );
        configs.insert(
            server_of(host.as_str()).to_owned(),
            json!({ "auth": settings }),
        );
    }
    configs
}

/// Whether there are credentials, which the runtime's configuration must keep to itself.
pub(super) fn has_auth(node: &NodeConfig) -> bool {
    let mut configs = node.registries.configs.values();
    configs.any(|access| access.auth.is_some())
}

/// The registries of the configuration beside [`POLICY_REGISTRIES`]: images may come from them.
pub fn named_registries(node: &NodeConfig) -> Vec<&str> {
    let mut names: Vec<&str> = POLICY_REGISTRIES.into();
    let registries = &node.registries;
    for name in registries.mirrors.keys().chain(registries.configs.keys()) {
        if !names.contains(&name.as_str()) && name.as_str() != "*" {
            names.push(name.as_str());
        }
    }
    names
}

fn crio(node: &NodeConfig) -> Vec<RenderedFile> {
    let registries = &node.registries;
    let mut files = Vec::new();
    let skips = |host: &str| {
        let tls = access(node, host).and_then(|access| access.tls.as_ref());
        tls.is_some_and(|tls| tls.insecure_skip_verify)
    };
    let mut entries: BTreeMap<&str, Json> = BTreeMap::new();
    let add = |name: &str, endpoints: &[Endpoint]| -> Json {
        let mirrors: Vec<Json> = endpoints
            .iter()
            .map(|endpoint| {
                let (scheme, host, path) = parts(endpoint);
                let path = path.strip_prefix("/v2").unwrap_or(path);
                json!({
                    "location": format!("{host}{path}"),
                    "insecure": scheme == "http" || skips(host),
                })
            })
            .collect();
        json!({
            "prefix": name,
            "location": name,
            "insecure": skips(server_of(name)),
            "mirror": mirrors,
        })
    };
    let any = registries
        .mirrors
        .iter()
        .find(|(name, _)| name.as_str() == "*");
    if let Some((_, mirror)) = any {
        // There is no pattern for every registry: those that images may come from are named.
        for name in named_registries(node) {
            entries.insert(name, add(name, &mirror.endpoints));
        }
    }
    for (name, mirror) in &registries.mirrors {
        if name.as_str() != "*" {
            entries.insert(name.as_str(), add(name.as_str(), &mirror.endpoints));
        }
    }
    for name in registries.configs.keys() {
        let name = name.as_str();
        if skips(name) && !entries.contains_key(name) {
            entries.insert(name, add(name, &[]));
        }
    }
    if !entries.is_empty() {
        let list: Vec<Json> = entries.into_values().collect();
        let root = Map::from_iter([("registry".to_owned(), Json::Array(list))]);
        files.push(RenderedFile::new(
            "/etc/containers/registries.conf.d/90-lifeboat.conf",
            text::toml(&root),
        ));
    }
    for (host, access) in &registries.configs {
        let folder = format!("/etc/containers/certs.d/{}", server_of(host.as_str()));
        let Some(tls) = &access.tls else {
            continue;
        };
        // CRI-O reads this folder and no other: for files elsewhere there are `registry_links`.
        for (name, text) in tls_files(tls) {
            if let Some(text) = text {
                source(text, &folder, name, &mut files);
            }
        }
    }
    if has_auth(node) {
        let auths: Map<String, Json> = registries
            .configs
            .iter()
            .filter_map(|(host, access)| {
                let auth = access.auth.as_ref()?;
                let mut entry = Map::new();
                if let (Some(name), Some(password)) = (&auth.username, &auth.password) {
                    let pair = format!("{}:{}", name.as_str(), password.as_str());
                    entry.insert("auth".into(), json!(STANDARD.encode(pair)));
                }
                if let Some(token) = &auth.token {
                    entry.insert("identitytoken".into(), json!(token.as_str()));
                }
                Some((host.as_str().to_owned(), Json::Object(entry)))
            })
            .collect();
        files.push(RenderedFile::secret(
            CRIO_AUTH,
            text::json(&json!({ "auths": auths })),
        ));
    }
    once_each(files)
}

/// Links to certificates that the user has on the node already, where CRI-O looks for them.
pub fn registry_links(node: &NodeConfig) -> Vec<RenderedLink> {
    let mut links = Vec::new();
    for (host, access) in &node.registries.configs {
        let folder = format!("/etc/containers/certs.d/{}", server_of(host.as_str()));
        let Some(tls) = &access.tls else {
            continue;
        };
        for (name, path) in tls_files(tls) {
            if let Some(path) = path.filter(|path| path.starts_with('/')) {
                links.push(RenderedLink::new(format!("{folder}/{name}"), path));
            }
        }
    }
    links
}
