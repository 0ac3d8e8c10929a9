//! What the configuration names by URL: keys and files. Bounded in time, size and tries.

use std::{
    io,
    time::{Duration, Instant},
};

use ureq::{
    Agent, Proxy,
    http::Uri,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::proxy::Proxies;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// Why there is no answer of use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The server says no.
    #[error("the server answers {0}")]
    Status(u16),
    /// There is no answer.
    #[error("{0}")]
    Connection(String),
    /// The answer is larger than any that is of use.
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// The server sends elsewhere once too often, or where it must not.
    #[error("the server redirects {0}")]
    Redirect(&'static str),
    /// No URL.
    #[error("this is no URL that can be asked")]
    Url,
}

impl FetchError {
    /// Whether the server has said for good that it has no such thing.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Status(404 | 410))
    }

    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Connection(_) | Self::Status(408 | 425 | 429 | 500..=599)
        )
    }
}

/// How patient it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Tries of one URL at most.
    pub tries: u32,
    /// Before the second try; each further one is twice as long.
    pub pause: Duration,
    /// For one try.
    pub timeout: Duration,
    /// For all tries of one URL.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 6,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(20),
            total: Duration::from_mins(1),
        }
    }
}

/// Fetches by http and https.
#[derive(Debug)]
pub(crate) struct Fetcher {
    direct: Agent,
    /// For URLs of http, then for those of https.
    proxied: [Agent; 2],
    proxies: Proxies,
    patience: Patience,
    /// Where the keys of GitHub's users are.
    pub github: String,
    /// Where the keys of GitLab's users are.
    pub gitlab: String,
}

impl Fetcher {
    /// A fetcher that trusts the authorities in this PEM text, or those of Mozilla if it has
    /// none.
    pub fn new(authorities: &[u8], proxies: &Proxies, patience: Patience) -> Self {
        let authorities: Vec<Certificate<'static>> = parse_pem(authorities)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        let roots = if authorities.is_empty() {
            RootCerts::WebPki
        } else {
            RootCerts::new_with_certs(&authorities)
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agent = |proxy: Option<&str>| {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_global(Some(patience.timeout))
                .timeout_connect(Some(patience.timeout / 2))
                .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .proxy(proxy.and_then(|proxy| Proxy::new(proxy).ok()))
                .build()
                .new_agent()
        };
        Self {
            direct: agent(None),
            proxied: [&proxies.http, &proxies.https].map(|proxy| agent(proxy.as_deref())),
            proxies: proxies.clone(),
            patience,
            github: "https://github.com".to_owned(),
            gitlab: "https://gitlab.com".to_owned(),
        }
    }

    /// The body of a URL.
    ///
    /// # Errors
    /// [`FetchError`] of the last try.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let deadline = Instant::now() + self.patience.total;
        let mut pause = self.patience.pause;
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match self.once(url, limit) {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            if !error.may_pass()
                || tried >= self.patience.tries
                || Instant::now() + pause >= deadline
            {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    fn agent(&self, url: &Uri) -> &Agent {
        if self.proxies.is_direct(url.host().unwrap_or_default()) {
            &self.direct
        } else {
            &self.proxied[usize::from(url.scheme_str() == Some("https"))]
        }
    }

    fn once(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut url = url.parse::<Uri>().map_err(|_| FetchError::Url)?;
        for _ in 0..=MOST_REDIRECTS {
            let mut response = self
                .agent(&url)
                .get(&url)
                .call()
                .map_err(|error| explain(&error))?;
            match response.status().as_u16() {
                200 => {
                    let body = response.body_mut().with_config().limit(limit).read_to_vec();
                    return body.map_err(|error| match error {
                        ureq::Error::BodyExceedsLimit(_) => FetchError::TooLarge(limit),
                        error => explain(&error),
                    });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let place = response.headers().get("location");
                    let place = place.and_then(|place| place.to_str().ok());
                    url = next(&url, place.unwrap_or_default())?;
                }
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirect("too often"))
    }
}

/// Where a redirect leads. What was asked for by https is not taken from anywhere else.
fn next(from: &Uri, place: &str) -> Result<Uri, FetchError> {
    let nowhere = FetchError::Redirect("to nowhere");
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let whole = if place.contains("://") {
        place.to_owned()
    } else if let Some(rest) = place.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if place.starts_with('/') {
        format!("{scheme}://{authority}{place}")
    } else if place.is_empty() {
        return Err(nowhere);
    } else {
        let folder = from
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{place}")
    };
    let uri: Uri = whole.parse().map_err(|_| nowhere)?;
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if scheme == "http" => Ok(uri),
        _ => Err(FetchError::Redirect("from https to something else")),
    }
}

/// Why a request failed, without its address, which may hold a password.
fn explain(error: &ureq::Error) -> FetchError {
    FetchError::Connection(match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host's name is not known".to_owned(),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection is refused".to_owned(),
            _ => format!("no connection: {error}"),
        },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => return FetchError::Url,
        error => format!("no connection: {error}"),
    })
}

/// A URL as it may be shown: without user, password and query.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_never_shown() {
        for (url, wanted) in [
            ("https://me:pw@h/a?token=x#y", "https://h/a"),
            ("https://h?token=a/b", "https://h"),
            ("https://h#a@b/c", "https://h"),
            ("https://h?mail=a@b", "https://h"),
            ("http://h:1", "http://h:1"),
        ] {
            assert_eq!(shown(url), wanted);
        }
    }

    #[test]
    fn a_redirect_stays_secure() {
        let from: Uri = "https://h/a/b".parse().unwrap();
        for (place, wanted) in [
            ("/c", Some("https://h/c")),
            ("c", Some("https://h/a/c")),
            ("//i/c", Some("https://i/c")),
            ("https://i/c", Some("https://i/c")),
            ("http://i/c", None),
            ("file:///etc/passwd", None),
            ("", None),
        ] {
            let led = next(&from, place).ok().map(|uri| uri.to_string());
            assert_eq!(led.as_deref(), wanted, "{place}");
        }
    }

    #[test]
    fn a_url_is_shown_without_secrets() {
        assert_eq!(shown("https://u:p@h:1/k?token=x#y"), "https://h:1/k");
        assert_eq!(shown("http://h"), "http://h");
    }
}
