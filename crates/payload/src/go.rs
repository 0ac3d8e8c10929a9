//! Builds the programs in `kubernetes/` with the Go toolchain.
//!
//! The sources are part of this program, so an installed one needs no checkout. They name exact
//! versions of modules, and go.sum has their digests: what is built does not depend on when or
//! where. Where modules come from is the user's own setting (GOPROXY and the like).

mod sources;

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use fs_err as fs;
use lifeboat_archive::{Cache, CacheError, Digest, Progress};
use lifeboat_sandbox::{ToolsTree, end_with_us};

pub use sources::{CONTROL, Module, NODE};

use crate::KUBERNETES;

/// The oldest Go that the modules accept; also in their go.mod.
pub const OLDEST_GO: (u32, u32, u32) = (1, 26, 6);
/// When the modules' Kubernetes was released, the date that its programs state.
const BUILD_DATE: &str = "2026-07-22T18:07:38Z";
/// How many of the last lines of the compiler an error shows.
const LAST_LINES: usize = 20;

/// The programs could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file or process operation failed.
    #[error("cannot run the Go toolchain")]
    Io(#[from] io::Error),
    /// There is no Go toolchain that is new enough.
    #[error(
        "building Kubernetes needs Go {}.{}.{} or newer; {found}", OLDEST_GO.0, OLDEST_GO.1,
        OLDEST_GO.2
    )]
    NoToolchain {
        /// What there is instead.
        found: String,
    },
    /// The compiler failed, or a module could not be had.
    #[error("`go build` failed in kubernetes/{module}; its last lines:\n{lines}")]
    Build {
        /// The module's folder.
        module: &'static str,
        /// The end of its output.
        lines: String,
    },
    /// The user stopped it.
    #[error("the build of Kubernetes was cancelled")]
    Cancelled,
}

/// A Go toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    place: Place,
    version: String,
}

#[derive(Clone, Debug)]
enum Place {
    Host,
    Tools { tools: ToolsTree, root: String },
}

impl Toolchain {
    /// The host's toolchain if it is new enough, else that of the tools tree.
    ///
    /// # Errors
    /// [`GoError::NoToolchain`] if neither is.
    pub fn find(tools: Option<&ToolsTree>) -> Result<Self, GoError> {
        let mut places = vec![Place::Host];
        if let Some(tools) = tools {
            let folders = fs::read_dir(tools.path().join("usr/lib"));
            let names = folders.into_iter().flatten().flatten();
            let mut roots: Vec<String> = names
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| name.starts_with("go-"))
                .map(|name| format!("usr/lib/{name}"))
                .collect();
            roots.sort();
            let tools = |root| Place::Tools {
                tools: tools.clone(),
                root,
            };
            places.extend(roots.into_iter().rev().map(tools));
        }
        let mut found = "there is none on this machine".to_owned();
        for place in places {
            match version(&place) {
                Some(version) if parse_version(&version) >= Some(OLDEST_GO) => {
                    return Ok(Self { place, version });
                }
                Some(version) => found = format!("here is `{version}`"),
                None => {}
            }
        }
        Err(GoError::NoToolchain { found })
    }

    /// What it calls itself, `go1.26.8`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A command of a toolchain that does not fetch another one.
fn go(place: &Place) -> Command {
    let mut command = match place {
        Place::Host => Command::new("go"),
        Place::Tools { tools, root } => {
            let mut command = tools.command(&format!("{root}/bin/go"));
            command.env("GOROOT", tools.path().join(root));
            command
        }
    };
    command.env("GOTOOLCHAIN", "local").stdin(Stdio::null());
    command
}

fn version(place: &Place) -> Option<String> {
    let output = go(place).args(["env", "GOVERSION"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| text.trim().to_owned())
}

/// The numbers of `go1.26.8` or `go1.27`, and of what distributions add behind them.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers = text.trim().strip_prefix("go")?;
    let end = numbers.find(|byte: char| !byte.is_ascii_digit() && byte != '.');
    let numbers = &numbers[..end.unwrap_or(numbers.len())];
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let major = parts.next()??;
    let minor = parts.next()??;
    let patch = parts.next().flatten().unwrap_or(0);
    Some((major, minor, patch))
}

/// The flags of a build; they are part of its key.
fn flags() -> Vec<String> {
    let mut linker = vec!["-s".to_owned(), "-w".to_owned()];
    let mut parts = KUBERNETES.split('.');
    let (major, minor) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", format!("v{KUBERNETES}").as_str()),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
            ("gitCommit", ""),
            ("buildDate", BUILD_DATE),
        ] {
            linker.extend(["-X".to_owned(), format!("{package}.{name}={value}")]);
        }
    }
    let mut flags: Vec<String> = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
        .map(str::to_owned)
        .into();
    flags.extend(["-tags".to_owned(), "urfave_cli_no_docs".to_owned()]);
    flags.extend(["-ldflags".to_owned(), linker.join(" ")]);
    flags
}

