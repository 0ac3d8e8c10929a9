//! The machine as the sources see it, and how they get at their servers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    Environment, Miss,
    dmi::{Dmi, Platform, Presence},
    http::{self, Client},
    volume::{self, Device, Volume},
};

/// How often a route, a server or a device that is not there yet is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a server is tried that the firmware does not vouch for.
const TRIES: u32 = 2;

/// What the sources may look at.
pub(crate) struct Machine<'a> {
    pub root: &'a Path,
    pub environment: &'a Environment,
    pub dmi: Dmi,
    start: Instant,
    /// Servers that did not answer within the time of a guess; asking again would only wait.
    silent: RefCell<BTreeMap<SocketAddr, u32>>,
}

/// A server that can be asked.
pub(crate) struct Server {
    pub client: Client,
    /// `http://ADDRESS`, without `/` at the end.
    pub base: String,
    /// When asking ends.
    pub deadline: Instant,
    /// Whether the firmware says that it must be this one.
    pub is_certain: bool,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(root: &'a Path, environment: &'a Environment) -> Self {
        Self {
            root,
            environment,
            dmi: Dmi::read(&environment.system),
            start: Instant::now(),
            silent: RefCell::default(),
        }
    }

    /// A path of the machine: /sys, /dev, programs.
    pub(crate) fn system(&self, path: &str) -> PathBuf {
        self.environment.system.join(path)
    }

    /// When the run began.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// A client that asks until the deadline.
    pub(crate) fn client(&self, deadline: Instant) -> Client {
        Client::new(deadline, self.environment.request)
    }

    /// Waits until one of the addresses of a metadata service can be connected to.
    pub(crate) fn server(
        &self,
        platform: Option<Platform>,
        addresses: &[SocketAddr],
    ) -> Result<Server, Miss> {
        let presence = platform.map_or(Presence::Unknown, |wanted| self.dmi.presence(wanted));
        let is_certain = presence == Presence::Here;
        if let Presence::Elsewhere(other) = presence {
            return Err(Miss::NotHere(format!(
                "the firmware says that this is {other}"
            )));
        }
        let limit = if is_certain {
            self.environment.patience
        } else {
            self.environment.guess
        };
        let deadline = self.start + limit;
        let is_silent = |address: &SocketAddr| {
            !is_certain
                && self
                    .silent
                    .borrow()
                    .get(address)
                    .is_some_and(|count| *count >= TRIES)
        };
        let mut had_route = false;
        loop {
            for address in addresses {
                if is_silent(address) || !http::has_route(*address) {
                    continue;
                }
                had_route = true;
                if http::listens(*address) {
                    // Answers get their own time: the network may have taken all of it.
                    let deadline = deadline.max(Instant::now() + self.environment.guess);
                    return Ok(Server {
                        client: self.client(deadline),
                        base: base(*address),
                        deadline,
                        is_certain,
                    });
                }
                *self.silent.borrow_mut().entry(*address).or_default() += 1;
            }
            if addresses.iter().all(is_silent) || Instant::now() >= deadline {
                break;
            }
            thread::sleep(PAUSE);
        }
        let what = if had_route || addresses.iter().any(is_silent) {
            "nothing answers at"
        } else {
            "there is no route to"
        };
        let at = addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let why = format!("{what} {at} within {:.0} s", limit.as_secs_f64());
        Err(if is_certain {
            Miss::Failed(why)
        } else {
            Miss::NotHere(why)
        })
    }

    /// Finds a volume that `choose` takes, also one that appears within the time for devices.
    /// What it takes first counts; CD-ROM drives are looked at first.
    pub(crate) fn volume<T>(
        &self,
        mut choose: impl FnMut(&Device, Volume<std::fs::File>) -> Option<T>,
    ) -> Option<T> {
        let deadline = self.start + self.environment.devices;
        let mut seen = BTreeSet::new();
        loop {
            for device in volume::devices(&self.environment.system) {
                if seen.contains(&device) {
                    continue;
                }
                if let Some(volume) = volume::open(&device) {
                    if let Some(chosen) = choose(&device, volume) {
                        return Some(chosen);
                    }
                    // One that cannot be opened may have no medium yet.
                    seen.insert(device);
                }
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(PAUSE);
        }
    }
}

fn base(address: SocketAddr) -> String {
    match (address, address.port()) {
        (SocketAddr::V4(address), 80) => format!("http://{}", address.ip()),
        (SocketAddr::V6(address), 80) => format!("http://[{}]", address.ip()),
        (address, _) => format!("http://{address}"),
    }
}

/// Waits until `is_there`, at most until the deadline.
pub(crate) fn wait_until(deadline: Instant, mut is_there: impl FnMut() -> bool) -> bool {
    loop {
        if is_there() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
}
