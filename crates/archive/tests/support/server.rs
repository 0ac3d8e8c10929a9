//! A small HTTP server for one folder, that misbehaves as told.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Flips a bit of the byte at this place.
    Flip(usize),
    /// Closes the connection after this many bytes of the answer.
    Cut(usize),
    /// Sends ten bytes each tenth of a second.
    Slow,
    /// Sends half of the answer and then nothing more.
    Hang,
    /// Sends the whole file whatever part was asked for.
    IgnoreRange,
}

#[derive(Default)]
struct State {
    faults: HashMap<String, (Fault, usize)>,
    requests: Vec<(String, Option<u64>)>,
}

/// Serves a folder until the process ends.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves `root` on a free port of the loopback interface.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, state) = (root.clone(), shared.clone());
                thread::spawn(move || {
                    // A client that goes away is no failure of the server.
                    let _ = serve(&stream, &root, &state);
                });
            }
        });
        Self { address, state }
    }

    /// The URL of the folder, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the next `times` requests for paths that end in `path` go wrong.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        let mut state = self.state.lock().unwrap();
        state.faults.insert(path.to_owned(), (fault, times));
    }

    /// No request goes wrong any more.
    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// Paths that were asked for so far that end in `path`, with the start of the range.
    pub fn requests(&self, path: &str) -> Vec<Option<u64>> {
        let state = self.state.lock().unwrap();
        state
            .requests
            .iter()
            .filter(|(asked, _)| asked.ends_with(path))
            .map(|(_, range)| *range)
            .collect()
    }
}

fn serve(stream: &TcpStream, root: &std::path::Path, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut range = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("range: bytes=") {
                range = value.split('-').next().and_then(|text| text.parse().ok());
            }
        }
        let fault = {
            let mut state = state.lock().unwrap();
            state.requests.push((path.clone(), range));
            state
                .faults
                .iter_mut()
                .find(|(suffix, (_, times))| path.ends_with(suffix.as_str()) && *times > 0)
                .map(|(_, (fault, times))| {
                    *times -= 1;
                    *fault
                })
        };
        if let Some(Fault::Status(status)) = fault {
            write!(out, "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        // A request to a proxy names the whole URL.
        let path = match path.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
            None => path,
        };
        let clean = path.replace("%3a", ":").replace("/./", "/");
        let file = root.join(clean.trim_start_matches('/'));
        let file = if file.exists() {
            file
        } else {
            root.join(path.trim_start_matches('/'))
        };
        let Ok(mut bytes) = fs::read(&file) else {
            write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        if let Some(Fault::Flip(at)) = fault {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
        }
        let total = bytes.len();
        let start = match range {
            Some(start) if fault != Some(Fault::IgnoreRange) => {
                usize::try_from(start).unwrap_or(usize::MAX)
            }
            _ => 0,
        };
        if start > 0 && start >= total {
            write!(out, "HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let body = &bytes[start..];
        if start > 0 {
            write!(
                out,
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{}/{total}\r\n",
                total - 1
            )?;
        } else {
            write!(out, "HTTP/1.1 200 OK\r\n")?;
        }
        write!(out, "Content-Length: {}\r\n\r\n", body.len())?;
        match fault {
            Some(Fault::Cut(at)) => {
                out.write_all(&body[..at.min(body.len())])?;
                return Ok(());
            }
            Some(Fault::Slow) => {
                for part in body.chunks(10) {
                    out.write_all(part)?;
                    thread::park_timeout(Duration::from_millis(100));
                }
            }
            Some(Fault::Hang) => {
                out.write_all(&body[..body.len() / 2])?;
                // Until the client gives up and closes its end.
                reader.read_line(&mut String::new())?;
                return Ok(());
            }
            _ => out.write_all(body)?,
        }
    }
}
