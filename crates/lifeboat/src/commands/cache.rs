//! `lifeboat cache`

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use lifeboat_archive::{Cache, Entry};
use serde::Serialize;

use crate::{cli::CacheCommand, context::Context, exit::Exit};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    folder: PathBuf,
    bytes: u64,
    kinds: BTreeMap<String, Kind>,
    removed_bytes: u64,
    removed: u64,
}

#[derive(Default, Serialize)]
struct Kind {
    entries: u64,
    bytes: u64,
}

pub fn run(command: &CacheCommand, context: &Context) -> Result<Exit> {
    let cache = context.cache()?;
    let mut facts = Facts {
        schema: "lifeboat.cache/1",
        folder: cache.root().to_owned(),
        bytes: 0,
        kinds: BTreeMap::new(),
        removed_bytes: 0,
        removed: 0,
    };
    let now = SystemTime::now();
    for entry in cache.entries()? {
        context.check_cancel()?;
        if goes(command, &entry, now) {
            remove(&cache, &entry, &mut facts)?;
            continue;
        }
        facts.bytes += entry.size;
        let kind = facts.kinds.entry(entry.kind).or_default();
        kind.entries += 1;
        kind.bytes += entry.size;
    }
    context.printer.facts(&facts, |facts| {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let mut text = String::new();
        if !matches!(command, CacheCommand::Show) {
            let (count, size) = (facts.removed, mib(facts.removed_bytes));
            let _ = writeln!(text, "removed {count} entries, {size} MiB");
        }
        let _ = writeln!(text, "{}: {} MiB", facts.folder.display(), mib(facts.bytes));
        for (name, kind) in &facts.kinds {
            let (size, count) = (mib(kind.bytes), kind.entries);
            let _ = writeln!(text, "  {name:<12} {size:>7} MiB in {count} entries");
        }
        text
    })?;
    Ok(Exit::Done)
}

/// Whether the command removes an entry. What has a hidden name or is partial may be in the
/// making by another process.
fn goes(command: &CacheCommand, entry: &Entry, now: SystemTime) -> bool {
    const DAY: Duration = Duration::from_hours(24);
    let age = now.duration_since(entry.used).unwrap_or_default();
    let name = entry.path.file_name().unwrap_or_default();
    let unfinished = entry.kind == "partial" || name.as_encoded_bytes().starts_with(b".");
    match command {
        CacheCommand::Show => false,
        CacheCommand::Clean => true,
        CacheCommand::Gc(_) if unfinished => age > DAY,
        CacheCommand::Gc(arguments) => {
            age > DAY.saturating_mul(u32::try_from(arguments.days).unwrap_or(u32::MAX))
        }
    }
}

fn remove(cache: &Cache, entry: &Entry, facts: &mut Facts) -> Result<()> {
    cache.remove(entry)?;
    facts.removed += 1;
    facts.removed_bytes += entry.size;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::GcArgs;

    #[test]
    fn the_collector_keeps_what_is_in_use() {
        let now = SystemTime::now();
        let entry = |kind: &str, name: &str, days: u64| Entry {
            kind: kind.into(),
            path: name.into(),
            size: 1,
            used: now - Duration::from_secs(days * 86_400),
        };
        let gc = CacheCommand::Gc(GcArgs { days: 30 });
        assert!(!goes(&gc, &entry("deb", "abc", 29), now));
        assert!(goes(&gc, &entry("deb", "abc", 31), now));
        assert!(!goes(&gc, &entry("partial", "abc", 0), now));
        assert!(goes(&gc, &entry("base", ".abc.tmp", 2), now));
        assert!(!goes(&CacheCommand::Show, &entry("deb", "abc", 99), now));
        assert!(goes(&CacheCommand::Clean, &entry("deb", "abc", 0), now));
    }
}
