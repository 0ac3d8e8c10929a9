//! The command line: flags and their help only.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lifeboat_machine::MachineName;

use crate::{commands::config::ConfigCommand, env};

/// One file in, a Kubernetes node out
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    about,
    long_about = "Builds an immutable Debian node image with Kubernetes from one file, and boots it.\n\nNo root, no container engine and no host tools are needed: what a build or a machine\nuses is fetched, checked and run from a cache.",
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// How to print
    #[command(flatten)]
    pub output: Output,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lifeboat up                         build what changed, boot it, wait until its pods run
  lifeboat kubectl -- get pods -A     ask the cluster
  lifeboat ssh                        log in as root
  lifeboat down                       remove the machine and its disk
  lifeboat build -o out               make disks to boot elsewhere
  lifeboat doctor                     what this host can do, and what to do about each lack

An empty lifeboat.yaml, or none, is a whole definition; `lifeboat schema` has all keys.";

/// How to print; the same for all verbs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Say nothing but data, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Form of facts on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
    /// Form of progress on stderr
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, value_name = "FORM")]
    pub progress: ProgressMode,
}

/// The form of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// One JSON document with a schema
    Json,
    /// The same as YAML
    Yaml,
}

/// The form of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, else lines
    Auto,
    /// Bars that are drawn again and again
    Bar,
    /// A line for each step
    Lines,
    /// One JSON event a line
    Json,
    /// None
    None,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build what is not cached, boot a machine and wait until Kubernetes runs
    Up(UpArgs),
    /// Build the image and its disks
    Build(BuildArgs),
    /// Write or move the lock: every input by version, size and digest
    Lock(LockArgs),
    /// List machines
    List,
    /// Show how a machine and its node are
    Status(NameArg),
    /// Stop a machine and remove it with its disk
    Down(DownArgs),
    /// Log in to a machine, or run a command there
    Ssh(SshArgs),
    /// Use a machine's serial console
    Console(ConsoleArgs),
    /// Show a log of a machine
    Logs(LogsArgs),
    /// Run the kubectl of the machine's own version
    Kubectl(KubectlArgs),
    /// Print a machine's kubeconfig, or merge it into yours
    Kubeconfig(KubeconfigArgs),
    /// Look at node configurations, also those of other systems
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check what this host can do, and what to do about each lack
    Doctor,
    /// Look at the cache, or make it smaller
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print the JSON schema of lifeboat.yaml
    Schema,
    /// Show what is in a file that Lifeboat reads or makes
    Inspect(InspectArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// What runs on a node
    #[command(subcommand)]
    Node(NodeCommand),
}

/// The definition.
#[derive(Clone, Debug, Args)]
pub struct DefinitionArg {
    /// Definition to read; lifeboat.yaml if that is there, else all defaults
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Fail where the lock would change
    #[arg(long)]
    pub locked: bool,
}

/// A machine by position.
#[derive(Clone, Debug, Args)]
pub struct NameArg {
    /// Machine
    #[arg(value_name = "NAME", env = env::NAME, hide_env_values = true, default_value = "default")]
    pub name: MachineName,
}

/// `lifeboat up`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A machine that runs already is left as it is; one that was stopped, also by a restart of this
host, boots again with its disk. `--fresh` makes a new one.

Examples:
  lifeboat up
  lifeboat up -f test.yaml --name test --fresh
  lifeboat up --format json | jq .ports")]
pub struct UpArgs {
    /// The definition
    #[command(flatten)]
    pub definition: DefinitionArg,
    /// Machine
    #[arg(long, value_name = "NAME", env = env::NAME, hide_env_values = true, default_value = "default")]
    pub name: MachineName,
    /// Throw an earlier machine of that name and its state away
    #[arg(long)]
    pub fresh: bool,
    /// Seconds that it may take from power-on until all is well; 300, in emulation 900
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// How processors are run
    #[arg(long, value_enum, default_value_t = Accelerator::Auto, value_name = "KIND")]
    pub acceleration: Accelerator,
    /// How it boots; as the definition says if not given
    #[arg(long, value_enum, value_name = "KIND")]
    pub boot: Option<BootKind>,
    /// How far to wait
    #[arg(long, value_enum, default_value_t = WaitFor::Pods, value_name = "STATE")]
    pub wait: WaitFor,
}

/// How processors are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accelerator {
    /// By KVM if a trial guest runs under it
    Auto,
    /// By KVM
    Kvm,
    /// In emulation
    Tcg,
}

/// How a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BootKind {
    /// Through firmware and boot loader
    Firmware,
    /// Kernel and initrd directly
    Kernel,
}

/// How far `up` waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Until it is powered on
    Start,
    /// Until the node is Ready
    Ready,
    /// Until all system pods run as well
    Pods,
}

/// `lifeboat build`
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// The definition
    #[command(flatten)]
    pub definition: DefinitionArg,
    /// Folder to put the artifacts into; they stay in the cache only if not given
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// `lifeboat lock`
#[derive(Clone, Debug, Args)]
pub struct LockArgs {
    /// Definition to read; lifeboat.yaml if that is there, else all defaults
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Move these packages to their newest versions; all if none is named
    #[arg(long, value_name = "PACKAGE", num_args = 0..)]
    pub update: Option<Vec<String>>,
}

