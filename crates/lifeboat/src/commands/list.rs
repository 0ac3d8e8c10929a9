//! `lifeboat list`

use std::fmt::Write as _;

use anyhow::Result;
use lifeboat_machine::{MachineName, Record};
use serde::Serialize;

use crate::{context::Context, exit::Exit};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    machines: Vec<Machine>,
}

#[derive(Serialize)]
struct Machine {
    name: MachineName,
    state: &'static str,
    kubernetes: String,
    created: String,
    ssh_port: Option<u16>,
    kubernetes_port: Option<u16>,
}

pub fn run(context: &Context) -> Result<Exit> {
    let mut machines = Vec::new();
    for folder in context.machines()?.list()? {
        match folder.record() {
            Ok(record) => machines.push(describe(record, super::status::state(&folder)?)),
            Err(error) => context.printer.warning(error),
        }
    }
    let facts = Facts {
        schema: "lifeboat.list/1",
        machines,
    };
    context.printer.facts(&facts, |facts| {
        if facts.machines.is_empty() {
            return String::new();
        }
        let mut text = format!(
            "{:<20} {:<9} {:<11} CREATED\n",
            "NAME", "STATE", "KUBERNETES"
        );
        for machine in &facts.machines {
            let _ = writeln!(
                text,
                "{:<20} {:<9} {:<11} {}",
                machine.name.as_str(),
                machine.state,
                machine.kubernetes,
                machine.created
            );
        }
        text
    })?;
    if facts.machines.is_empty() {
        context
            .printer
            .note("there are no machines; `lifeboat up` makes one");
    }
    Ok(Exit::Done)
}

fn describe(record: Record, state: &'static str) -> Machine {
    let running = state != "stopped";
    Machine {
        state,
        ssh_port: record.host_port(22).filter(|_| running),
        kubernetes_port: record.host_port(6443).filter(|_| running),
        name: record.name,
        kubernetes: record.kubernetes,
        created: record.created,
    }
}
