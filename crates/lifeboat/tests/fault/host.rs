//! A user's folders, in which the real command is run.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use lifeboat_archive::Cache;

/// Tests with deadlines run one after the other, whatever the number of threads.
static ALONE: Mutex<()> = Mutex::new(());

/// A folder with a definition, and the folders of the command.
pub struct Host {
    folder: tempfile::TempDir,
    cache: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub data: String,
    pub news: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            data: text(&output.stdout),
            news: text(&output.stderr),
        }
    }
}

impl Said {
    /// Checks that it failed as it should, and said all of `texts`.
    pub fn fails_with(&self, texts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        for text in texts {
            assert!(self.news.contains(text), "no `{text}` in:\n{}", self.news);
        }
    }
}

impl Host {
    /// A host with this definition and the cache of whoever runs the tests.
    pub fn new(definition: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let host = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            cache: Cache::default_root(|name| std::env::var_os(name)).expect("a cache"),
            _alone: alone,
        };
        host.define(definition);
        host
    }

    /// Another definition.
    pub fn define(&self, definition: &str) {
        fs_err::write(self.file("lifeboat.yaml"), definition).expect("it is ours");
    }

    /// A path in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The command with another cache.
    pub fn command_with(&self, cache: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            // One signing key for all of these tests: a payload for each would take time.
            .env(
                "LIFEBOAT_CONFIG",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("config"),
            )
            .env("LIFEBOAT_STATE", self.file("state"))
            .env("LIFEBOAT_CACHE", cache)
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command_with(&self.cache, arguments).output();
        output.expect("the command starts").into()
    }

    /// Starts the command.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command_with(&self.cache, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the command starts")
    }

    /// Runs the command, which must succeed.
    pub fn good(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        said.data
    }
}

impl Drop for Host {
    /// Nothing that was started stays, whatever failed.
    fn drop(&mut self) {
        if self.file("state").exists() {
            self.run(&["down"]);
        }
    }
}
