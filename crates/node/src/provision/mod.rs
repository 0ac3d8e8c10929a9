//! Kubernetes on this node, by kubeadm, in the order that wastes no time.
//!
//! kubeadm is called twice. The first call, started by the initrd beside systemd, makes files:
//! certificates, kubeconfigs, manifests, the kubelet's configuration. So the kubelet starts
//! with the first units, and the API server with it, which is most of what a start takes. The
//! second call, when the API answers, uploads the configuration and brings the add-ons. At
//! later boots nothing of kubeadm runs.

mod address;
mod api;
mod dhcp;
mod join;
mod kubeconfig;
mod manifest;
mod name;
mod plan;
mod ready;

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use fs_err as fs;
use lifeboat_config::{
    Cni, NodeConfig,
    k3s::Plan,
    parse_node,
    render::{self, Facts, PodNetwork},
};

use crate::{
    boot::{self, Boot, write_file},
    init::log,
    report::{self, Event, State},
};
pub(crate) use address::address;
use address::{ADDRESS, wait_for_address};
use api::Api;
use plan::{Mark, Progress, Step, Task, plan};
use ready::{keep_subnet, wait_for_node, wait_for_pods};

/// The programs of the payload, and nothing else: kubeadm would start and stop the kubelet by
/// systemctl if it found it.
const PATH: &str = "/opt/kubernetes/current/bin";
/// The kubelet's unit waits for this file at the first boot (kubelet.path).
const KUBELET_READY: &str = "/run/lifeboat/kubelet-files";
/// Why the files could not be made.
const FILES_FAILED: &str = "/run/lifeboat/files-failed";
/// How long the API server may take.
const API: Duration = Duration::from_mins(10);

/// Why a node has no Kubernetes.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no payload, so there is nothing to provision.
    #[error("no Kubernetes payload is mounted on this node")]
    NoPayload,
    /// No interface has an address.
    #[error("the network gave this node no address within {} s", ADDRESS.as_secs())]
    NoAddress,
    /// kubeadm failed.
    #[error("kubeadm {what} failed ({status}); its output is in {log}")]
    Kubeadm {
        /// Which call.
        what: &'static str,
        /// Its exit.
        status: std::process::ExitStatus,
        /// Its log.
        log: String,
    },
    /// The configuration asks for what cannot be.
    #[error("{0}")]
    Refused(String),
    /// The files were not made; the process that makes them said why.
    #[error("{0}")]
    Files(String),
    /// The API did not come up.
    #[error("the API server is not well after {} s ({}); see /var/log/pods and `journalctl -u kubelet`", API.as_secs(), .0)]
    NoApi(String),
    /// The API refused something.
    #[error(transparent)]
    Api(#[from] api::ApiError),
    /// A manifest of ours is wrong.
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
}

trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, ProvisionError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &str) -> Result<T, ProvisionError> {
        self.map_err(|source| ProvisionError::Io {
            what: what.to_owned(),
            source,
        })
    }
}

/// What flanneld will write for this node, if it is known before: that of the first node at the
/// first boot of a control plane, the kept one later.
pub(crate) fn flannel_subnet_env(config: &NodeConfig, facts: &Facts) -> Option<String> {
    let pods = PodNetwork::of(config, facts);
    let kept = fs::read_to_string(Path::new(plan::MARKS).join("subnet")).ok();
    let first = match (kept, render::plan(config, facts).action) {
        (Some(kept), _) => kept.trim().to_owned(),
        (None, lifeboat_config::k3s::Action::Init { .. }) => pods.first_address(),
        (None, _) => return None,
    };
    Some(render::flannel_subnet_env(&pods, &first))
}

/// What a node is provisioned from.
struct Setup {
    boot: Boot,
    config: NodeConfig,
    facts: Facts,
    plan: Plan,
}

impl Setup {
    fn read() -> Result<Self, ProvisionError> {
        let boot = Boot::read().doing("cannot read what the boot left")?;
        let facts = boot.facts().ok_or(ProvisionError::NoPayload)?;
        let text = fs::read(boot::CONFIG).doing("cannot read the node's configuration")?;
        // It was written by this program.
        let config = parse_node(boot::CONFIG, &text).unwrap_or_default();
        let plan = render::plan(&config, &facts);
        Ok(Self {
            boot,
            config,
            facts,
            plan,
        })
    }

    /// The node's name in Kubernetes: the one that it was provisioned with, else the one that
    /// it is to have.
    fn node_name(&self) -> String {
        name::kept(Path::new("/")).unwrap_or_else(|| {
            let wanted = self.plan.node_name.as_ref();
            wanted.unwrap_or(&self.boot.hostname).clone()
        })
    }

