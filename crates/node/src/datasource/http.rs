//! HTTP as metadata services need it: no proxy, short limits, few retries, no way to another
//! host.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use ureq::{
    Agent,
    http::{self, Method},
    unversioned::resolver::DefaultResolver,
};

use super::low_port::LowPort;

/// The most bytes of metadata in one answer.
pub(crate) const METADATA: u64 = 1 << 20;
/// The most bytes of user data, packed as it comes.
pub(crate) const USER_DATA: u64 = 4 << 20;
pub(super) const CONNECT: Duration = Duration::from_secs(2);
const MOST_REDIRECTS: usize = 3;
const MOST_TRIES: u32 = 5;

/// Why there is no answer. URLs are shown without user, password and query.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// An answer that says no.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked.
        url: Shown,
        /// HTTP status.
        status: u16,
    },
    /// No answer, or half of one.
    #[error("{url}: {reason}")]
    Failed {
        /// What was asked.
        url: Shown,
        /// Why.
        reason: String,
    },
    /// An answer that is too large.
    #[error("{url} is larger than {limit} bytes, which is the most that is read")]
    TooLarge {
        /// What was asked.
        url: Shown,
        /// The most that is read.
        limit: u64,
    },
    /// A redirect to another host.
    #[error("{url} leads to another server, which is not followed")]
    Redirect {
        /// What was asked.
        url: Shown,
    },
}

