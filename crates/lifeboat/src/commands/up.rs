//! `lifeboat up`

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, process::Stdio, time::Duration};

use anyhow::Result;
use lifeboat_config::Cni;
use lifeboat_machine::{
    Acceleration, Failure, Folder, Forward, Goal, Hardware, LogName, Machine as _, MachineLock,
    MachineName, Machines, Qemu, Record, Tools, WaitError, Waiting, choose_acceleration,
    create_disk, link_or_copy, plain_text, stop, timestamp, wait_ready, wait_until,
};
use serde::Serialize;

use crate::{
    cli::{Accelerator, BootKind, UpArgs, WaitFor},
    context::Context,
    definition::{self, Loaded},
    exit::Exit,
    hint::Advised,
    pipeline::{self, Built, Locking},
};

#[derive(Serialize)]
struct Facts {
    schema: &'static str,
    name: MachineName,
    state: &'static str,
    kubernetes: String,
    image: String,
    acceleration: Option<Acceleration>,
    kubeconfig: Option<PathBuf>,
    ssh: Ssh,
    ports: Vec<Forward>,
    seconds: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Ssh {
    host: &'static str,
    port: Option<u16>,
    user: &'static str,
    key: PathBuf,
}

/// How long power-on to all pods may take.
const LIMIT_KVM: Duration = Duration::from_mins(5);
const LIMIT_EMULATION: Duration = Duration::from_mins(15);
/// How long a node that did not get ready may take to tell its warnings.
const LIMIT_JOURNAL: Duration = Duration::from_secs(20);

pub fn run(arguments: &UpArgs, context: &Context) -> Result<Exit> {
    // First of all, so that a mistake in it costs no time.
    let loaded = definition::load(arguments.definition.file.as_deref())?;
    let machines = context.machines()?;
    let name = &arguments.name;
    let lock = machines.lock(name, &context.cancel, || {
        context
            .printer
            .note("waiting for another command on this machine to end");
    })?;
    let (folder, tools) = prepare(arguments, context, &loaded, &machines, &lock)?;
    let mut record = folder.record()?;
    if folder.running()?.is_none() {
        let tools = match tools {
            Some(tools) => tools,
            None => super::tools(&record, context)?,
        };
        let acceleration = accelerate(arguments, context, tools.as_ref())?;
        context.check_cancel()?;
        write_identity(context, &folder)?;
        context
            .reporter
            .phase("boot", &format!("booting machine `{name}`"));
        record = Qemu::new(tools.as_ref(), acceleration).start(&folder, &lock)?;
    }
    // The wait needs no lock: another command may stop what does not get ready.
    drop(lock);
    let waited = match arguments.wait {
        WaitFor::Start => Ok(()),
        WaitFor::Ready => wait(arguments, context, &folder, &record, Goal::Node),
        WaitFor::Pods => wait(arguments, context, &folder, &record, Goal::Pods),
    };
    let mut seconds = context.reporter.seconds();
    seconds.remove("boot");
    if let Err(error) = waited {
        return Err(explain(error, &folder, context));
    }
    record = folder.record()?;
    seconds.extend(record.seconds.clone());
    record.seconds.clone_from(&seconds);
    let facts = facts(context, &folder, record)?;
    context.printer.success(match facts.state {
        "ready" => format!("machine `{name}` is ready, Kubernetes {}", facts.kubernetes),
        _ => format!("machine `{name}` is starting"),
    });
    context.printer.facts(&facts, next_steps)?;
    if loaded.definition.image.cni == Cni::None && facts.kubeconfig.is_some() {
        context.printer.note(
            "no pod network is set up (`cni: none`): CoreDNS and your pods wait until you bring one, as with `lifeboat kubectl -- apply -f NETWORK.yaml`",
        );
    }
    Ok(Exit::Done)
}

/// Finds the machine, or builds and makes it.
fn prepare(
    arguments: &UpArgs,
    context: &Context,
    loaded: &Loaded,
    machines: &Machines,
    lock: &MachineLock,
) -> Result<(Folder, Option<Box<dyn Tools>>)> {
    let name = &arguments.name;
    let earlier = machines.find(name);
    if let Some(folder) = earlier.as_ref().filter(|_| !arguments.fresh) {
        let record = folder.record()?;
        if folder.running()?.is_some() {
            context
                .printer
                .note(format!("machine `{name}` runs already"));
        } else {
            refresh(arguments, loaded, folder, record)?;
            context.printer.note(format!(
                "machine `{name}` boots again with its disk; `--fresh` makes a new one"
            ));
        }
        return Ok((folder.clone(), None));
    }
    let built = pipeline::build(context, loaded, Locking::of(&arguments.definition))?;
    context.check_cancel()?;
    if let Some(folder) = earlier {
        // A fresh one replaces it, whatever state it is in.
        stop(&folder, lock, Duration::ZERO)?;
        machines.remove(&folder, lock)?;
    }
    let folder = create(arguments, loaded, machines, lock, &built)?;
    Ok((folder, Some(built.tools)))
}

fn create(
    arguments: &UpArgs,
    loaded: &Loaded,
    machines: &Machines,
    lock: &MachineLock,
    built: &Built,
) -> Result<Folder> {
    let machine = &loaded.definition.machine;
    let mut ports = Forward::basic();
    ports.extend(built.ports.clone());
    ports.extend(machine.ports.iter().map(|port| Forward {
        host: port.host.unwrap_or(0),
        ..Forward::tcp(&port.guest.to_string(), port.guest)
    }));
    let mut record = Record::new(
        arguments.name.clone(),
        timestamp(std::time::SystemTime::now()),
        built.id.clone(),
        built.kubernetes.clone(),
        Hardware {
            cpus: machine.cpus,
            memory_mib: machine.memory.as_mib(),
            disk_mib: machine.disk.as_mib(),
        },
        ports,
        built.tools.root().to_owned(),
        built.expected.clone(),
    );
    record.definition.clone_from(&loaded.file);
    record.direct_kernel = match arguments.boot {
        Some(kind) => kind == BootKind::Kernel,
        None => machine.boot == lifeboat_config::Boot::Kernel,
    };
    let disk_mib = record.hardware.disk_mib;
    machines.create(&record, lock, |path| -> Result<()> {
        create_disk(built.tools.as_ref(), &built.disk, path, disk_mib)?;
        link_or_copy(&built.kubectl, &path.join("kubectl"))?;
        // Both ways of booting stay possible for the life of the machine.
        for name in ["vmlinuz", "initrd", "cmdline"] {
            link_or_copy(&built.folder.join(name), &path.join(name))?;
        }
        let config = loaded.definition.node.to_json();
        lifeboat_machine::write_private(&path.join("config.json"), config.as_bytes())?;
        Ok(())
    })
}

/// What this host gives the node beside its configuration: a name, if it is given none there,
/// and the key of `lifeboat ssh`, beside all keys there.
fn write_identity(context: &Context, folder: &Folder) -> Result<()> {
    folder.write_private("hostname", folder.name().as_str().as_bytes())?;
    let key = super::ssh_key(context)?;
    let line = format!("{}\n", key.public());
    Ok(folder.write_private("authorized_keys", line.as_bytes())?)
}

/// Brings a stopped machine up to its definition, as far as its disk stays: the settings of the
/// node count from the next boot, processors and memory as well.
fn refresh(arguments: &UpArgs, loaded: &Loaded, folder: &Folder, mut record: Record) -> Result<()> {
    // Another folder's definition, or none, says nothing about this machine.
    if loaded.file.is_some() && loaded.file == record.definition {
        let machine = &loaded.definition.machine;
        record.hardware.cpus = machine.cpus;
        record.hardware.memory_mib = machine.memory.as_mib();
        let config = loaded.definition.node.to_json();
        folder.write_private("config.json", config.as_bytes())?;
    }
    if let Some(kind) = arguments.boot {
        record.direct_kernel = kind == BootKind::Kernel;
    }
    Ok(folder.write(&record)?)
}

fn accelerate(arguments: &UpArgs, context: &Context, tools: &dyn Tools) -> Result<Acceleration> {
    if arguments.acceleration == Accelerator::Tcg {
        return Ok(Acceleration::Emulation);
    }
    let trial = choose_acceleration(tools);
    if trial.acceleration == Acceleration::Emulation {
        if arguments.acceleration == Accelerator::Kvm {
            return Err(Advised::new(trial.reason, "leave `--acceleration kvm` out"));
        }
        context
            .printer
            .note(format!("in emulation, which is slow: {}", trial.reason));
    }
    Ok(trial.acceleration)
}

fn wait(
    arguments: &UpArgs,
    context: &Context,
    folder: &Folder,
    record: &Record,
    goal: Goal,
) -> Result<(), WaitError> {
    let emulated = record
        .running
        .as_ref()
        .is_none_or(|run| run.acceleration == Acceleration::Emulation);
    let usual = if emulated { LIMIT_EMULATION } else { LIMIT_KVM };
    let waiting = Waiting {
        goal,
        limit: arguments.timeout.unwrap_or(usual),
        cancel: &context.cancel,
        progress: &mut |progress| context.reporter.step(&progress.step, &progress.message),
    };
    wait_ready(folder, waiting).map(|_| ())
}

/// A failed wait, with the last lines of the logs that show why.
fn explain(error: WaitError, folder: &Folder, context: &Context) -> anyhow::Error {
    let WaitError::Failed(failure) = error else {
        return error.into();
    };
    let name = folder.name();
    let Failure {
        step,
        reason,
        log,
        lines,
    } = &failure;
    let mut message = format!("machine `{name}` does not get ready: step `{step}`: {reason}");
    if !lines.is_empty() {
        let _ = write!(message, "\n  last lines of its {log} log:");
        for line in lines {
            let _ = write!(message, "\n    {line}");
        }
    }
    if let Some(lines) = journal(&failure, folder, context) {
        message.push_str("\n  last warnings of its journal:");
        for line in lines {
            let _ = write!(message, "\n    {line}");
        }
    }
    Advised::new(
        message,
        format!(
            "it is left as it is: `lifeboat logs {name}` and `lifeboat console {name}` show more, `lifeboat down {name}` removes it"
        ),
    )
}

/// The last warnings of a node that came up and has not said itself what keeps it from being
/// ready. Nothing if it does not answer soon.
fn journal(failure: &Failure, folder: &Folder, context: &Context) -> Option<Vec<String>> {
    let phase = failure.step.split('/').next()?;
    let is_up = ["userspace", "kubeadm", "addons", "ready", "pods"].contains(&phase);
    if !is_up || matches!(failure.log, LogName::Qemu | LogName::Node) {
        return None;
    }
    let record = super::running(folder).ok()?;
    let tools = pipeline::tools_at(&record.tools)?;
    let key = super::ssh_key(context).ok()?;
    let mut child = key
        .command(tools.as_ref(), folder, &record, "root")
        .ok()?
        .args(["--", "journalctl", "--boot", "--no-pager", "--lines=12"])
        .args(["--priority=warning", "--output=short-monotonic"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let ended = wait_until(LIMIT_JOURNAL, || child.try_wait().ok().flatten());
    if ended.is_none() {
        // It may have ended just now.
        let _ = child.kill();
    }
    // So few lines fit into the pipe.
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<String> = text.lines().map(plain_text).collect();
    (!lines.is_empty()).then_some(lines)
}

fn facts(context: &Context, folder: &Folder, record: Record) -> Result<Facts> {
    let kubeconfig = Some(folder.file("kubeconfig")).filter(|path| path.is_file());
    Ok(Facts {
        schema: "lifeboat.up/1",
        state: super::status::state(folder)?,
        ssh: Ssh {
            host: "127.0.0.1",
            port: record.host_port(22),
            user: "root",
            key: super::ssh_key(context)?.private().to_owned(),
        },
        kubeconfig,
        acceleration: record.running.map(|run| run.acceleration),
        name: record.name,
        kubernetes: record.kubernetes,
        image: record.image,
        ports: record.ports,
        seconds: record.seconds,
    })
}

fn next_steps(facts: &Facts) -> String {
    let mut text = String::new();
    if let Some(kubeconfig) = &facts.kubeconfig {
        let _ = writeln!(text, "kubeconfig: {}", kubeconfig.display());
    }
    for port in &facts.ports {
        if !["ssh", "kubernetes"].contains(&port.name.as_str()) {
            let _ = writeln!(
                text,
                "port {} ({}): 127.0.0.1:{}",
                port.guest, port.name, port.host
            );
        }
    }
    let phases: Vec<String> = facts
        .seconds
        .iter()
        .map(|(phase, seconds)| format!("{phase} {seconds:.1}"))
        .collect();
    if !phases.is_empty() {
        let _ = writeln!(text, "seconds: {}", phases.join(", "));
    }
    let name = match facts.name.as_str() {
        "default" => String::new(),
        other => format!(" {other}"),
    };
    let _ = writeln!(
        text,
        "\nnext:\n  lifeboat kubectl{name} -- get pods -A\n  lifeboat ssh{name}\n  lifeboat kubeconfig{name} --merge"
    );
    text
}
