//! Kubernetes from packages: the keys of its repositories, its packages, and what is wrong with
//! them in terms of the definition.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use fs_err as fs;
use lifeboat_archive::{
    DEBIAN, DEBIAN_SECURITY, Lock, LockedPackage, LockedSet, Request, ResolveError, Version,
    Wishes, versions,
};
use lifeboat_config::{Finding, Findings};
use lifeboat_image::Component;
use lifeboat_payload::{
    BuildError,
    packages::{self, Packages, PackagesError},
};

use super::{
    sets::{self, Set},
    workshop::Workshop,
};
use crate::{definition::Loaded, hint::Advised};

/// Where repositories are in a definition.
const KEY: &str = "image.kubernetes_source.packages";
/// More versions than this help nobody.
const MOST_VERSIONS: usize = 8;

/// The armoured keys of the definition's repositories, in their order.
pub fn keys(loaded: &Loaded) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for (index, repository) in loaded.definition.image.repositories().iter().enumerate() {
        if let Some(text) = repository.inline_key() {
            keys.push(text.to_owned());
            continue;
        }
        let name = repository.key.as_str();
        let finding = |code, message| {
            let url = repository.url.as_str().trim_end_matches('/');
            let hint = format!(
                "fetch the armoured key: `curl -fsSL {url}/Release.key -o {name}`; `gpg --armor \
                 --export` makes one of a keyring"
            );
            let path = format!("{KEY}[{index}].key");
            Findings(vec![loaded.finding(&path, code, message, Some(hint))])
        };
        let bytes = match fs::read(loaded.folder.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("there is no file `{name}`");
                return Err(finding("missing-file", message).into());
            }
            bytes => bytes?,
        };
        match String::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") => keys.push(text),
            _ => {
                let message = format!("`{name}` is no armoured OpenPGP key");
                return Err(finding("bad-key", message).into());
            }
        }
    }
    Ok(keys)
}

/// An error of resolving, at the place of the definition that it is about.
pub fn explain(
    workshop: &Workshop<'_>,
    loaded: &Loaded,
    sets: &[Set],
    error: anyhow::Error,
) -> anyhow::Error {
    let set = sets.iter().find(|set| set.name == sets::KUBERNETES);
    let Some(set) = set else {
        return error;
    };
    let about = match error.downcast_ref::<ResolveError>() {
        Some(ResolveError::Signature { url, source }) => {
            let hint = "if the repository changed its key, fetch the new one; else something on \
                        the way changed the file";
            let message = format!("{url} is refused: {source}");
            Some((url, "key", "bad-signature", message, hint))
        }
        Some(error @ ResolveError::NoRelease { repository }) => {
            let hint = "a flat repository's URL is that of the folder with `InRelease` in it";
            let message = error.to_string();
            Some((repository, "url", "no-repository", message, hint))
        }
        Some(ResolveError::Unsolvable(_)) => {
            return match lacks(workshop, loaded, &set.request) {
                Ok(findings) if !findings.is_empty() => Findings(findings).into(),
                _ => error,
            };
        }
        _ => None,
    };
    let Some((url, key, code, message, hint)) = about else {
        return error;
    };
    let repositories = loaded.definition.image.repositories();
    let index = repositories
        .iter()
        .position(|one| url.starts_with(one.url.as_str().trim_end_matches('/')));
    match index {
        Some(index) => {
            let path = format!("{KEY}[{index}].{key}");
            let hint = Some(hint.to_owned());
            Findings(vec![loaded.finding(&path, code, message, hint)]).into()
        }
        None => error,
    }
}

