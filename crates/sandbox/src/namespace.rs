//! Starts sandboxes: this process again, which then makes namespaces for itself.
//!
//! A process with threads cannot safely do much between fork and exec, and a user namespace
//! needs a process with one thread; so the program is started once more with a hidden
//! argument, and [`crate::helper_main`] takes over there.

use std::{
    ffi::OsStr,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
};

use crate::{
    identity::{self, Identity},
    job::{ARGUMENT, FAILED, FAILURE, Failure, GREETING, Job, Mount, Network, Run, Task},
};

static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// Names the program whose `main` calls [`crate::helper_main`], where it is not the one that
/// runs: a test's. The first call counts.
pub fn set_helper(program: impl Into<PathBuf>) {
    let _ = HELPER.set(program.into());
}

/// A sandbox could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The program could not be started again, or talked to.
    #[error("cannot start a sandbox")]
    Io(#[from] io::Error),
    /// The program that was started is not prepared for it.
    #[error("`{0}` does not become a sandbox: its `main` does not call `helper_main` first")]
    NoHelper(PathBuf),
    /// The ids of the user namespace could not be set.
    #[error("cannot give the sandbox its users; {hint}")]
    Identity {
        /// What to do.
        hint: String,
        /// Why.
        source: io::Error,
    },
    /// A path or argument that is not UTF-8.
    #[error("a path or argument of the sandbox is not UTF-8")]
    Encoding(#[source] serde_json::Error),
    /// The sandbox failed by itself, before or after its program ran.
    #[error("the sandbox failed: {0}")]
    Failed(String),
}

/// A program's end.
#[derive(Debug)]
pub struct SandboxOutput {
    /// Exit code; 128 and the signal if one ended it.
    pub code: u8,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// A program to run in new user, mount, process, host name and IPC namespaces, and without
/// network unless asked for. It sees the host's files, has no standard input, and ends when
/// the thread that runs it does.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    network: Network,
    run: Run,
}

impl Sandbox {
    /// A sandbox without network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which network it sees.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Shows a file or folder of the host at another place, which must exist.
    #[must_use]
    pub fn bind(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        let (from, to) = (from.into(), to.into());
        self.run.mounts.push(Mount::Bind { from, to });
        self
    }

    /// An empty file system in memory over a folder.
    #[must_use]
    pub fn tmpfs(mut self, to: impl Into<PathBuf>) -> Self {
        self.run.mounts.push(Mount::Tmpfs { to: to.into() });
        self
    }

    /// A folder to see as the root, after all mounts.
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.run.root = Some(root.into());
        self
    }

    /// Runs a command as root of the namespaces: its program, arguments, folder and those
    /// variables of its environment that were set on it, over this process' environment.
    ///
    /// # Errors
    /// [`SandboxError`] if the namespaces cannot be made or the program not be started.
    pub fn output(&self, command: &Command) -> Result<SandboxOutput, SandboxError> {
        let text = |text: &OsStr| {
            text.to_str()
                .map(str::to_owned)
                .ok_or_else(|| SandboxError::Encoding(serde::ser::Error::custom("not UTF-8")))
        };
        let mut run = self.run.clone();
        run.program = text(command.get_program())?;
        run.arguments = command.get_args().map(text).collect::<Result<_, _>>()?;
        run.folder = command.get_current_dir().map(Path::to_path_buf);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                run.environment.push((text(name)?, text(value)?));
            }
        }
        let identity = identity::detect();
        let started = Started::new(self.network, Task::Run(run), &identity)?;
        let mut stdout = Vec::new();
        let end = started.finish(
            |_| Ok(()),
            |out| {
                out.read_to_end(&mut stdout)?;
                Ok(())
            },
        )?;
        let code = end.code()?;
        Ok(SandboxOutput {
            code,
            stdout,
            stderr: end.stderr,
        })
    }
}