/// Builds all programs of a module, or finds them in the cache. Returns their folder.
///
/// # Errors
/// [`GoError`] if the toolchain fails; the message has its last lines.
pub fn build(
    cache: &Cache,
    toolchain: &Toolchain,
    module: &Module,
    progress: &dyn Progress,
    cancel: &AtomicBool,
) -> Result<PathBuf, GoError> {
    cache.derive("kubernetes", &key(toolchain, module), |path| {
        let what = format!("compiling {} (minutes, the first time)", module.what);
        progress.start(&what, 0);
        let result = compile(path, toolchain, module, cancel);
        progress.finish();
        result
    })
}

/// The digest of all that the programs of a module are made from.
pub fn key(toolchain: &Toolchain, module: &Module) -> Digest {
    let flags = flags();
    let mut parts: Vec<&[u8]> = vec![b"kubernetes 1", toolchain.version.as_bytes()];
    parts.extend(flags.iter().map(String::as_bytes));
    for (name, text) in module.files {
        parts.extend([name.as_bytes(), text.as_bytes()]);
    }
    Digest::of_parts(parts)
}

fn compile(
    path: &Path,
    toolchain: &Toolchain,
    module: &Module,
    cancel: &AtomicBool,
) -> Result<(), GoError> {
    let source = path.join(".source");
    for (name, text) in module.files {
        let to = source.join(name);
        fs::create_dir_all(to.parent().unwrap_or(&source))?;
        fs::write(to, text)?;
    }
    let mut output = OsString::from(path);
    output.push("/");
    let mut command = go(&toolchain.place);
    command
        .arg("build")
        .args(flags())
        .arg("-o")
        .arg(output)
        .args(module.packages)
        .current_dir(&source)
        .envs([("CGO_ENABLED", "0"), ("GOOS", "linux"), ("GOARCH", "amd64")])
        .envs([("GOAMD64", "v1"), ("GOWORK", "off"), ("GO111MODULE", "on")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    run(command, module.name, cancel)?;
    fs::remove_dir_all(source)?;
    for (link, target) in module.links {
        std::os::unix::fs::symlink(target, path.join(link))?;
    }
    Ok(())
}

/// Runs the compiler; stops it when `cancel` is set.
fn run(mut command: Command, module: &'static str, cancel: &AtomicBool) -> Result<(), GoError> {
    let mut child = end_with_us(&mut command).spawn()?;
    let stderr = child.stderr.take();
    let mut lines: Vec<String> = Vec::new();
    let status = thread::scope(|scope| {
        scope.spawn(|| {
            let lines_of = stderr.map(|stderr| BufReader::new(stderr).lines());
            for line in lines_of.into_iter().flatten().map_while(Result::ok) {
                // One for each of hundreds of modules; they explain no failure.
                if !line.starts_with("go: downloading ") {
                    lines.push(line);
                }
            }
        });
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok::<_, io::Error>(status);
            }
            if cancel.load(Ordering::Relaxed) {
                // It may have ended by itself just now.
                let _ = child.kill();
                return child.wait();
            }
            thread::sleep(Duration::from_millis(50));
        }
    })?;
    if cancel.load(Ordering::Relaxed) {
        return Err(GoError::Cancelled);
    }
    if !status.success() {
        let lines = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        return Err(GoError::Build { module, lines });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go() {
        assert_eq!(parse_version("go1.26.8\n"), Some((1, 26, 8)));
        assert_eq!(parse_version("go1.27"), Some((1, 27, 0)));
        assert_eq!(parse_version("go1.27rc1"), Some((1, 27, 0)));
        assert_eq!(parse_version("go1.26.6-X:nodwarf5"), Some((1, 26, 6)));
        assert_eq!(parse_version("devel"), None);
    }

    #[test]
    fn the_modules_ask_for_the_go_that_is_looked_for() {
        let (major, minor, patch) = OLDEST_GO;
        let oldest = format!("\ngo {major}.{minor}.{patch}\n");
        let file = |module: &Module| {
            let found = module.files.iter().find(|(name, _)| *name == "go.mod");
            found.unwrap().1.to_owned()
        };
        assert!(file(&NODE).contains(&oldest));
        assert!(file(&CONTROL).contains(&format!("\ngo {major}.{minor}.0\n")));
        assert!(file(&CONTROL).contains(&format!("k8s.io/kubernetes v{KUBERNETES}\n")));
    }

    #[test]
    fn a_failed_build_shows_the_last_lines() {
        let Ok(toolchain) = Toolchain::find(None) else {
            println!("SKIPPED: no Go toolchain here");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let module = Module {
            name: "broken",
            what: "nothing",
            files: &[
                ("go.mod", "module broken\n\ngo 1.26\n"),
                ("main.go", "package main\n\nfunc main() { missing() }\n"),
            ],
            packages: &["."],
            links: &[],
        };
        let quiet = lifeboat_archive::Silent;
        let error = build(&cache, &toolchain, &module, &quiet, &AtomicBool::new(false));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("main.go:3:15: undefined: missing"), "{text}");
        assert!(
            cache
                .derived("kubernetes", &key(&toolchain, &module))
                .is_none()
        );
    }
}
