//! From a definition to a disk: the glue between archive, sandbox, payload and image.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use lifeboat_archive::{Lock, Mirrors};
use lifeboat_config::{
    Cni, Definition, Runtime, Size,
    definition::image::{DiskLayout, KubernetesSource},
    render::{self, Facts},
};
use lifeboat_image::{Component, DiskSizes, ImageInputs};
use lifeboat_machine::{Expected, Forward, Tools};
use lifeboat_payload::{Payload, PayloadSpec, SigningKey, Source, go::Toolchain, key};
use lifeboat_sandbox::ToolsTree;

use crate::{cli::DefinitionArg, context::Context, definition::Loaded, hint::Advised, interrupt};

mod blame;
mod delivery;
mod lock;
mod overlay;
mod packages;
mod receipt;
mod sets;
mod stamp;
mod workshop;

pub use delivery::deliver;

use lock::Policy;
use receipt::Visit;
use workshop::{Workshop, lock_file};

/// What a build made, all of it in the cache.
#[derive(Debug)]
pub struct Built {
    /// The folder of artifacts: disks, UKI, kernel, initrd, `cmdline`, manifest, SBOM.
    pub folder: PathBuf,
    /// The disk that machines start from, raw or qcow2.
    pub disk: PathBuf,
    /// The image's id: its root hash.
    pub id: String,
    /// The exact Kubernetes version.
    pub kubernetes: String,
    /// QEMU, firmware, OpenSSH.
    pub tools: Box<dyn Tools>,
    /// A kubectl that runs on this host; a file whose name decides what it is.
    pub kubectl: PathBuf,
    /// Ports of the bundles, to forward.
    pub ports: Vec<Forward>,
    /// The system pods of this definition.
    pub expected: Expected,
    /// What had to be made; empty if all was cached.
    pub made: Vec<String>,
}

/// Whether the lock may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// It is made when there is none, and added to where the definition asks for more.
    Follow,
    /// A lock that would change is an error.
    Locked,
}

impl Locking {
    /// As the command line says.
    pub fn of(arguments: &DefinitionArg) -> Self {
        if arguments.locked {
            Self::Locked
        } else {
            Self::Follow
        }
    }
}

/// What a new lock changes.
#[derive(Debug, serde::Serialize)]
pub struct LockChanges {
    /// Where it is.
    pub lock: PathBuf,
    /// Packages by name: version before and after, either missing if it came or went.
    pub changes: BTreeMap<String, (Option<String>, Option<String>)>,
}

/// Builds what is not cached; where nothing changed since the last build, not even that is
/// looked for.
pub fn build(context: &Context, loaded: &Loaded, locking: Locking) -> Result<Built> {
    let lock_file = lock_file(&loaded.folder);
    let visit = Visit::begin(context, loaded);
    if let Some(visit) = &visit
        && let Some(built) = visit.recall(loaded, &lock_file, SystemTime::now())
    {
        return Ok(built);
    }
    let (built, lock) = build_all(context, loaded, locking)?;
    if let Some(visit) = visit {
        // Without a receipt the next build takes longer, and ends the same.
        let _ = visit.remember(loaded, &lock, &lock_file, &built);
    }
    Ok(built)
}