/// What of the wanted packages the definition's repositories do not have.
fn lacks(workshop: &Workshop<'_>, loaded: &Loaded, request: &Request) -> Result<Vec<Finding>> {
    let image = &loaded.definition.image;
    let runtime = sets::runtime(image);
    let names = packages::names(runtime);
    let debian = |url: &str| [DEBIAN, DEBIAN_SECURITY].contains(&url);
    let found = versions(
        &workshop.cache,
        &Request {
            repositories: request
                .repositories
                .iter()
                .filter(|one| !debian(&one.url))
                .cloned()
                .collect(),
            architecture: request.architecture.clone(),
            wishes: Wishes {
                names: names.iter().map(|&name| name.to_owned()).collect(),
                ..Wishes::default()
            },
        },
        &workshop.mirrors,
        workshop.reporter,
        workshop.cancel,
        SystemTime::now(),
    )?;
    let (minor, patch) = (image.kubernetes.minor(), image.kubernetes.named_patch());
    let mut findings = Vec::new();
    for name in names {
        let versions = found.get(name).map_or(&[][..], Vec::as_slice);
        if versions.is_empty() {
            let message = format!("none of these repositories has the package `{name}`");
            let hint = "Kubernetes' packages and CRI-O's are in two repositories: name both";
            let hint = Some(hint.to_owned());
            findings.push(loaded.finding(KEY, "no-package", message, hint));
        } else if !versions
            .iter()
            .any(|version| packages::fits(name, version.as_str(), minor, patch))
        {
            let mut shown: Vec<&str> = versions.iter().map(Version::as_str).collect();
            let more = shown.len().saturating_sub(MOST_VERSIONS);
            shown.truncate(MOST_VERSIONS);
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "the repositories have no {name} of {}; they have {}{more}",
                image.kubernetes,
                shown.join(", ")
            );
            let hint = format!(
                "each minor has a repository of its own: name that of 1.{minor}, or a version \
                 that is there"
            );
            let key = "image.kubernetes";
            findings.push(loaded.finding(key, "unavailable-version", message, Some(hint)));
        }
    }
    Ok(findings)
}

/// Images of the control plane that were not given, at the place where they would be.
pub fn explain_build(loaded: &Loaded, error: BuildError) -> anyhow::Error {
    match &error {
        BuildError::Packages(PackagesError::Images { missing, .. }) => {
            let (path, code) = ("image.container_images", "missing-images");
            let hint = "save each, as by `skopeo copy docker://NAME oci-archive:FILE:NAME` or \
                        `docker save NAME -o FILE`, and name the files there";
            let message = format!(
                "the control plane's images are not in its packages; these are not given: {}",
                missing.join(", ")
            );
            Findings(vec![loaded.finding(
                path,
                code,
                message,
                Some(hint.to_owned()),
            )])
            .into()
        }
        _ => error.into(),
    }
}

/// The part of a locked set that is not Debian's.
fn own(lock: &Lock) -> Result<LockedSet> {
    let mut set = lock
        .sets
        .get(sets::KUBERNETES)
        .context("the lock has no packages of Kubernetes")?
        .clone();
    let repositories = std::mem::take(&mut set.repositories);
    set.packages.retain(|package| {
        let repository = repositories.get(package.repository);
        repository.is_some_and(|one| ![DEBIAN, DEBIAN_SECURITY].contains(&one.url.as_str()))
    });
    set.repositories = repositories;
    Ok(set)
}

/// Kubernetes' packages, downloaded, verified and unpacked.
pub fn unpacked(workshop: &Workshop<'_>, lock: &Lock) -> Result<Packages> {
    let own = own(lock)?;
    check_dependencies(lock, &own)?;
    let debs = workshop.unpacked_set(&own, sets::KUBERNETES)?;
    Ok(Packages::new(debs)?)
}

/// What Kubernetes' packages need of Debian must be in the image, as the payload has nothing of
/// it.
fn check_dependencies(lock: &Lock, own: &LockedSet) -> Result<()> {
    let set = |name| lock.sets.get(name).map(|set: &LockedSet| &set.packages[..]);
    let image = set(sets::IMAGE).unwrap_or_default();
    let has = |all: &[LockedPackage], name: &str| all.iter().any(|one| one.name == name);
    let missing: Vec<&str> = set(sets::KUBERNETES)
        .unwrap_or_default()
        .iter()
        .map(|package| package.name.as_str())
        .filter(|name| !has(&own.packages, name) && !has(image, name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Advised::new(
        format!("Kubernetes' packages need what the image does not have: {missing}"),
        format!("add them to the image: `packages: [{missing}]`"),
    ))
}

/// Kubernetes' packages, for the list of what is in an image.
pub fn components(lock: &Lock) -> Result<Vec<Component>> {
    let component = |package: &LockedPackage| Component {
        name: package.name.clone(),
        version: package.version.to_string(),
        purl: format!(
            "pkg:deb/{}@{}?arch={}",
            package.name, package.version, package.architecture
        ),
        license: Some("Apache-2.0".to_owned()),
    };
    Ok(own(lock)?.packages.iter().map(component).collect())
}
