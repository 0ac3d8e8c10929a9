//! `lifeboat doctor`

use std::fmt::Write as _;

use anyhow::Result;
use lifeboat_machine::{Check, Doctor, Finding};
use serde::Serialize;

use crate::{context::Context, exit::Exit, pipeline};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    able: bool,
    checks: Vec<Finding>,
}

pub fn run(context: &Context) -> Result<Exit> {
    let (cache, machines) = (context.cache_folder()?, context.machines()?);
    let tools = pipeline::tools_in_cache(context);
    let mirror = pipeline::mirror();
    let doctor = Doctor {
        cache: &cache,
        state: machines.root(),
        tools: tools.as_deref(),
        mirror: &mirror,
        path: std::env::var_os("PATH").unwrap_or_default(),
    };
    let checks = doctor.examine();
    let facts = Facts {
        schema: "lifeboat.doctor/1",
        able: checks.iter().all(|finding| finding.state != Check::Lacking),
        checks,
    };
    context.printer.facts(&facts, |facts| {
        let mut text = String::new();
        for finding in &facts.checks {
            let state = match finding.state {
                Check::Ok => "ok",
                Check::Slow => "slow",
                Check::Lacking => "lacking",
            };
            let _ = writeln!(text, "{state:<8} {:<16} {}", finding.check, finding.found);
            if !finding.advice.is_empty() {
                let _ = writeln!(text, "{:25} {}", "", finding.advice);
            }
        }
        text
    })?;
    Ok(if facts.able { Exit::Done } else { Exit::Failed })
}
