//! What every verb is given.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use lifeboat_archive::{Cache, Progress as _};
use lifeboat_machine::{Folder, MachineName, Machines};

use crate::{
    cli::Output,
    env,
    hint::{Advised, Interrupted},
    interrupt,
    printer::{self, Printer},
    progress::Reporter,
};

/// Printer, folders and the Ctrl-C flag.
#[derive(Debug)]
pub struct Context {
    /// Prints.
    pub printer: Printer,
    /// Shows progress.
    pub reporter: Arc<Reporter>,
    /// Set by Ctrl-C.
    pub cancel: Arc<AtomicBool>,
    environment: fn(&str) -> Option<OsString>,
}

impl Context {
    /// A context of this process.
    pub fn new(printer: Printer, output: &Output) -> Result<Self> {
        Ok(Self {
            printer,
            reporter: Arc::new(Reporter::new(printer::progress_mode(output))),
            cancel: interrupt::flag()?,
            environment: |name| std::env::var_os(name),
        })
    }

    /// The user's cache, made if it is not there.
    pub fn cache(&self) -> Result<Cache> {
        let reporter = Arc::clone(&self.reporter);
        let cache = Cache::open(self.cache_folder()?)?;
        Ok(cache.tell(move |kind| {
            reporter.note(&format!(
                "waiting for another build to make the same {kind}"
            ));
        }))
    }

    /// Where the cache is.
    pub fn cache_folder(&self) -> Result<PathBuf> {
        absolute(Cache::default_root(self.environment)?)
    }

    /// The user's machines.
    pub fn machines(&self) -> Result<Machines> {
        let root = Machines::default_root(self.environment)?;
        Ok(Machines::at(absolute(root)?))
    }

    /// The machine of that name.
    pub fn machine(&self, name: &MachineName) -> Result<Folder> {
        Ok(self.machines()?.open(name)?)
    }

    /// The user's keys and settings.
    pub fn config_folder(&self) -> Result<PathBuf> {
        let set = |name: &str| {
            (self.environment)(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        set(env::CONFIG)
            .or_else(|| set("XDG_CONFIG_HOME").map(|path| path.join("lifeboat")))
            .or_else(|| set("HOME").map(|path| path.join(".config/lifeboat")))
            .ok_or_else(|| {
                Advised::new(
                    "neither LIFEBOAT_CONFIG, XDG_CONFIG_HOME nor HOME says where keys are",
                    "set LIFEBOAT_CONFIG to a folder of yours",
                )
            })
            .and_then(absolute)
    }

    /// Ends with an error if the user pressed Ctrl-C.
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        Ok(())
    }
}

/// Children run in other folders, so relative ones of the environment are made absolute.
fn absolute(path: PathBuf) -> Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}
