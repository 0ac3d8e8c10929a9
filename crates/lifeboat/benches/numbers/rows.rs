//! The table of SPECIFICATION.md.

use anyhow::{Context as _, Result, ensure};

/// A promised number.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name, also that of the file with its measurement.
    pub id: String,
    /// At most this.
    pub limit: f64,
    /// `s` or `MiB`.
    pub unit: String,
}

/// The rows of a table `id | limit | unit | how measured`.
pub fn parse(text: &str) -> Result<Vec<Row>> {
    let cells = |line: &str| -> Vec<String> {
        let inside = line.trim().trim_matches('|');
        inside
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let rows = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip_while(|line| !line.contains("how measured"))
        .skip(2)
        .map(|line| {
            let cells = cells(line);
            let [id, limit, unit, how] = &cells[..] else {
                anyhow::bail!("SPECIFICATION.md: `{line}` has not four cells");
            };
            ensure!(!how.is_empty(), "SPECIFICATION.md: `{id}` is not measured");
            Ok(Row {
                id: id.clone(),
                limit: limit
                    .parse()
                    .with_context(|| format!("SPECIFICATION.md: the limit of `{id}`"))?,
                unit: unit.clone(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    ensure!(!rows.is_empty(), "SPECIFICATION.md has no table of numbers");
    Ok(rows)
}
