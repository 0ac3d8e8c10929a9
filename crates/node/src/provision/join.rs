//! A worker: joins the cluster of the configuration and stays in it.
//!
//! Nothing of it needs the API server of this node, as there is none. kubeadm writes what the
//! kubelet needs and then waits for it, so the kubelet is let go while kubeadm still runs. Once
//! joined, a node has nothing to do at later boots but to start its kubelet.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use fs_err as fs;
use lifeboat_config::{Cni, k3s::Join, render};

use super::{
    Doing as _, KUBELET_READY, PATH, ProvisionError, Setup,
    api::{self, Api},
    kubeconfig, log_file, mark, name, plan, remove, wait, wait_for_node,
};
use crate::{
    boot::{self, write_file},
    report::{self, Event, State},
};

/// What the kubelet of a worker starts with; the last of them is written last.
const KUBELET_FILES: [&str; 3] = [
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
];
/// The kubelet's credentials once the cluster has signed them.
const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// After so many failures a host that waits is told; the node goes on.
const TRIES: u32 = 3;
const SHORTEST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Whether the cluster has taken this node in, although the mark of it is missing: the power
/// went between the two.
pub(super) fn is_member() -> bool {
    // A control plane whose making was interrupted has them too.
    if Path::new("/etc/kubernetes/admin.conf").exists() {
        return false;
    }
    KUBELET_FILES[1..]
        .iter()
        .chain(&[KUBELET, kubeconfig::ROTATED])
        .all(|path| Path::new(path).exists())
}

/// Joins, for as long as it takes.
pub(super) fn join(setup: &Setup, how: &Join) -> Result<(), ProvisionError> {
    for path in plan::LEFTOVERS.iter().chain(&KUBELET_FILES) {
        remove(Path::new(path)).doing("cannot remove what an interrupted attempt left")?;
    }
    name::begin(Path::new("/"), &setup.boot.hostname).doing(name::WHAT)?;
    let trust = if setup.config.kubeadm.discovery_ca_hashes.is_empty() {
        "trusting whoever knows the token"
    } else {
        "checking its authority's hash"
    };
    report::step(
        "kubeadm",
        "join",
        State::Started,
        format!("the cluster at {}, {trust}", how.endpoint),
    );
    let mut pause = Pause::default();
    for attempt in 1.. {
        wait_for_server(&how.endpoint);
        let Err(error) = kubeadm_join(setup) else {
            break;
        };
        let text = fs::read_to_string(log()).unwrap_or_default();
        let message = format!("{error}; trying again");
        if attempt == TRIES {
            let lines = report::last_lines(&text, 15);
            report::send(&Event::failed("kubeadm", "join", message, lines));
        } else {
            report::step("kubeadm", "join", State::Failed, message);
        }
        pause.take();
    }
    mark("joined")?;
    report::step(
        "kubeadm",
        "join",
        State::Done,
        format!("the cluster at {}, {trust}", how.endpoint),
    );
    Ok(())
}

/// Pauses that grow.
#[derive(Debug, Default)]
struct Pause(Option<Duration>);

