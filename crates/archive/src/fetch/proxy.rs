//! Agents for all kinds of URL, with a proxy or without.
//!
//! Plain HTTP goes through an HTTP proxy as apt does it, `GET http://mirror/file`: that is what
//! caching proxies for packages expect. They refuse the tunnels that ureq makes of itself.

use ureq::{
    Agent, Error, Proxy, ProxyProtocol,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport},
    },
};

use super::Patience;

#[derive(Debug)]
pub(super) struct Agents {
    direct: Agent,
    proxied: Option<Proxied>,
}

#[derive(Debug)]
struct Proxied {
    proxy: Proxy,
    tunnel: Agent,
    forward: Agent,
}

fn config(patience: Patience, proxy: Option<Proxy>) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(patience.stall))
        .timeout_connect(Some(patience.stall))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .max_idle_connections_per_host(patience.connections)
        .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
        .proxy(proxy)
        .build()
}

impl Agents {
    pub(super) fn new(patience: Patience, proxy: Option<&Proxy>) -> Self {
        let direct = config(patience, None);
        let proxied = proxy.map(|proxy| {
            let tunnel = config(patience, Some(proxy.clone())).new_agent();
            // A password is left to ureq.
            let plain = proxy.protocol() == ProxyProtocol::Http && proxy.username().is_none();
            let forward = if plain {
                let connector = TcpConnector::default().chain(Forward);
                Agent::with_parts(direct.clone(), connector, ToProxy(proxy.uri().clone()))
            } else {
                tunnel.clone()
            };
            Proxied {
                proxy: proxy.clone(),
                tunnel,
                forward,
            }
        });
        Self {
            direct: direct.new_agent(),
            proxied,
        }
    }

    /// The agent for a URL. This machine itself is never reached through a proxy.
    pub(super) fn of(&self, url: &str) -> &Agent {
        let (Some(proxied), Ok(uri)) = (&self.proxied, url.parse::<Uri>()) else {
            return &self.direct;
        };
        let host = uri.host().unwrap_or_default();
        let own = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        if own || proxied.proxy.is_no_proxy(&uri) {
            return &self.direct;
        }
        match uri.scheme_str() {
            Some("http") => &proxied.forward,
            _ => &proxied.tunnel,
        }
    }

    /// Closes all connections for good.
    pub(super) fn shutdown(&self) {
        self.direct.clone().shutdown();
        if let Some(proxied) = &self.proxied {
            proxied.tunnel.clone().shutdown();
            proxied.forward.clone().shutdown();
        }
    }
}

/// Finds the proxy, whatever host is asked for: only the proxy may know that one.
#[derive(Debug)]
struct ToProxy(Uri);

impl Resolver for ToProxy {
    fn resolve(
        &self,
        _: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        DefaultResolver::default().resolve(&self.0, config, timeout)
    }
}

#[derive(Debug)]
struct Forward;

impl<In: Transport> Connector<In> for Forward {
    type Out = Forwarded<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let origin = match details.uri.authority() {
            Some(authority) => format!("http://{authority}"),
            None => return Ok(None),
        };
        Ok(chained.map(|inner| Forwarded { inner, origin }))
    }
}

/// A connection to a proxy over which all requests are for one origin.
#[derive(Debug)]
struct Forwarded<T> {
    inner: T,
    origin: String,
}

impl<T: Transport> Transport for Forwarded<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    /// Each output is the head of one request, as none of them has a body.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        const METHOD: &[u8] = b"GET ";
        let origin = self.origin.as_bytes();
        let output = self.inner.buffers().output();
        let fits = amount + origin.len() <= output.len();
        if !output.starts_with(METHOD) || !fits {
            return Err(Error::BadUri(
                "a request that a proxy cannot take".to_owned(),
            ));
        }
        output.copy_within(METHOD.len()..amount, METHOD.len() + origin.len());
        output[METHOD.len()..METHOD.len() + origin.len()].copy_from_slice(origin);
        let amount = amount + origin.len();
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}
