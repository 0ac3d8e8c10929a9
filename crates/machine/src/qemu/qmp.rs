//! QEMU's control protocol (QMP): one JSON object a line, over a Unix socket.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::plan::file;
use crate::{Deadline, Folder};

/// A connection to the control socket. It serves one client at a time, so hold it shortly.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    limit: Duration,
}

/// Why QEMU could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The socket cannot be used, or did not answer in time.
    #[error("the control socket of QEMU cannot be used")]
    Io(#[from] io::Error),
    /// QEMU closed the connection.
    #[error("QEMU closed its control socket")]
    Closed,
    /// What came is no QMP.
    #[error("QEMU answered something unknown: {0}")]
    Unknown(String),
    /// QEMU refused the command.
    #[error("QEMU refuses `{command}`: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's reason.
        reason: String,
    },
}

impl Qmp {
    /// Connects to the machine in `folder`. Each later answer may take `limit` as well.
    ///
    /// # Errors
    /// [`QmpError`] if QEMU does not run, or does not answer in time.
    pub fn connect(folder: &Folder, limit: Duration) -> Result<Self, QmpError> {
        let stream = folder.connect(file::CONTROL_SOCKET)?;
        Self::over(stream, limit)
    }

    /// Greets over a stream that is connected.
    fn over(stream: UnixStream, limit: Duration) -> Result<Self, QmpError> {
        stream.set_write_timeout(Some(limit))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
            limit,
        };
        let greeting = qmp.read(&Deadline::after(limit))?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Unknown(greeting.to_string()));
        }
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and returns its answer.
    ///
    /// # Errors
    /// [`QmpError`]; a command that ends QEMU may report [`QmpError::Closed`].
    pub fn execute(&mut self, command: &str) -> Result<Value, QmpError> {
        let mut line = json!({ "execute": command }).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        let deadline = Deadline::after(self.limit);
        loop {
            let mut answer = self.read(&deadline)?;
            if let Some(error) = answer.get("error") {
                return Err(QmpError::Refused {
                    command: command.to_owned(),
                    reason: error["desc"].as_str().unwrap_or("no reason").to_owned(),
                });
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // An event came between; who wants those asks `query-status`.
        }
    }

    /// The state of the machine: `running`, `paused`, `internal-error`, `shutdown`, …
    ///
    /// # Errors
    /// Those of [`Qmp::execute`].
    pub fn status(&mut self) -> Result<String, QmpError> {
        let status = self.execute("query-status")?;
        Ok(status["status"].as_str().unwrap_or("unknown").to_owned())
    }

    fn read(&mut self, deadline: &Deadline) -> Result<Value, QmpError> {
        // Zero would mean no limit at all.
        let left = deadline.left().max(Duration::from_millis(1));
        self.stream.get_ref().set_read_timeout(Some(left))?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(QmpError::Closed);
        }
        serde_json::from_str(&line).map_err(|_| QmpError::Unknown(line.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays QEMU: sends the lines, each after a line came (the greeting at once).
    fn played(lines: &'static [&'static str]) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs.try_clone().unwrap());
            let mut writer = theirs;
            for (index, line) in lines.iter().enumerate() {
                let mut heard = String::new();
                if index > 0 && reader.read_line(&mut heard).unwrap_or(0) == 0 {
                    return;
                }
                writer.write_all(line.as_bytes()).unwrap();
            }
            // Silent from here, but there, until the client goes.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        ours
    }

    const GREETING: &str = "{\"QMP\":{\"version\":{}}}\n";

    #[test]
    fn events_between_are_passed_over_and_refusals_named() {
        let stream = played(&[
            GREETING,
            "{\"return\":{}}\n",
            "{\"event\":\"RESET\",\"data\":{}}\n{\"return\":{\"status\":\"running\"}}\n",
            "{\"error\":{\"class\":\"x\",\"desc\":\"not now\"}}\n",
        ]);
        let mut qmp = Qmp::over(stream, Duration::from_secs(5)).unwrap();
        assert_eq!(qmp.status().unwrap(), "running");
        let refused = qmp.execute("quit").unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refuses `quit`: not now");
    }

    #[test]
    fn silence_ends_at_the_limit_and_a_stranger_is_no_qemu() {
        let stream = played(&[GREETING]);
        let silent = Qmp::over(stream, Duration::from_millis(50));
        assert!(matches!(silent, Err(QmpError::Io(_))));
        let stranger = Qmp::over(played(&["{}\n"]), Duration::from_secs(5));
        assert!(matches!(stranger, Err(QmpError::Unknown(_))));
    }
}