impl HttpError {
    /// The status of an answer that says no.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A URL as it may be shown: without what can be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// Removes user, password, query and fragment.
    pub(crate) fn new(url: &str) -> Self {
        let url = url.split(['?', '#']).next().unwrap_or(url);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self(url.to_owned());
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host.rsplit('@').next().unwrap_or(host);
        Self(format!("{scheme}://{host}{path}"))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An answer of status 200 to 299.
pub(crate) struct Answer {
    /// Its content.
    pub body: Vec<u8>,
    headers: http::HeaderMap,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content as text, without white space around it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// A header to send.
pub(crate) type Header<'a> = (&'a str, &'a str);

/// A client that begins no request after a deadline.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    deadline: Instant,
}

impl Client {
    /// A client whose requests may take this long each.
    pub(crate) fn new(deadline: Instant, request: Duration) -> Self {
        Self {
            agent: config(request).new_agent(),
            deadline,
        }
    }

    /// A client whose connections come from a port below 1024, which only root can have.
    pub(crate) fn privileged(deadline: Instant, request: Duration) -> Self {
        Self {
            agent: Agent::with_parts(config(request), LowPort, DefaultResolver::default()),
            deadline,
        }
    }

    /// Gets what is there; none if the answer is 404.
    pub(crate) fn find(
        &self,
        url: &str,
        headers: &[Header<'_>],
        limit: u64,
    ) -> Result<Option<Answer>, HttpError> {
        match self.request(&Method::GET, url, headers, limit) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gets what must be there.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[Header<'_>],
        limit: u64,
    ) -> Result<Answer, HttpError> {
        self.request(&Method::GET, url, headers, limit)
    }

    /// Gets what must be there, and tries once only.
    pub(crate) fn get_once(
        &self,
        url: &str,
        headers: &[Header<'_>],
        limit: u64,
    ) -> Result<Answer, HttpError> {
        self.follow(&Method::GET, url, headers, limit)
    }

    /// Puts nothing, and tries once only.
    pub(crate) fn put_once(&self, url: &str, headers: &[Header<'_>]) -> Result<Answer, HttpError> {
        self.follow(&Method::PUT, url, headers, METADATA)
    }

    /// Puts nothing, and gets an answer.
    pub(crate) fn put(&self, url: &str, headers: &[Header<'_>]) -> Result<Answer, HttpError> {
        self.request(&Method::PUT, url, headers, METADATA)
    }

    /// Posts a text.
    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[Header<'_>],
        body: &str,
    ) -> Result<(), HttpError> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send(body).map_err(|error| failed(url, &error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(HttpError::Status {
            url: Shown::new(url),
            status: status.as_u16(),
        })
    }

    fn request(
        &self,
        method: &Method,
        url: &str,
        headers: &[Header<'_>],
        limit: u64,
    ) -> Result<Answer, HttpError> {
        let mut pause = Duration::from_millis(200);
        for attempt in 1.. {
            let error = match self.follow(method, url, headers, limit) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = match &error {
                HttpError::Status { status, .. } => matches!(status, 408 | 410 | 429 | 500..),
                HttpError::Failed { .. } => true,
                _ => false,
            };
            if !again || attempt == MOST_TRIES || Instant::now() + pause >= self.deadline {
                return Err(error);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        unreachable!("the last try returns")
    }

    /// One request, and those that answers on the same server lead to.
    fn follow(
        &self,
        method: &Method,
        url: &str,
        headers: &[Header<'_>],
        limit: u64,
    ) -> Result<Answer, HttpError> {
        let mut at = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = http::Request::builder().method(method).uri(&at);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).map_err(|_| HttpError::Failed {
                url: Shown::new(url),
                reason: "not a URL or header that can be sent".to_owned(),
            })?;
            let mut answer = self
                .agent
                .run(request)
                .map_err(|error| failed(url, &error))?;
            let status = answer.status();
            if status.is_redirection() {
                let target = answer
                    .headers()
                    .get("location")
                    .and_then(|target| target.to_str().ok())
                    .and_then(|target| same_server(&at, target));
                match target {
                    Some(target) => {
                        at = target;
                        continue;
                    }
                    None => break,
                }
            }
            if !status.is_success() {
                return Err(HttpError::Status {
                    url: Shown::new(url),
                    status: status.as_u16(),
                });
            }
            let body = answer
                .body_mut()
                .with_config()
                .limit(limit)
                .read_to_vec()
                .map_err(|error| match error {
                    ureq::Error::BodyExceedsLimit(_) => HttpError::TooLarge {
                        url: Shown::new(url),
                        limit,
                    },
                    error => failed(url, &error),
                })?;
            return Ok(Answer {
                body,
                headers: answer.headers().clone(),
            });
        }
        Err(HttpError::Redirect {
            url: Shown::new(url),
        })
    }
}

fn failed(url: &str, error: &ureq::Error) -> HttpError {
    let reason = match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    HttpError::Failed {
        url: Shown::new(url),
        reason,
    }
}

fn config(request: Duration) -> ureq::config::Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(request))
        .max_response_header_size(64 << 10)
        .accept_encoding("identity")
        .user_agent("lifeboat")
        // The settings of this process' environment are for other servers.
        .proxy(None)
        .build()
}

/// Where a redirect leads, if that is the same server.
fn same_server(from: &str, target: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split('/').next()?;
    let start = format!("{scheme}://{host}");
    if target.starts_with('/') && !target.starts_with("//") {
        return Some(format!("{start}{target}"));
    }
    let below = target.strip_prefix(&start)?;
    (below.is_empty() || below.starts_with('/')).then(|| target.to_owned())
}

/// Whether the kernel knows a way to an address. Nothing is sent.
pub(crate) fn has_route(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0_u16; 8].into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect(address).is_ok())
}

/// Whether something listens there, within one connection's time.
pub(crate) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, CONNECT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_hold_no_secret() {
        for (url, shown) in [
            ("http://user:pw@h:80/a?token=x#y", "http://h:80/a"),
            ("https://h", "https://h"),
            ("http://h?x=/@", "http://h"),
        ] {
            assert_eq!(Shown::new(url).to_string(), shown);
        }
    }

    #[test]
    fn redirects_stay_on_their_server() {
        let from = "http://169.254.169.254/a/b";
        assert_eq!(same_server(from, "/c").unwrap(), "http://169.254.169.254/c");
        assert_eq!(
            same_server(from, "http://169.254.169.254/c").unwrap(),
            "http://169.254.169.254/c"
        );
        for target in [
            "//other/c",
            "http://169.254.169.254.evil/",
            "http://other/",
            "https://169.254.169.254/",
            "c",
        ] {
            assert_eq!(same_server(from, target), None, "{target}");
        }
    }
}
