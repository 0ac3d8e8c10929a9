//! Measures the numbers that SPECIFICATION.md promises.
//!
//! `cargo bench -p lifeboat --bench numbers [-- ID…]` measures the rows of its table (all, or
//! the named ones) with the real command and writes `target/bench/ID.json` for each. Packages
//! and programs come from the user's cache, or are put there first. A size that is over its limit
//! fails, and so does a ratio of two times of this run; times alone are only told, as they depend
//! on what else the machine does.

#![expect(clippy::print_stdout, reason = "what is measured is to be seen")]

mod apply;
mod boots;
mod builds;
mod command;
mod configs;
mod report;
mod rows;

use anyhow::{Result, bail};

use report::Report;
use rows::Row;

/// Where the rows are.
const SPECIFICATION: &str = include_str!("../../../../SPECIFICATION.md");

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let rows = rows::parse(SPECIFICATION)?;
    if let Some(unknown) = named
        .iter()
        .find(|id| rows.iter().all(|row| row.id != **id))
    {
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        bail!(
            "SPECIFICATION.md has no row `{unknown}`; it has {}",
            ids.join(", ")
        );
    }
    let wanted: Vec<&Row> = rows
        .iter()
        .filter(|row| named.is_empty() || named.contains(&row.id))
        .collect();
    let asked = |ids: &[&str]| wanted.iter().any(|row| ids.contains(&row.id.as_str()));
    let mut report = Report::new(&rows)?;
    let mut failures = Vec::new();
    if asked(builds::IDS) {
        failures.extend(builds::measure(&mut report, &asked)?);
    }
    if asked(apply::IDS) {
        apply::measure(&mut report)?;
    }
    if asked(configs::IDS) {
        configs::measure(&mut report)?;
    }
    if asked(boots::IDS) {
        boots::measure(&mut report)?;
    }
    if let Some(row) = wanted.iter().find(|row| !report.has(&row.id)) {
        bail!("nothing measures the row `{}` of SPECIFICATION.md", row.id);
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(())
}