/// Builds what is not cached, and tells by which lock.
fn build_all(context: &Context, loaded: &Loaded, locking: Locking) -> Result<(Built, Lock)> {
    blame::check_files(loaded)?;
    interrupt::end_soon()?;
    let policy = match locking {
        Locking::Follow => Policy::Follow,
        Locking::Locked => Policy::Locked,
    };
    let workshop = Workshop::new(context)?;
    context.reporter.phase("resolve", "package sets");
    let (lock, _) = settled(&workshop, loaded, &policy)?;
    let tools = workshop.tools(&lock)?;
    let (base, time) = workshop.base(&lock)?;
    context.check_cancel()?;

    let key = key::signing_key(&context.config_folder()?)?;
    let payload = payload(&workshop, loaded, &lock, &tools, &key)
        .map_err(|error| blame::of(loaded, error))?;
    context.check_cancel()?;

    context.reporter.phase("image", "root, UKI and disk");
    let components = match &loaded.definition.image.kubernetes_source {
        KubernetesSource::Packages(_) => packages::components(&lock)?,
        KubernetesSource::Modules => vec![Component {
            name: "kubernetes".to_owned(),
            version: payload.manifest.kubernetes.clone(),
            purl: format!(
                "pkg:golang/k8s.io/kubernetes@v{}",
                payload.manifest.kubernetes
            ),
            license: Some("Apache-2.0".to_owned()),
        }],
    };
    let files = overlay::of_definition(loaded, &base)?;
    let image = lifeboat_image::build(
        &workshop.cache,
        &ImageInputs {
            version: &version(time),
            base: &base,
            program: &std::env::current_exe()?,
            node_files: &overlay::of_node()?,
            files: Some(&files),
            payload: Some((&payload.manifest.name, &payload.path)),
            components: &components,
            public_keys: &[(
                "payload.pem".to_owned(),
                key::public_pem(&key.verifying_key())?.into_bytes(),
            )]
            .into(),
            units: &overlay::units(&loaded.definition),
            command_line: &[],
            state_size: Some(loaded.definition.image.size.state)
                .filter(|size| *size != DiskLayout::default().state)
                .map(Size::bytes),
            sizes: DiskSizes {
                esp: loaded.definition.image.size.esp.bytes(),
                slot: loaded.definition.image.size.slot.bytes(),
            },
            time,
        },
        &tools,
        &context.reporter,
    )
    .map_err(|error| blame::of(loaded, error.into()))?;
    let built = Built {
        disk: image.folder.join("lifeboat.raw"),
        id: image.manifest.root_hash.to_string(),
        kubernetes: payload.manifest.kubernetes.clone(),
        tools: Box::new(tools),
        kubectl: payload.kubectl,
        ports: ports(&loaded.definition),
        expected: expected(&loaded.definition),
        made: image
            .stages
            .iter()
            .filter(|stage| stage.seconds > 0.1)
            .map(|stage| stage.name.to_owned())
            .collect(),
        folder: image.folder,
    };
    Ok((built, lock))
}

/// Ports of the bundles, to forward.
fn ports(definition: &Definition) -> Vec<Forward> {
    overlay::bundles(definition)
        .flat_map(|bundle| &bundle.ports)
        .map(|port| Forward::tcp(&port.name, port.port))
        .collect()
}

/// The lock that answers a definition, and what changed in it.
fn settled(
    workshop: &Workshop<'_>,
    loaded: &Loaded,
    policy: &Policy,
) -> Result<(Lock, Vec<lock::Change>)> {
    let mut sets = sets::of(&loaded.definition, &packages::keys(loaded)?);
    if sets::builds_modules(&loaded.definition.image) && Toolchain::find(None).is_err() {
        sets.push(sets::go());
    }
    lock::settle(workshop, &sets, &lock_file(&loaded.folder), policy)
        .map_err(|error| packages::explain(workshop, loaded, &sets, error))
        .map_err(|error| blame::of(loaded, error))
}

fn payload(
    workshop: &Workshop<'_>,
    loaded: &Loaded,
    lock: &Lock,
    tools: &ToolsTree,
    key: &SigningKey,
) -> Result<Payload> {
    let image = &loaded.definition.image;
    let source = match &image.kubernetes_source {
        KubernetesSource::Modules => {
            let wanted = image.kubernetes.resolved();
            if wanted != lifeboat_payload::KUBERNETES {
                return Err(Advised::new(
                    format!("Kubernetes {wanted} cannot be built by this version of Lifeboat"),
                    format!(
                        "its modules are pinned at {}; name that, or its minor",
                        lifeboat_payload::KUBERNETES
                    ),
                ));
            }
            Source::Modules
        }
        KubernetesSource::Packages(_) => Source::Packages(packages::unpacked(workshop, lock)?),
    };
    let from = match source {
        Source::Modules => "Kubernetes from its modules",
        Source::Packages(_) => "Kubernetes from its packages",
    };
    let spec = PayloadSpec {
        source,
        runtime: sets::runtime(image),
        container_images: image
            .container_images
            .iter()
            .map(|path| loaded.folder.join(path.as_str()))
            .collect(),
        cni: match image.cni {
            Cni::Flannel => lifeboat_payload::Cni::Flannel,
            Cni::Bridge | Cni::None => lifeboat_payload::Cni::Bridge,
        },
    };
    let debs = if lock.sets.contains_key(sets::PAYLOAD) {
        workshop.unpacked(lock, sets::PAYLOAD)?
    } else {
        Vec::new()
    };
    workshop.reporter.phase("payload", from);
    lifeboat_payload::build(
        &workshop.cache,
        &spec,
        tools,
        &debs,
        key,
        workshop.reporter,
        workshop.cancel,
    )
    .map_err(|error| packages::explain_build(loaded, error))
}

