//! The real command in a folder of its own, with what each run costs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value as Json;

/// Clock ticks of a second in /proc. Source: proc(5), `USER_HZ`, 100 on every architecture.
const TICKS: f64 = 100.0;

/// A folder with a definition and machines. Keys are the user's, so that the payload that is in
/// the cache serves.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    cache: Option<PathBuf>,
}

/// What a run of the command said and cost.
#[derive(Clone, Debug)]
pub struct Run {
    /// The document that it printed.
    pub document: Json,
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of processors, with all that it started and waited for.
    pub cpu: f64,
}

impl Place {
    /// A place with a definition.
    pub fn new(definition: &str) -> Result<Self> {
        let place = Self {
            folder: tempfile::tempdir()?,
            cache: None,
        };
        place.define(definition)?;
        Ok(place)
    }

    /// With another cache than the user's.
    pub fn with_cache(mut self, cache: &Path) -> Self {
        self.cache = Some(cache.to_owned());
        self
    }

    /// Writes the definition anew.
    pub fn define(&self, definition: &str) -> Result<()> {
        Ok(fs_err::write(self.file("lifeboat.yaml"), definition)?)
    }

    /// A file beside the definition.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command; what it says but for data goes to our own stderr.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LIFEBOAT_STATE", self.file("state"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(cache) = &self.cache {
            command.env("LIFEBOAT_CACHE", cache);
        }
        let output = command.output().context("the command cannot be started")?;
        ensure!(
            output.status.success(),
            "`lifeboat {}` failed",
            arguments.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs the command for its document, and measures it.
    pub fn run(&self, arguments: &[&str]) -> Result<Run> {
        let before = cpu_of_children()?;
        let start = Instant::now();
        let text = self.output(&[&["--quiet"], arguments, &["--format", "json"]].concat())?;
        let wall = start.elapsed().as_secs_f64();
        Ok(Run {
            document: serde_json::from_str(&text)?,
            wall,
            cpu: cpu_of_children()? - before,
        })
    }
}

/// Processor time of all children that ended. Source: proc(5), `/proc/pid/stat`, fields 16, 17.
fn cpu_of_children() -> Result<f64> {
    let text = fs_err::read_to_string("/proc/self/stat")?;
    // The second field is the name, in parentheses, and may hold blanks.
    let (_, rest) = text.rsplit_once(") ").context("/proc/self/stat is odd")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| -> Result<f64> {
        let field = fields.get(at - 3).context("/proc/self/stat is short")?;
        Ok(field.parse::<f64>()?)
    };
    Ok((ticks(16)? + ticks(17)?) / TICKS)
}
