//! A user's terminal on a machine's serial console.

use std::{
    io::{self, Read as _, Write},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr},
};

use crate::{Folder, qemu_file as file};

/// Why the console cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The console's socket cannot be connected to.
    #[error("the console of machine `{name}` cannot be reached")]
    Connect {
        /// The machine.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection to the console broke")]
    Io(#[from] io::Error),
}

/// Control and `]`, which leaves as in telnet and `virsh console`.
const LEAVE: u8 = 0x1d;

/// Joins `input` and `output` to the machine's console until the user presses Ctrl-], the input
/// ends, or the machine does. A terminal is switched to raw mode meanwhile.
///
/// # Errors
/// [`TerminalError`].
pub fn attach(
    folder: &Folder,
    input: BorrowedFd<'_>,
    output: &mut dyn Write,
) -> Result<(), TerminalError> {
    let mut socket =
        folder
            .connect(file::CONSOLE_SOCKET)
            .map_err(|source| TerminalError::Connect {
                name: folder.name().to_string(),
                source,
            })?;
    socket.set_write_timeout(Some(Duration::from_secs(5)))?;
    let _raw = Raw::enter(input)?;
    let mut buffer = [0; 4096];
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(input, PollFlags::IN),
            PollFd::new(&socket, PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(io::Error::from)?,
        };
        let [typed, said] = ready.map(|entry| !entry.revents().is_empty());
        if said {
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            output.write_all(&buffer[..count])?;
            output.flush()?;
        }
        if typed {
            let count = rustix::io::read(input, &mut buffer).map_err(io::Error::from)?;
            let keys = &buffer[..count];
            let leave = keys.iter().position(|key| *key == LEAVE);
            socket.write_all(&keys[..leave.unwrap_or(count)])?;
            if count == 0 || leave.is_some() {
                return Ok(());
            }
        }
    }
}

/// Raw mode of a terminal, ended when dropped.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Option<Termios>,
}

impl<'a> Raw<'a> {
    fn enter(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        if !isatty(terminal.as_fd()) {
            return Ok(Self {
                terminal,
                before: None,
            });
        }
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(Self {
            terminal,
            before: Some(before),
        })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is nothing left to do if a terminal is gone.
            let _ = tcsetattr(self.terminal, OptionalActions::Now, before);
        }
    }
}
