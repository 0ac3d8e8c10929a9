//! Fuzzes the readers of foreign configuration: `cargo bench -p lifeboat-config --bench fuzz --
//! TARGET SECONDS`, where TARGET is one of those below or `all`.
//!
//! Inputs are mutations of a corpus of valid documents: bytes, tokens of the formats, pieces of
//! other documents, repetition and nesting. A finding is a panic, an input that takes more than a
//! second, or a process that has used more than 256 MB. What failed is left in a file, so that it
//! can be run again: `-- TARGET FILE`.

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use lifeboat_config::{
    convert::{self, Format},
    k3os::{self, Input, Kind},
};

/// The longest that one input may take. Source: the issue of the tool: without a hang.
const SLOW: Duration = Duration::from_secs(1);
/// The most memory that the whole run may use, in KiB.
const MEMORY_KIB: u64 = 256 << 10;

type Target = (&'static str, fn(&[u8]), &'static [&'static str]);

const TARGETS: [Target; 7] = [
    ("cmdline", |bytes| k3os(Kind::CommandLine, bytes), CMDLINES),
    ("yaml", yaml, YAMLS),
    (
        "ignition",
        |bytes| convert(Format::Ignition, bytes),
        IGNITIONS,
    ),
    ("butane", |bytes| convert(Format::Butane, bytes), BUTANES),
    (
        "cloud-init",
        |bytes| convert(Format::CloudInit, bytes),
        CLOUDS,
    ),
    ("kubeadm", |bytes| convert(Format::Kubeadm, bytes), KUBEADMS),
    ("k3os", |bytes| convert(Format::K3os, bytes), YAMLS),
];

const CMDLINES: &[&str] = &[
    "quiet console=ttyS0 k3os.token=x k3os.labels.region=us k3os.labels[a.b/c]=d",
    "run_cmd=\"echo hi there\" hostname=\"my host\" \"k3os.password=a b c\" k3os.install.silent",
    "k3os.dns_nameserver=1.1.1.1 k3os.dns_nameservers=8.8.8.8 k3os.sysctl.kernel.printk=\"4 4\"",
];
const YAMLS: &[&str] = &[
    "ssh_authorized_keys: [github:a, ssh-rsa AAAA b]\nhostname: h\nk3os:\n  labels: {a: yes, b: 1}\n  sysctl:\n    kernel.printk: \"4 4 1 7\"\n  wifi:\n  - name: home\n    passphrase: secret\n  install: {silent: true, device: /dev/sda}\n",
    "write_files:\n- {path: /a, content: &x |-\n    text\n, permissions: 0644}\n- path: /b\n  content: *x\n  encoding: gz+b64\nrun_cmd: echo hi\n<<: {hostname: merged}\n",
    "#!/bin/sh\necho hi\n",
    "k3os: null\nhostname: ~\ninit_cmd: []\n---\nhostname: second\n",
];
const IGNITIONS: &[&str] = &[
    r#"{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"https://a/b"}]}},"storage":{"files":[{"path":"/a","mode":420,"contents":{"source":"data:;base64,aGk=","verification":{"hash":"sha512-00"}}}],"disks":[{"device":"/dev/sda","partitions":[{"number":1,"sizeMiB":10,"startMiB":1,"label":"a"}]}],"luks":[{"name":"a","device":"/dev/b","clevis":{"tpm2":true}}]},"systemd":{"units":[{"name":"a.service","enabled":true,"contents":"[Unit]\n"}]},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":["ssh-rsa A"]}]}}"#,
    r#"{"ignition":{"version":"2.3.0"},"networkd":{"units":[]}}"#,
];
const BUTANES: &[&str] = &[
    "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n  - path: /a\n    mode: 0644\n    contents: {inline: hi, compression: gzip}\n  trees: [{local: a}]\nsystemd:\n  units:\n  - name: a.service\n    contents: |\n      [Unit]\nboot_device: {luks: {tpm2: true}}\n",
    "etcd: {version: 3}\nlocksmith: {reboot_strategy: off}\n",
];
const CLOUDS: &[&str] = &[
    "#cloud-config\nhostname: a\nusers: [default, {name: b, groups: [x], ssh_authorized_keys: [k]}]\nwrite_files:\n- {path: /a, content: !!binary aGk=, encoding: b64}\nruncmd: [[ls, -l], echo hi]\nntp: {servers: [a]}\n",
    "## template: jinja\n#cloud-config\nhostname: \"{{ ds.meta_data.x }}\"\n",
    "Content-Type: multipart/mixed; boundary=\"B\"\nMIME-Version: 1.0\n\n--B\nContent-Type: text/cloud-config\n\n#cloud-config\nhostname: a\n--B\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmluL3NoCg==\n--B--\n",
];
const KUBEADMS: &[&str] = &[
    "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\nnodeRegistration:\n  kubeletExtraArgs: {node-labels: a=b}\n  taints: []\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: 10.0.0.0/8}\napiServer: {extraArgs: [{name: a, value: b}]}\n",
];
/// What the formats are made of.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "!!str ",
    "~",
    "null",
    "true",
    "0644",
    "0x1f",
    "1e309",
    "-9223372036854775809",
    "--B\n",
    "--B--",
    "=\n",
    "\0",
    "\u{feff}",
    "\t",
    "\r\n",
    "---\n",
    "...\n",
    "#",
    "%YAML 1.1\n",
    "k3os.",
    "=",
    "[x]",
    "data:,",
    "{{",
    "}}",
    "\\u0000",
    "\\",
    "../..",
    "2026-01-01",
    "12:30:45",
];

fn k3os(kind: Kind, bytes: &[u8]) {
    let input = |kind, bytes: &[u8]| Input {
        name: "fuzz".to_owned(),
        kind,
        content: Ok(bytes.to_vec()),
    };
    let merged = k3os::merge(&[input(kind, bytes)]);
    let _ = merged.config.to_json(true);
}

/// As each kind of source, one over the other.
fn yaml(bytes: &[u8]) {
    let half = bytes.len() / 2;
    let parts = [
        (Kind::Yaml, bytes),
        (Kind::Keys, &bytes[..half]),
        (Kind::Hostname, &bytes[half..]),
        (Kind::Userdata, bytes),
        (Kind::Yaml, &bytes[half..]),
    ];
    let inputs: Vec<Input> = parts
        .into_iter()
        .map(|(kind, bytes)| Input {
            name: "fuzz".to_owned(),
            kind,
            content: Ok(bytes.to_vec()),
        })
        .collect();
    let _ = k3os::merge(&inputs).config.to_json(true);
    let _ = lifeboat_config::parse_node("fuzz", bytes);
}

fn convert(format: Format, bytes: &[u8]) {
    let _ = convert::convert(format, "fuzz", bytes);
}

/// xorshift64*: the same inputs for the same seed. Source: Vigna, 2016, "An experimental
/// exploration of Marsaglia's xorshift generators, scrambled".
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or_default()
    }

    fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