impl Pause {
    fn next(&mut self) -> Duration {
        let next = self
            .0
            .map_or(SHORTEST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(next);
        next
    }

    fn take(&mut self) {
        std::thread::sleep(self.next());
    }
}

/// Waits until something listens at the address, and says what is in the way.
fn wait_for_server(endpoint: &str) {
    let mut pause = Pause::default();
    let mut said = String::new();
    while let Err(reason) = knock(endpoint) {
        let message = format!("waiting for {endpoint}: {reason}");
        if message != said {
            report::step("kubeadm", "server", State::Started, &*message);
            said = message;
        }
        pause.take();
    }
    report::step("kubeadm", "server", State::Done, endpoint);
}

fn knock(endpoint: &str) -> Result<(), String> {
    let addresses = endpoint
        .to_socket_addrs()
        .map_err(|error| format!("its name cannot be resolved: {error}"))?;
    let mut reason = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

fn log() -> std::path::PathBuf {
    Path::new(boot::LOGS).join("kubeadm-join")
}

/// One call of `kubeadm join`.
fn kubeadm_join(setup: &Setup) -> Result<(), ProvisionError> {
    write_kubeadm_files(setup)?;
    // kubeadm keeps one that is there, which may be that of another cluster.
    remove(Path::new("/etc/kubernetes/pki/ca.crt"))
        .doing("cannot remove what an interrupted attempt left")?;
    let output = log_file(&log()).doing("cannot write kubeadm's log")?;
    let mut child = Command::new(Path::new(PATH).join("kubeadm"))
        // What preflight checks is what the image guarantees.
        .args(["join", "--config", render::KUBEADM_CONFIG])
        .args(["--skip-phases", "preflight"])
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(output.try_clone().doing("cannot write kubeadm's log")?)
        .stderr(output)
        .spawn()
        .doing("cannot run kubeadm")?;
    let mut started = false;
    loop {
        if !started && kubelet_files() {
            start_kubelet(setup)?;
            started = true;
        }
        if let Some(status) = child.try_wait().doing("cannot wait for kubeadm")? {
            return ended(setup, status);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn ended(setup: &Setup, status: ExitStatus) -> Result<(), ProvisionError> {
    if !status.success() {
        return Err(ProvisionError::Kubeadm {
            what: "join",
            status,
            log: log().display().to_string(),
        });
    }
    start_kubelet(setup)
}

fn kubelet_files() -> bool {
    let whole = |path: &&str| fs::metadata(path).is_ok_and(|file| file.len() > 0);
    KUBELET_FILES.iter().all(whole)
}

/// Lets the kubelet start, with the node's name: its path unit waits for this file.
pub(super) fn start_kubelet(setup: &Setup) -> Result<(), ProvisionError> {
    name::settle(Path::new("/"), &setup.node_name()).doing(name::WHAT)?;
    fs::write(KUBELET_READY, "").doing("cannot let the kubelet start")
}

/// Watches the node come up by what its kubelet may ask: the node itself, and its pods.
pub(super) fn watch(setup: &Setup) -> Result<(), ProvisionError> {
    let name = setup.node_name();
    let api = kubelet_api()?;
    let network = setup.facts.cni != Cni::None;
    wait_for_node(&api, &name, network, &AtomicBool::new(false))?;
    wait_for_pods(&api, &name);
    Ok(())
}

/// The cluster's API with the rights of this node's kubelet.
fn kubelet_api() -> Result<Api, ProvisionError> {
    let text = fs::read_to_string(KUBELET).doing("cannot read the kubelet's credentials")?;
    let credentials = kubeconfig::credentials_with_files(&text, |path| fs::read(path).ok())
        .ok_or(api::ApiError::Credentials("client certificate"))?;
    Ok(Api::at(&credentials, &credentials.server)?)
}

/// Reports the system's pods on this node running, once there are some. What a cluster runs on
/// its nodes is its own affair, so that none at all is fine after a while.
fn wait_for_pods(api: &Api, node: &str) {
    const NONE: Duration = Duration::from_mins(1);
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
    let since = Instant::now();
    let mut said = String::new();
    wait(super::API, Duration::from_secs(2), || {
        let waiting = match api.get(&path) {
            Ok(list) => api::waiting_on_node(&list),
            Err(error) => Some(vec![error.to_string()]),
        };
        let message = match waiting {
            Some(pods) if pods.is_empty() => return Some(()),
            None if since.elapsed() > NONE => return Some(()),
            None => "no pods of the system yet".to_owned(),
            Some(pods) => pods.join(", "),
        };
        if message != said {
            report::step("ready", "pods", State::Started, &*message);
            said = message;
        }
        None
    })
    .map_or_else(
        || report::step("ready", "pods", State::Failed, "they do not all run"),
        |()| report::step("ready", "pods", State::Done, ""),
    );
}

/// Writes kubeadm's configuration and its patches as they are to be now; what an earlier
/// configuration left of them goes.
pub(super) fn write_kubeadm_files(setup: &Setup) -> Result<(), ProvisionError> {
    const WHAT: &str = "cannot write kubeadm's configuration";
    remove(Path::new(render::KUBEADM_PATCHES)).doing(WHAT)?;
    for file in render::kubeadm_patches(&setup.config, &setup.facts) {
        write_file(Path::new(&file.path), file.content.as_bytes(), file.mode).doing(WHAT)?;
    }
    if let Some(text) = render::kubeadm_config(&setup.config, &setup.facts) {
        write_file(Path::new(render::KUBEADM_CONFIG), text.as_bytes(), 0o600).doing(WHAT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let mut pause = Pause::default();
        let taken: Vec<u64> = (0..8).map(|_| pause.next().as_secs()).collect();
        assert_eq!(taken, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_server_is_there_when_it_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        assert_eq!(knock(&endpoint), Ok(()));
        drop(listener);
        assert!(knock(&endpoint).is_err());
        assert!(knock("no port").is_err());
    }
}