    fn task(&self) -> Task {
        let task = plan::task(&self.plan.action, Progress::read(Path::new("/")));
        match task {
            Task::Join(_) if join::is_member() => Task::Worker,
            Task::Join(_) if self.facts.cni == lifeboat_config::Cni::Bridge => Task::Refused(
                "the pod network `bridge` is for one node: build the image with `cni: flannel` to join a cluster".to_owned(),
            ),
            other => other,
        }
    }
}

/// Whether this node has made a cluster, or joined one.
pub(crate) fn is_provisioned() -> bool {
    let progress = Progress::read(Path::new("/"));
    [progress.files, progress.joined].contains(&Mark::There)
}

/// Makes a log anew that only root may read: programs may tell secrets.
fn log_file(path: &Path) -> io::Result<std::fs::File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(path)?.into_file())
}

/// Starts [`prepare`] as a process of its own, which goes on while systemd starts.
pub(crate) fn prepare_in_background() {
    let start = || -> io::Result<()> {
        let log = log_file(&Path::new(boot::LOGS).join("prepare"))?;
        Command::new("/usr/bin/lifeboat")
            .args(["node", "prepare"])
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(())
    };
    if let Err(error) = start() {
        log(
            3,
            &format!("cannot start the making of Kubernetes' files: {error}"),
        );
        leave_to_service(&error.to_string());
    }
}

/// Lets the service make the files, which waits for them otherwise.
pub(crate) fn leave_to_service(why: &str) {
    // If this fails, the service waits in vain for a while and then makes them.
    let _ = fs::write(FILES_FAILED, why);
}

/// Makes all that a control plane needs to start. Done once; what an interrupted attempt left is
/// removed first.
///
/// # Errors
/// [`ProvisionError`]; also reported.
pub fn prepare() -> Result<(), ProvisionError> {
    let made = make_files();
    if let Err(error) = &made {
        leave_to_service(&error.to_string());
    }
    made
}

fn make_files() -> Result<(), ProvisionError> {
    let setup = Setup::read()?;
    match setup.task() {
        Task::ControlPlane => make_control_plane(setup),
        Task::Worker => join::start_kubelet(&setup),
        // It needs the network; the service does it.
        Task::Join(_) => Ok(()),
        Task::Refused(why) => Err(ProvisionError::Refused(why)),
    }
}

fn make_control_plane(mut setup: Setup) -> Result<(), ProvisionError> {
    let steps = plan(Progress::read(Path::new("/")));
    if steps.contains(&Step::Clean) {
        report::step(
            "kubeadm",
            "clean",
            State::Started,
            "an earlier attempt was interrupted",
        );
        for path in plan::LEFTOVERS {
            remove(Path::new(path)).doing("cannot remove what an interrupted attempt left")?;
        }
    }
    if steps.contains(&Step::Files) {
        report::step("kubeadm", "address", State::Started, "");
        let address = wait_for_address(&setup.config)?;
        report::step("kubeadm", "address", State::Done, address.to_string());
        setup.facts.advertise_address = Some(address);
        name::begin(Path::new("/"), &setup.boot.hostname).doing(name::WHAT)?;
        join::write_kubeadm_files(&setup)?;
        kubeadm("files", plan::NOT_FILES)?;
        rotate_from_the_start().doing("cannot set up the kubelet's certificate")?;
        move_manifests(plan::MANIFESTS, plan::WAITING)
            .doing("cannot hold back static pods until the API answers")?;
        name::settle(Path::new("/"), &setup.node_name()).doing(name::WHAT)?;
        rustix::fs::sync();
        mark("files")?;
    }
    join::start_kubelet(&setup)
}

/// Lets the kubelet use its certificate from the file that it rotates, as kubeadm's
/// kubelet-finalize does after a first start and with a second.
fn rotate_from_the_start() -> io::Result<()> {
    let path = Path::new("/etc/kubernetes/kubelet.conf");
    let text = fs::read_to_string(path)?;
    let Some(credentials) = kubeconfig::credentials(&text) else {
        return Ok(());
    };
    let pem = [credentials.certificate, credentials.key].concat();
    boot_folder("/var/lib/kubelet/pki", 0o700)?;
    write_file(Path::new(kubeconfig::ROTATED), &pem, 0o600)?;
    write_file(
        path,
        kubeconfig::with_rotated_file(&text, kubeconfig::ROTATED).as_bytes(),
        0o600,
    )
}

