//! What was measured: a line for a person, a document for a program.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

use crate::{command::Run, rows::Row};

/// Writes measurements.
#[derive(Debug)]
pub struct Report {
    rows: Vec<Row>,
    folder: PathBuf,
    machine: Json,
    done: BTreeSet<String>,
}

impl Report {
    /// A report on these rows, in `target/bench`.
    pub fn new(rows: &[Row]) -> Result<Self> {
        // The program that is measured is in `target/TRIPLE/release`, or in `target/release`.
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"));
        let target = program
            .ancestors()
            .find(|folder| folder.join("CACHEDIR.TAG").exists())
            .context("the program is in no target folder")?;
        let folder = target.join("bench");
        fs_err::create_dir_all(&folder)?;
        Ok(Self {
            rows: rows.to_vec(),
            folder,
            machine: machine(),
            done: BTreeSet::new(),
        })
    }

    /// Whether a row was measured.
    pub fn has(&self, id: &str) -> bool {
        self.done.contains(id)
    }

    /// Adds values of a row, or of a variant of one that has no limit of its own. Returns
    /// whether its median is within the limit.
    pub fn add(&mut self, id: &str, values: &[f64], more: &Json) -> Result<bool> {
        let row = self.rows.iter().find(|row| row.id == id);
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let first = sorted.first().context("nothing was measured")?;
        let last = sorted.last().unwrap_or(first);
        let median = sorted[sorted.len() / 2];
        let kept = row.is_none_or(|row| median <= row.limit);
        let unit = row.map_or("s", |row| &row.unit);
        let mut document = json!({
            "schema": "lifeboat.bench/1",
            "id": id,
            "unit": unit,
            "limit": row.map(|row| row.limit),
            "kept": kept,
            "runs": values,
            "median": median,
            "spread": last - first,
            "machine": self.machine,
        });
        if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
            document.extend(more.clone());
        }
        let path = self.folder.join(format!("{id}.json"));
        fs_err::write(&path, format!("{document:#}\n"))?;
        let limit = row.map_or(String::new(), |row| format!(", at most {}", row.limit));
        let over = if kept { "" } else { "  OVER" };
        println!("{id:<22} {median:>8.3} {unit}{limit}{over}");
        self.done.insert(id.to_owned());
        Ok(kept)
    }

    /// Adds the times of runs of the command.
    pub fn add_runs(&mut self, id: &str, runs: &[Run]) -> Result<()> {
        let wall: Vec<f64> = runs.iter().map(|run| run.wall).collect();
        let cpu: Vec<f64> = runs.iter().map(|run| run.cpu).collect();
        let phases: Vec<&Json> = runs.iter().map(|run| &run.document["seconds"]).collect();
        self.add(id, &wall, &json!({"cpu_seconds": cpu, "phases": phases}))?;
        Ok(())
    }
}

/// On what it was measured.
fn machine() -> Json {
    let processors = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let commit = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    json!({
        "processor": model,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "commit": commit,
    })
}
