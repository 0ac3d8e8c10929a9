//! Programs of the tools tree, run to their end.

use std::{
    io::{self, Read as _, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use lifeboat_archive::{TarError, Tree, no_room, write_tar};
use lifeboat_sandbox::end_with_us;

/// A tool that failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started, or its input could not be made.
    #[error("`{program}` of the build's tools cannot do its work")]
    Io {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("`{program}` fails ({status}): {message}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        message: String,
    },
}

/// Ends a child that is still there when the work around it fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It may have ended in between.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Runs `command` with what `input` writes on its standard input; it writes to `to`.
pub(crate) fn run(
    program: &'static str,
    mut command: Command,
    to: &Path,
    input: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ToolError> {
    let io = |source| ToolError::Io { program, source };
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = Guard(end_with_us(&mut command).spawn().map_err(io)?);
    let stdin = child.0.stdin.take();
    let stderr = child.0.stderr.take();
    let (written, message) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut message = Vec::new();
            if let Some(mut stderr) = stderr {
                // What was read until then is what there is to say.
                let _ = stderr.read_to_end(&mut message);
            }
            String::from_utf8_lossy(&message).trim().to_owned()
        });
        let written = stdin.map_or(Ok(()), |stdin| feed(stdin, input));
        if written
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe)
        {
            let _ = child.0.kill();
        }
        (written, reader.join().unwrap_or_default())
    });
    let status = child.0.wait().map_err(io)?;
    match written {
        // Its own message says more than that it did not read on.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(io(error)),
        _ if !status.success() => Err(match no_room(to) {
            Some(source) => io(source),
            None => ToolError::Failed {
                program,
                status,
                message,
            },
        }),
        written => written.map_err(io),
    }
}

/// As [`run`], with the archive of a tree as input. An archive that cannot be made is told apart
/// from a tool that does not read it to its end.
pub(crate) fn run_with_tree<E: From<ToolError> + From<TarError>>(
    program: &'static str,
    command: Command,
    to: &Path,
    tree: &Tree,
) -> Result<(), E> {
    let mut failed = None;
    let result = run(program, command, to, |stdin| match write_tar(tree, stdin) {
        Ok(()) => Ok(()),
        Err(TarError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(error),
        Err(error) => {
            failed = Some(error);
            Err(io::Error::other("the tree cannot be read"))
        }
    });
    match (result, failed) {
        (Ok(()), _) => Ok(()),
        // A tool that ended early is the cause of an archive that could not be written.
        (Err(ToolError::Io { .. }), Some(error)) => Err(error.into()),
        (Err(error), _) => Err(error.into()),
    }
}

fn feed(stdin: ChildStdin, input: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdin = io::BufWriter::with_capacity(1 << 20, stdin);
    input(&mut stdin)?;
    stdin.flush()
}