/// Moves the manifests that are held back, as far as they are in `from`. The kubelet takes each
/// as a whole, as it is renamed.
fn move_manifests(from: &str, to: &str) -> io::Result<()> {
    boot_folder(to, 0o700)?;
    for name in plan::HELD_BACK {
        let from = Path::new(from).join(name);
        if from.exists() {
            fs::rename(&from, Path::new(to).join(name))?;
        }
    }
    Ok(())
}

fn boot_folder(path: &str, mode: u32) -> io::Result<()> {
    crate::init::make_folder(Path::new(path), mode)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn mark(name: &str) -> Result<(), ProvisionError> {
    write_file(&Path::new(plan::MARKS).join(name), b"", 0o644)
        .doing("cannot note the progress of provisioning")
}

/// Asks until there is an answer or the time is over.
fn wait<T>(limit: Duration, pause: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(pause);
    }
}

/// The arguments of `kubeadm init` without these phases. It would print the bootstrap token,
/// which is for no log.
fn init_arguments(skip: &str) -> [&str; 6] {
    [
        "init",
        "--config",
        render::KUBEADM_CONFIG,
        "--skip-token-print",
        "--skip-phases",
        skip,
    ]
}

/// Runs `kubeadm init` without these phases and reports it.
fn kubeadm(what: &'static str, skip: &str) -> Result<(), ProvisionError> {
    report::step("kubeadm", what, State::Started, "");
    let log = Path::new(boot::LOGS).join(format!("kubeadm-{what}"));
    let status = log_file(&log)
        .and_then(|file| {
            Command::new(Path::new(PATH).join("kubeadm"))
                .args(init_arguments(skip))
                .env_clear()
                .env("PATH", PATH)
                .env("HOME", "/root")
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file)
                .status()
        })
        .doing("cannot run kubeadm")?;
    if status.success() {
        report::step("kubeadm", what, State::Done, "");
        return Ok(());
    }
    let error = ProvisionError::Kubeadm {
        what,
        status,
        log: log.display().to_string(),
    };
    let text = fs::read_to_string(&log).unwrap_or_default();
    report::send(&Event::failed(
        "kubeadm",
        what,
        error.to_string(),
        report::last_lines(&text, 15),
    ));
    Err(error)
}

/// Brings the cluster up, or at a later boot watches it come up: the service.
///
/// # Errors
/// [`ProvisionError`]; also reported. Running it again goes on where it stopped.
pub fn provision() -> Result<(), ProvisionError> {
    let done = match Setup::read().and_then(|setup| bring_up(&setup)) {
        Err(ProvisionError::Refused(why)) => {
            // Trying again would change nothing: the configuration must.
            report::send(&Event::failed("kubeadm", "configuration", why, Vec::new()));
            return Ok(());
        }
        done => done,
    };
    if let Err(error) = &done
        && !matches!(
            error,
            ProvisionError::Kubeadm { .. } | ProvisionError::Files(_)
        )
    {
        report::send(&Event::failed(
            "kubeadm",
            "provision",
            error.to_string(),
            Vec::new(),
        ));
    }
    done
}

fn bring_up(setup: &Setup) -> Result<(), ProvisionError> {
    report::step("userspace", "services", State::Done, "");
    match setup.task() {
        Task::ControlPlane => {
            if let Some(why) = plan::stays(&setup.plan.action) {
                report::step("kubeadm", "role", State::Failed, why);
            }
            bring_up_control_plane(setup)
        }
        Task::Refused(why) => Err(ProvisionError::Refused(why)),
        Task::Join(how) => {
            join::join(setup, &how)?;
            watch_worker(setup)
        }
        Task::Worker => {
            // A host that waits is told that no kubeconfig will come.
            report::step("kubeadm", "join", State::Done, "before this boot");
            mark("joined")?;
            join::start_kubelet(setup)?;
            watch_worker(setup)
        }
    }
}

fn watch_worker(setup: &Setup) -> Result<(), ProvisionError> {
    join::watch(setup)?;
    keep_subnet();
    Ok(())
}

