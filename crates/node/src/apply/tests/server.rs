//! A web server on the loopback that misbehaves as told.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What is answered.
#[derive(Clone)]
pub(super) enum Answer {
    /// This body.
    Body(Vec<u8>),
    /// This status and nothing else.
    Status(u16),
    /// This status the first time, then this body.
    First(u16, Vec<u8>),
    /// Elsewhere.
    Redirect(String),
    /// No HTTP at all.
    Garbage,
    /// Nothing until the client goes away.
    Silence,
    /// A body without end.
    Endless,
}

/// A server; it ends with its owner.
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (asked, answers, stop) = (asked.clone(), answers.clone(), stop.clone());
            std::thread::spawn(move || {
                std::thread::scope(|scope| {
                    for stream in listener.incoming().flatten() {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let (asked, answers) = (&asked, &answers);
                        scope.spawn(move || {
                            // A client that goes away is no failure of the server.
                            let _ = serve(&stream, asked, answers);
                        });
                    }
                });
            })
        };
        Self {
            address,
            asked,
            answers,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| *one == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: &TcpStream,
    asked: &Mutex<Vec<String>>,
    answers: &Mutex<BTreeMap<String, Answer>>,
) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(path.clone());
        asked.iter().filter(|one| **one == path).count() - 1
    };
    let answer = answers.lock().unwrap().get(&path).cloned();
    let status = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n")
    };
    let whole = |body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    match answer {
        None => stream.write_all(status(404, "").as_bytes()),
        Some(Answer::Status(code)) => stream.write_all(status(code, "").as_bytes()),
        Some(Answer::First(code, _)) if before == 0 => {
            stream.write_all(status(code, "").as_bytes())
        }
        Some(Answer::Body(body) | Answer::First(_, body)) => stream.write_all(&whole(&body)),
        Some(Answer::Redirect(to)) => {
            stream.write_all(status(302, &format!("Location: {to}\r\n")).as_bytes())
        }
        Some(Answer::Garbage) => stream.write_all(b"\x00\x01 this is no HTTP\r\n\r\n"),
        Some(Answer::Silence) => reader.read_to_end(&mut Vec::new()).map(|_| ()),
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let line = [b'#'; 4096];
            loop {
                stream.write_all(&line)?;
            }
        }
    }
}
