//! The Kubernetes API from outside, over one kept connection.
//!
//! Each new TLS connection costs an emulated guest tenths of seconds, a `kubectl` inside it
//! seconds; this asks over one connection as long as that lasts.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use ureq::{
    Agent, http,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use crate::{Kubeconfig, clock::parse_http_date, kubeconfig::SERVER_NAME};

/// A client of one API server.
#[derive(Debug)]
pub struct Api {
    agent: Agent,
}

/// Why the API gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The credentials are not usable.
    #[error("the credentials of the kubeconfig cannot be used")]
    Credentials(#[source] Box<ureq::Error>),
    /// Nobody answered.
    #[error("the API server does not answer")]
    Unreachable(#[source] Box<ureq::Error>),
    /// It answered with an error.
    #[error("the API server answers {path} with {status}")]
    Status {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
    },
}

impl Api {
    /// A client of the API server behind `port` of 127.0.0.1. Each request may take `limit`.
    ///
    /// # Errors
    /// [`ApiError::Credentials`] if certificates or key are not PEM.
    pub fn new(kubeconfig: &Kubeconfig, port: u16, limit: Duration) -> Result<Self, ApiError> {
        let wrong = |error| ApiError::Credentials(Box::new(error));
        let authority = Certificate::from_pem(&kubeconfig.authority).map_err(wrong)?;
        let certificate = Certificate::from_pem(&kubeconfig.certificate).map_err(wrong)?;
        let key = PrivateKey::from_pem(&kubeconfig.key).map_err(wrong)?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(vec![authority])))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(limit))
            .max_idle_age(Duration::from_secs(90))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let resolver = Loopback(port);
        let agent = Agent::with_parts(config, DefaultConnector::new(), resolver);
        Ok(Self { agent })
    }

    /// The answer to `GET path`, and the server's time if it told it.
    ///
    /// # Errors
    /// [`ApiError`] if there is none, or another status than 200.
    pub fn get(&self, path: &str) -> Result<(Value, Option<SystemTime>), ApiError> {
        let failed = |error| ApiError::Unreachable(Box::new(error));
        let mut response = self
            .agent
            .get(format!("https://{SERVER_NAME}{path}"))
            .header("Accept", "application/json")
            .call()
            .map_err(failed)?;
        let status = response.status().as_u16();
        let date = response.headers().get("date");
        let date = date
            .and_then(|date| date.to_str().ok())
            .and_then(parse_http_date);
        // The body is read in any case, or the connection could not be kept.
        let body = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_vec()
            .map_err(failed)?;
        if status != 200 {
            return Err(ApiError::Status {
                path: path.to_owned(),
                status,
            });
        }
        let value = serde_json::from_slice(&body)
            .map_err(|error| failed(std::io::Error::from(error).into()))?;
        Ok((value, date))
    }
}

/// Leads any name to a port of 127.0.0.1: the certificate is checked for the name.
#[derive(Debug)]
struct Loopback(u16);

impl Resolver for Loopback {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::V4(SocketAddrV4::new(
            Ipv4Addr::LOCALHOST,
            self.0,
        )));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests;