fn bring_up_control_plane(setup: &Setup) -> Result<(), ProvisionError> {
    let waited = wait(Duration::from_mins(15), Duration::from_millis(100), || {
        if Path::new(KUBELET_READY).exists() {
            return Some(Ok(()));
        }
        let reason = fs::read_to_string(FILES_FAILED).ok()?;
        Some(Err(ProvisionError::Files(reason)))
    });
    if !matches!(waited, Some(Ok(()))) {
        // Once more, in this process: the network may be there now.
        remove(Path::new(FILES_FAILED)).doing("cannot try again")?;
        make_files()?;
    }
    let admin = fs::read_to_string("/etc/kubernetes/admin.conf").doing("cannot read admin.conf")?;
    report::kubeconfig(&admin);
    // admin.conf has no rights before the cluster step; this one needs none given.
    let privileged = fs::read_to_string("/etc/kubernetes/super-admin.conf").unwrap_or(admin);
    let credentials = kubeconfig::credentials(&privileged)
        .ok_or(api::ApiError::Credentials("client certificate"))?;
    let api = Api::new(&credentials)?;
    let first = plan(Progress::read(Path::new("/"))).contains(&Step::Cluster);
    // Each answer costs the server time that it starts with, so it is first only looked whether
    // it listens.
    wait(API, Duration::from_millis(200), || {
        Api::listens().then_some(())
    })
    .ok_or_else(|| ProvisionError::NoApi("nothing listens".to_owned()))?;
    move_manifests(plan::WAITING, plan::MANIFESTS).doing("cannot start the held back pods")?;
    // Without a pod network, the user's comes when they bring it: nothing waits for it.
    let network = setup.facts.cni != Cni::None;
    // A node is ready without add-ons, and before the API calls itself alive.
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let cluster = scope.spawn(|| {
            let brought = bring_cluster(&api, setup, &credentials.server, first);
            failed.store(brought.is_err(), Ordering::Relaxed);
            brought
        });
        let ready = wait_for_node(&api, &setup.node_name(), network, &failed);
        cluster.join().unwrap_or_else(|_| {
            Err(ProvisionError::Files(
                "the thread of the add-ons ended".to_owned(),
            ))
        })?;
        ready
    })?;
    wait_for_pods(&api, network)?;
    if first {
        keep_subnet();
    }
    Ok(())
}

/// What follows when the API lives. `server` is where others reach it.
fn bring_cluster(
    api: &Api,
    setup: &Setup,
    server: &str,
    first: bool,
) -> Result<(), ProvisionError> {
    let mut last = String::new();
    let lives = wait(API, Duration::from_secs(1), || match api.lives() {
        Ok(()) => Some(()),
        Err(error) => {
            last = error.to_string();
            None
        }
    });
    lives.ok_or(ProvisionError::NoApi(last))?;
    report::step("kubeadm", "api", State::Done, "");
    if first {
        return bring_add_ons(api, setup, server);
    }
    // Those of the first boot kubeadm makes; the configuration may have another by now.
    for secret in &setup.plan.cluster.secrets {
        apply(api, &render::bootstrap_token(&secret.token()))?;
    }
    Ok(())
}

/// The cluster step. kubeadm's part runs beside ours.
fn bring_add_ons(api: &Api, setup: &Setup, server: &str) -> Result<(), ProvisionError> {
    let cluster = std::thread::spawn(|| kubeadm("cluster", plan::NOT_CLUSTER));
    let applied = apply(api, manifest::ADMINISTRATORS).and_then(|()| {
        let image = setup
            .boot
            .payload
            .as_ref()
            .and_then(|payload| payload.flannel_image.as_deref());
        match image {
            Some(image) => {
                let pods = PodNetwork::of(&setup.config, &setup.facts);
                let command = render::flannel_image_command();
                let text = match kubeconfig::host_and_port(server) {
                    Some(at) => render::flannel_manifest_at(at, image, command, &pods),
                    None => render::flannel_manifest(image, command, &pods),
                };
                apply(api, &text)?;
                report::step("addons", "flannel", State::Done, "");
                Ok(())
            }
            None => Ok(()),
        }
    });
    let kubeadm = cluster.join().unwrap_or(Err(ProvisionError::Files(
        "the thread of kubeadm ended".to_owned(),
    )));
    applied?;
    kubeadm?;
    let expected = render::expected_pods(&setup.config, &setup.facts).join("\n");
    write_file(
        &Path::new(plan::MARKS).join("pods"),
        expected.as_bytes(),
        0o644,
    )
    .doing("cannot note the progress of provisioning")?;
    mark("cluster")
}

fn apply(api: &Api, text: &str) -> Result<(), ProvisionError> {
    for object in manifest::objects(text)? {
        // A server that has just started refuses for a moment what it will know.
        let mut last = None;
        wait(Duration::from_mins(1), Duration::from_millis(250), || {
            last = api.apply(&object.path, &object.text).err();
            last.is_none().then_some(())
        });
        if let Some(error) = last {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_do_not_get_into_logs_that_others_read() {
        let arguments = init_arguments(plan::NOT_CLUSTER);
        assert!(arguments.contains(&"--skip-token-print"));
        assert_eq!(arguments[4..], ["--skip-phases", plan::NOT_CLUSTER]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeadm-cluster");
        log_file(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