fn mutate(random: &mut Random, corpus: &[&str]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                for _ in 0..random.below(if piece.len() < 4 { 3000 } else { 40 }) {
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            2 | 3 => {
                let token = random.pick(TOKENS);
                bytes.splice(at..at, token.bytes());
            }
            4 => {
                let token = random.pick(TOKENS).repeat(random.below(500));
                bytes.splice(at..at, token.bytes());
            }
            5 => {
                let other = random.pick(corpus).as_bytes();
                let from = random.below(other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            6 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

/// Peak resident memory of this process. Source: `proc_pid_status(5)`, `VmHWM`.
fn peak_kib() -> u64 {
    let text = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// Why an input is a finding.
fn try_one(run: fn(&[u8]), bytes: &[u8]) -> Option<String> {
    let start = Instant::now();
    if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
        return Some("it panics".to_owned());
    }
    let took = start.elapsed();
    if took > SLOW {
        return Some(format!("it takes {took:?}"));
    }
    let peak = peak_kib();
    (peak > MEMORY_KIB).then(|| format!("{peak} KiB were used"))
}

fn fuzz(target: &Target, limit: Duration) -> Result<u64, String> {
    let (name, run, corpus) = target;
    let mut random = Random(0x5eed_0001 + u64::from(std::process::id()));
    let end = Instant::now() + limit;
    let mut count = 0;
    while Instant::now() < end {
        let bytes = mutate(&mut random, corpus);
        if let Some(why) = try_one(*run, &bytes) {
            let file = std::env::temp_dir().join(format!("lifeboat-fuzz-{name}-{count}"));
            fs_err::write(&file, &bytes).map_err(|error| error.to_string())?;
            return Err(format!("{name}: {why}; see {}", file.display()));
        }
        count += 1;
    }
    Ok(count)
}

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let (name, seconds) = match words.as_slice() {
        [] => ("all", "5"),
        [name] => (name.as_str(), "5"),
        [name, seconds, ..] => (name.as_str(), seconds.as_str()),
    };
    let chosen: Vec<&Target> = TARGETS
        .iter()
        .filter(|(one, ..)| name == "all" || name == *one)
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "no target `{name}`; there are {}",
            names.join(", ")
        ));
    }
    for target in chosen {
        let said = if Path::new(seconds).is_file() {
            let bytes = fs_err::read(seconds).map_err(|error| error.to_string())?;
            match try_one(target.1, &bytes) {
                Some(why) => return Err(why),
                None => "this input is well".to_owned(),
            }
        } else {
            let seconds = seconds
                .parse()
                .map_err(|_| "SECONDS is no number".to_owned())?;
            let count = fuzz(target, Duration::from_secs(seconds))?;
            format!("{count} inputs, peak {} MiB", peak_kib() >> 10)
        };
        // A failing pipe is the reader's wish.
        let _ = writeln!(std::io::stdout(), "{}: {said}", target.0);
    }
    Ok(())
}
