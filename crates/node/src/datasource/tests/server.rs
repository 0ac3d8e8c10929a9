//! A small HTTP server that a test scripts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What was asked.
pub(super) struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// The port that it came from.
    pub from: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
pub(super) enum Reply {
    /// Status, headers and content.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes as they are.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays.
    Silence,
}

pub(super) fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Whole(200, Vec::new(), body.into())
}

pub(super) fn status(status: u16) -> Reply {
    Reply::Whole(status, Vec::new(), b"<html>no</html>".to_vec())
}

/// A server; its threads end with the process.
#[derive(Clone, Default)]
pub(super) struct Server {
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(
        address: &str,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self::default();
        let log = Arc::clone(&server.log);
        let handler = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                thread::spawn(move || {
                    let _ = serve(stream, &log, &*handler);
                });
            }
        });
        server
    }

    /// `METHOD PATH` of all requests.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    handler: &(impl Fn(&Request) -> Reply + ?Sized),
) -> std::io::Result<()> {
    let from = stream.peer_addr()?.port();
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(());
    }
    let mut words = first.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        from,
    };
    log.lock().unwrap().push(format!("{method} {path}"));
    match handler(&request) {
        Reply::Whole(status, headers, body) => {
            let mut head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n",
                body.len()
            );
            for (name, value) in headers {
                write!(head, "{name}: {value}\r\n").unwrap();
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            stream.write_all(&body)
        }
        Reply::Raw(bytes) => stream.write_all(&bytes),
        Reply::Silence => {
            // Until the other side gives up.
            let _ = reader.read(&mut [0; 1])?;
            Ok(())
        }
    }
}