/// A sandbox at work.
pub(crate) struct Started {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

/// A sandbox' end.
pub(crate) struct End {
    status: ExitStatus,
    pub(crate) stderr: Vec<u8>,
    /// What it says about its own failure.
    pub(crate) failure: Option<Failure>,
}

impl Started {
    pub(crate) fn new(
        network: Network,
        task: Task,
        identity: &Identity,
    ) -> Result<Self, SandboxError> {
        let helper = HELPER
            .get()
            .cloned()
            .unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let job = Job {
            user_namespace: *identity != Identity::Root,
            network,
            task,
        };
        let job = serde_json::to_string(&job).map_err(SandboxError::Encoding)?;
        let mut child = Command::new(&helper)
            .args([ARGUMENT, "outside", &job])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        };
        let mut started = Self {
            child,
            stdin,
            stdout,
        };
        if let Err(error) = started.greet(&helper, identity) {
            // It waits for its standard input, or has ended.
            let _ = started.child.kill();
            let _ = started.child.wait();
            return Err(error);
        }
        Ok(started)
    }

    fn greet(&mut self, helper: &Path, identity: &Identity) -> Result<(), SandboxError> {
        let mut greeting = [0; GREETING.len()];
        if self.stdout.read_exact(&mut greeting).is_err() || greeting != GREETING {
            let mut stderr = Vec::new();
            let _ = self.child.kill();
            if let Some(mut pipe) = self.child.stderr.take() {
                pipe.read_to_end(&mut stderr)?;
            }
            return Err(match split_failure(&mut stderr) {
                Some(failure) => SandboxError::Failed(failure.message),
                None => SandboxError::NoHelper(helper.to_path_buf()),
            });
        }
        identity
            .map(self.child.id())
            .map_err(|source| SandboxError::Identity {
                hint: identity::hint(),
                source,
            })?;
        self.stdin.write_all(b"g")?;
        Ok(())
    }

    /// Feeds standard input, takes standard output, and waits for the end. An error of
    /// `take` ends the sandbox; one of `feed` is only told if the sandbox did not fail itself.
    pub(crate) fn finish(
        self,
        feed: impl FnOnce(ChildStdin) -> io::Result<()> + Send,
        take: impl FnOnce(&mut ChildStdout) -> io::Result<()>,
    ) -> Result<End, SandboxError> {
        let Self {
            mut child,
            stdin,
            mut stdout,
        } = self;
        let stderr = child.stderr.take();
        let (given, taken, mut stderr) = thread::scope(|scope| {
            let feeder = scope.spawn(move || feed(stdin));
            let listener = scope.spawn(move || {
                let mut text = Vec::new();
                stderr.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut text))?;
                io::Result::Ok(text)
            });
            let taken = take(&mut stdout);
            if taken.is_err() {
                let _ = child.kill();
            }
            drop(stdout);
            let ended = || io::Result::Err(io::Error::other("a thread ended early"));
            (
                feeder.join().unwrap_or_else(|_| ended()),
                taken,
                listener
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread ended early"))),
            )
        });
        let status = child.wait()?;
        taken?;
        let stderr_bytes = stderr.as_mut().map(std::mem::take).unwrap_or_default();
        stderr?;
        let mut stderr = stderr_bytes;
        let failure = split_failure(&mut stderr);
        if failure.is_none() && status.success() {
            given?;
        }
        Ok(End {
            status,
            stderr,
            failure,
        })
    }
}

impl End {
    /// The program's exit code, if the sandbox itself did not fail.
    pub(crate) fn code(&self) -> Result<u8, SandboxError> {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(failure) = &self.failure {
            return Err(SandboxError::Failed(failure.message.clone()));
        }
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => Ok(u8::try_from(code).unwrap_or(FAILED)),
            (None, signal) => Err(SandboxError::Failed(format!(
                "it was ended by signal {}",
                signal.unwrap_or_default()
            ))),
        }
    }
}

/// Takes the line about the sandbox' own failure off the end of its standard error.
fn split_failure(stderr: &mut Vec<u8>) -> Option<Failure> {
    let mark = FAILURE.as_bytes();
    let at = stderr
        .windows(mark.len())
        .rposition(|window| window == mark)?;
    let failure = serde_json::from_slice(stderr[at + mark.len()..].trim_ascii_end()).ok()?;
    stderr.truncate(at);
    Some(failure)
}