/// The system pods of a definition.
fn expected(definition: &Definition) -> Expected {
    let mut expected = Expected::default();
    // Neither version nor name says anything about them.
    let facts = Facts::new("0", Runtime::Containerd, definition.image.cni, "node");
    let system = render::expected_pods(&definition.node, &facts);
    expected
        .pods
        .retain(|(_, pod)| system.contains(&pod.as_str()));
    if definition.image.cni == Cni::Flannel {
        expected
            .pods
            .push(("kube-flannel".to_owned(), "kube-flannel-".to_owned()));
    }
    expected
}

/// The image's version: the time of its newest package, so that versions sort by age.
fn version(time: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(86_400));
    let second = time.rem_euclid(86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}.{hour:02}{minute:02}")
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar.
/// Source: ISO 8601; counted from 1 March, so that the leap day is a year's last.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

/// Makes the lock, or moves the named packages (all if the list is empty) in it.
pub fn lock(context: &Context, loaded: &Loaded, update: Option<&[String]>) -> Result<LockChanges> {
    let policy = match update {
        None => Policy::Follow,
        Some([]) => Policy::UpdateAll,
        Some(names) => Policy::Update(names.to_vec()),
    };
    interrupt::end_soon()?;
    let workshop = Workshop::new(context)?;
    context.reporter.phase("resolve", "package sets");
    let file = lock_file(&loaded.folder);
    let (_, changes) = settled(&workshop, loaded, &policy)?;
    let changes = changes
        .into_iter()
        .map(|change| {
            (
                format!("{}/{}", change.set, change.package),
                (change.before, change.now),
            )
        })
        .collect();
    Ok(LockChanges {
        lock: file,
        changes,
    })
}

/// The lock of the tools that verbs need which have no definition at hand.
const TOOLS_LOCK: &str = "tools.lock";

/// The tools tree, fetched if it is not there.
pub fn tools(context: &Context) -> Result<Box<dyn Tools>> {
    let workshop = Workshop::new(context)?;
    context.reporter.phase("resolve", "tools");
    let mut sets = sets::of(&Definition::default(), &[]);
    sets.retain(|set| set.name == sets::TOOLS);
    let file = workshop.cache.root().join(TOOLS_LOCK);
    let (lock, _) = lock::settle(&workshop, &sets, &file, &Policy::Follow)?;
    Ok(Box::new(workshop.tools(&lock)?))
}

/// The tools tree if it is in the cache; nothing is fetched.
pub fn tools_in_cache(context: &Context) -> Option<Box<dyn Tools>> {
    let cache = context.cache().ok()?;
    let newest = cache
        .entries_of("tools")
        .ok()?
        .into_iter()
        .max_by_key(|entry| entry.used)?;
    tools_at(&newest.path)
}

/// The tools tree that is in this folder, if it is still there.
pub fn tools_at(root: &Path) -> Option<Box<dyn Tools>> {
    let tools = ToolsTree::open(root).ok()?;
    Some(Box::new(tools))
}

/// An address on the mirror in use that answers `HEAD`.
pub fn mirror() -> String {
    let mirrors = Mirrors::of_host(|name| std::env::var_os(name));
    let debian = lifeboat_archive::DEBIAN;
    let url = mirrors.urls(debian).into_iter().next();
    format!(
        "{}/dists/trixie/InRelease",
        url.as_deref().unwrap_or(debian)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        assert_eq!(version(0), "19700101.0000");
        assert_eq!(version(951_826_859), "20000229.1220");
        assert_eq!(version(1_795_392_000), "20261123.0000");
    }
}
