//! Ports of a guest that the host forwards to.

use std::{fmt, net::TcpListener};

use serde::{Deserialize, Serialize};

/// The transport of a forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of 127.0.0.1 that leads to a port of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// What it is for: `ssh`, `kubernetes`, or the bundle's name.
    pub name: String,
    /// The port on the host; 0 takes a free one at start.
    pub host: u16,
    /// The port on the guest.
    pub guest: u16,
    /// Its transport.
    pub protocol: Protocol,
}

impl Forward {
    /// A TCP port on any free host port.
    pub fn tcp(name: &str, guest: u16) -> Self {
        Self {
            name: name.to_owned(),
            host: 0,
            guest,
            protocol: Protocol::Tcp,
        }
    }

    /// The ports that each machine has: SSH and the Kubernetes API.
    pub fn basic() -> Vec<Self> {
        vec![Self::tcp("ssh", 22), Self::tcp("kubernetes", 6443)]
    }
}

/// Why ports cannot be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A port that the definition names is in use.
    #[error("port {port} of this host, wanted for `{name}`, is in use")]
    Busy {
        /// The port.
        port: u16,
        /// What it is for.
        name: String,
    },
    /// No free port could be had.
    #[error("no free port on 127.0.0.1")]
    NoneFree(#[source] std::io::Error),
}

impl PortError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => {
                Some("stop what uses it, or name another host port under `machine.ports`".into())
            }
            Self::NoneFree(_) => None,
        }
    }
}

/// Gives each wanted forward a host port: the named one, else the one it had `before` if that
/// is still free (so that a kubeconfig stays true over restarts), else any free one.
///
/// # Errors
/// [`PortError`] if a named port is in use, or none is free.
pub fn choose_ports(wanted: &[Forward], before: &[Forward]) -> Result<Vec<Forward>, PortError> {
    // All sockets stay open until the last is chosen, so that no port is chosen twice.
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for forward in wanted {
        let try_port = |port: u16| TcpListener::bind(("127.0.0.1", port));
        let listener = if forward.host == 0 {
            let earlier = before
                .iter()
                .find(|old| old.guest == forward.guest && old.protocol == forward.protocol)
                .and_then(|old| try_port(old.host).ok());
            match earlier {
                Some(listener) => listener,
                None => try_port(0).map_err(PortError::NoneFree)?,
            }
        } else {
            try_port(forward.host).map_err(|_| PortError::Busy {
                port: forward.host,
                name: forward.name.clone(),
            })?
        };
        let host = listener.local_addr().map_err(PortError::NoneFree)?.port();
        held.push(listener);
        chosen.push(Forward {
            host,
            ..forward.clone()
        });
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_kept_over_restarts() {
        let wanted = Forward::basic();
        let first = choose_ports(&wanted, &[]).unwrap();
        assert_ne!(first[0].host, first[1].host);
        assert_eq!(choose_ports(&wanted, &first).unwrap(), first);
    }

    #[test]
    fn a_named_port_in_use_is_refused_and_an_earlier_one_replaced() {
        let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let named = Forward {
            host: port,
            ..Forward::tcp("web", 80)
        };
        assert!(matches!(
            choose_ports(std::slice::from_ref(&named), &[]),
            Err(PortError::Busy { .. })
        ));
        let again = choose_ports(&[Forward::tcp("web", 80)], &[named]).unwrap();
        assert_ne!(again[0].host, port);
    }
}
