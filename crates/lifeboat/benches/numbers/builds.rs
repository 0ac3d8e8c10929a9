//! Times of `lifeboat build`, and sizes of what it makes.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use lifeboat_archive::Cache;
use serde_json::json;

use crate::{
    command::{Place, Run},
    report::Report,
};

/// Rows that are measured here.
pub const IDS: &[&str] = &[
    "root-size",
    "uki-size",
    "payload-size",
    "build-cached",
    "build-one-line",
    "build-nothing",
];
/// What is in the cache for `build-cached`: packages as they were downloaded, and the payload
/// with its programs.
const CACHED: [&str; 3] = ["blobs", "derived/kubernetes", "derived/payload"];

fn definition(line: &str) -> String {
    format!("image:\n  files: [{{path: /usr/share/bench.txt, content: \"{line}\\n\"}}]\n")
}

/// Measures the rows that are asked for; returns what is not as it must be.
pub fn measure(report: &mut Report, asked: &dyn Fn(&[&str]) -> bool) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    // No run before had this line.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let line = |number: u32| format!("{}.{number}", since.as_nanos());
    let place = Place::new(&definition(&line(0)))?;
    place.run(&["build", "-o", "out"])?;
    if asked(&["root-size", "uki-size", "payload-size"]) {
        failures.extend(sizes(report, &place)?);
    }
    let mut one_line = Vec::new();
    for number in 1..=3 {
        place.define(&definition(&line(number)))?;
        one_line.push(place.run(&["build", "-o", "out"])?);
    }
    let mut nothing = Vec::new();
    for _ in 0..5 {
        nothing.push(place.run(&["build", "-o", "out"])?);
    }
    report.add_runs("build-one-line", &one_line)?;
    report.add_runs("build-nothing", &nothing)?;
    if fastest(&nothing) * 2.0 > fastest(&one_line) {
        failures.push("a build with nothing changed takes over half of one with a change".into());
    }
    if asked(&["build-cached"]) {
        let cached = cached(&place, &definition(&line(0)))?;
        report.add_runs("build-cached", std::slice::from_ref(&cached))?;
        if fastest(&one_line) > cached.wall {
            failures.push("a build with a change takes longer than one of all".into());
        }
    }
    Ok(failures)
}

fn fastest(runs: &[Run]) -> f64 {
    runs.iter().map(|run| run.wall).fold(f64::MAX, f64::min)
}

/// One build in a cache with [`CACHED`] and nothing else, for the lock of `place`.
fn cached(place: &Place, definition: &str) -> Result<Run> {
    let whole = Cache::default_root(|name| std::env::var_os(name))?;
    // Beside it, so that files can be linked.
    let beside = whole.parent().context("the cache is the root folder")?;
    let part = tempfile::Builder::new()
        .prefix("lifeboat-bench.")
        .tempdir_in(beside)?;
    for name in CACHED {
        link_all(&whole.join(name), &part.path().join(name))?;
    }
    let fresh = Place::new(definition)?.with_cache(part.path());
    fs::copy(place.file("lifeboat.lock"), fresh.file("lifeboat.lock"))?;
    fresh.run(&["build", "-o", "out"])
}

/// A folder with links to all files of another.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_all(&from, &to)?;
        } else {
            fs::hard_link(from, to)?;
        }
    }
    Ok(())
}

fn sizes(report: &mut Report, place: &Place) -> Result<Vec<String>> {
    let mib = |path: &Path| -> Result<f64> {
        let bytes = u32::try_from(fs::metadata(path)?.len() >> 10)?;
        Ok(f64::from(bytes) / 1024.0)
    };
    let out = place.file("out");
    let root = mib(&out.join("root.erofs"))? + mib(&out.join("root.verity"))?;
    let uki = mib(&out.join("lifeboat.efi"))?;
    let payload = mib(&payload()?)?;
    let mut failures = Vec::new();
    for (id, size) in [
        ("root-size", root),
        ("uki-size", uki),
        ("payload-size", payload),
    ] {
        if !report.add(id, &[size], &json!({}))? {
            failures.push(format!("`{id}` is {size:.1} MiB, which is over its limit"));
        }
    }
    Ok(failures)
}

/// The payload that was used last.
fn payload() -> Result<PathBuf> {
    let cache = Cache::open(Cache::default_root(|name| std::env::var_os(name))?)?;
    let newest = cache
        .entries_of("payload")?
        .into_iter()
        .max_by_key(|entry| entry.used)
        .context("the cache has no payload")?;
    fs::read_dir(&newest.path)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|end| end == "raw"))
        .context("the payload in the cache has no file")
}