/// `lifeboat down`
#[derive(Clone, Debug, Args)]
pub struct DownArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// Keep the disk, so that `up` boots it again
    #[arg(long)]
    pub keep_state: bool,
    /// Seconds that the guest gets to power off; 0 cuts the power
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// `lifeboat ssh`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit status is that of the command.

Examples:
  lifeboat ssh
  lifeboat ssh -- journalctl -b -u kubelet
  lifeboat ssh test -- uptime")]
pub struct SshArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// User to log in as
    #[arg(short, long, default_value = "root")]
    pub user: String,
    /// Command to run there
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `lifeboat console`
#[derive(Clone, Debug, Args)]
pub struct ConsoleArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// Print what it said so far, and do not attach
    #[arg(long)]
    pub log: bool,
}

/// `lifeboat logs`
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// Which log
    #[arg(long, value_enum, default_value_t = LogSource::Console, value_name = "LOG")]
    pub source: LogSource,
    /// Go on until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

/// A log of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogSource {
    /// The serial console
    Console,
    /// What the node reported, one JSON object a line
    Events,
    /// QEMU's own output
    Qemu,
    /// The node's journal of this boot, over SSH
    Journal,
}

/// `lifeboat kubectl`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat kubectl -- get nodes -o wide
  lifeboat kubectl test -- apply -f app.yaml")]
pub struct KubectlArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// Arguments of kubectl
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<std::ffi::OsString>,
}

/// `lifeboat kubeconfig`
#[derive(Clone, Debug, Args)]
pub struct KubeconfigArgs {
    /// The machine
    #[command(flatten)]
    pub name: NameArg,
    /// Merge it into the first file of KUBECONFIG, or ~/.kube/config, keeping all else there
    #[arg(long)]
    pub merge: bool,
}

/// `lifeboat cache`
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// Show where the cache is and what it holds
    Show,
    /// Remove all of it; machines keep working
    Clean,
    /// Remove what was not used for some time
    Gc(GcArgs),
}

/// `lifeboat cache gc`
#[derive(Clone, Debug, Args)]
pub struct GcArgs {
    /// Days that an entry stays after its last use
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub days: u64,
}

/// `lifeboat inspect`
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// A definition, disk, UKI or payload
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `lifeboat completions`
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `lifeboat node`
#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Show the state of this node
    Status,
    /// Read the sources of the configuration again, and make this node be what they say
    Apply(ApplyArgs),
    /// Make what a control plane needs to start; the initrd starts it
    Prepare,
    /// Bring Kubernetes up on this node; a service starts it
    Provision,
    /// Apply what of the configuration needs the network, and run its commands; a service starts it
    Run,
    /// Show the state on the consoles; a service starts it
    Console,
    /// Read what the platform knows of this node; a service starts it
    DataSource {
        /// Data sources to ask, in this order; those of `data_sources` if none is given
        #[arg(value_name = "SOURCE")]
        names: Vec<String>,
    },
}

/// `lifeboat node apply`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
What is right already is left alone, and a step that fails keeps none of the others from being
done; the exit status is 1 then. Commands of `run_cmd` run if they have not all run well in this
boot, but never in a trial: what they do cannot be taken back.

Examples:
  lifeboat node apply --dry-run
  lifeboat node apply --try 5m
  lifeboat node apply --confirm")]
pub struct ApplyArgs {
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with_all = ["try_for", "confirm"])]
    pub dry_run: bool,
    /// Take everything back after this time, such as 90s, 5m or 1h, unless it is confirmed; the
    /// end of this log-in does not matter
    #[arg(long = "try", value_name = "TIME", value_parser = time, conflicts_with = "confirm")]
    pub try_for: Option<Duration>,
    /// Keep what the last trial has changed
    #[arg(long)]
    pub confirm: bool,
    /// Take back what the last trial has changed, now
    #[arg(long, conflicts_with_all = ["dry_run", "try_for", "confirm"])]
    pub revert: bool,
}

/// A time with its unit, from a second to a day.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "s" | "sec" | "" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err("give a number of seconds, minutes or hours: 90s, 5m, 1h".to_owned()),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| "give a number and its unit: 90s, 5m, 1h".to_owned())?;
    let seconds = count.saturating_mul(unit);
    if (1..=86_400).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err("give a time from 1s to 24h".to_owned())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text
        .parse()
        .map_err(|_| "give a whole number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_time_has_a_unit() {
        for (text, wanted) in [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("7", Some(7)),
            ("0s", None),
            ("25h", None),
            ("5 m", None),
            ("m", None),
            ("-5m", None),
            ("99999999999999999999h", None),
            ("5µ", None),
        ] {
            let read = time(text).ok().map(|time| time.as_secs());
            assert_eq!(read, wanted, "{text}");
        }
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }
}
