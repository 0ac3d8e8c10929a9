//! A build that is killed, interrupted and out of space in each of its phases, and goes on to
//! the same bytes.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{BufRead as _, BufReader},
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use lifeboat_archive::{Digest, Lock, LockedPackage};
use lifeboat_machine::link_or_copy;
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Pid, Signal, kill_process},
};

use crate::host::{Host, Said};

/// A phase as progress names it.
struct Phase {
    name: &'static str,
    /// Folders of the cache in which its things are half-made.
    makes: &'static [&'static str],
    /// Milliseconds from the first of those until it is well at work.
    lead: u64,
    /// A folder, and the size of a file system there that is too small.
    small: Option<(&'static str, &'static std::ffi::CStr)>,
}

const PHASES: [Phase; 6] = [
    Phase {
        name: "resolve",
        makes: &["partial"],
        lead: 50,
        small: None,
    },
    Phase {
        name: "download",
        makes: &["partial"],
        lead: 10,
        small: Some(("partial", c"size=256k")),
    },
    Phase {
        name: "unpack",
        makes: &["derived/deb"],
        lead: 300,
        small: Some(("derived/deb", c"size=16m")),
    },
    Phase {
        name: "configure",
        makes: &["derived/base"],
        lead: 2000,
        small: Some(("derived/base", c"size=16m")),
    },
    Phase {
        name: "payload",
        makes: &["derived/payload"],
        lead: 500,
        small: Some(("derived/payload", c"size=16m")),
    },
    Phase {
        name: "image",
        makes: &["derived/root", "derived/state", "derived/disk"],
        lead: 500,
        small: Some(("derived/root", c"size=16m")),
    },
];

/// Half-made things: name, inode, size and time.
type Rest = BTreeSet<(OsString, u64, u64, i64)>;

/// How long a phase may take until it is reached; the slowest runs all maintainer scripts.
const LIMIT: Duration = Duration::from_mins(4);

#[test]
#[ignore = "network"]
fn a_disturbed_build_goes_on_to_the_same_bytes() {
    let host = Host::new("");
    let whole = host.good(&["build", "-o", "whole", "--format", "json"]);
    println!("undisturbed: {whole}");
    let lock = host.file("lifeboat.lock");
    let cache = Fresh::like(host.cache(), &lock);
    fs_err::rename(&lock, host.file("whole.lock")).expect("the folder is ours");

    for phase in &PHASES {
        let start = Instant::now();
        out_of_space(&host, &cache, phase);
        for signal in [Signal::KILL, Signal::INT] {
            cache.forget(phase);
            disturb(&host, &cache, phase, signal);
        }
        if phase.name == "resolve" {
            cache.build(&host, &["lock"]);
        }
        println!("{}: {:.1} s", phase.name, start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    cache.build(&host, &["build", "-o", "disturbed"]);
    if fs_err::read(&lock).expect("a lock") != fs_err::read(host.file("whole.lock")).expect("it") {
        // The archive moved meanwhile.
        host.good(&["build", "-o", "whole"]);
    }
    assert_same(&host, "whole", "disturbed");
    // The manifest has digests of all but this one.
    let digest = |folder: &str| {
        let path = host.file(folder).join("lifeboat.raw");
        Digest::of_file(&path).expect("a disk")
    };
    assert_eq!(digest("whole"), digest("disturbed"));
    println!("to its end: {:.1} s", start.elapsed().as_secs_f64());

    let start = Instant::now();
    two_at_once(&host, &cache);
    println!("two at once: {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    compiler_is_ended(&host, &cache);
    a_bad_blob_is_fetched_again(&host, &cache);
    a_changed_lock_is_refused(&host, &cache);
    sizes_of_partitions_are_chosen(&host, &cache);
    println!("the rest: {:.1} s", start.elapsed().as_secs_f64());
}

/// A cache in which all is to be made but the programs and tools that take minutes.
struct Fresh {
    folder: tempfile::TempDir,
    /// Packages that are to be fetched.
    left_out: Vec<PathBuf>,
}

impl Fresh {
    /// Shares what it may with the cache at `from`. Some packages of the lock are left out.
    fn like(from: &Path, lock: &Path) -> Self {
        // On the same file system, so that files can be linked.
        let parent = from.parent().expect("a cache is in a folder");
        let folder = tempfile::Builder::new()
            .prefix(".lifeboat-test-")
            .tempdir_in(parent)
            .expect("beside the cache");
        let mut fresh = Self {
            folder,
            left_out: Vec::new(),
        };
        for kind in ["derived/tools", "derived/kubernetes"] {
            share(&from.join(kind), &fresh.path(kind));
        }
        let mut fetched = 0;
        for package in packages(lock) {
            let blob = blob(&package.sha256);
            let to = fresh.path(&blob);
            // Enough to be interrupted in, and little to fetch.
            if package.size > 400_000 && fetched + package.size < 12_000_000 {
                fetched += package.size;
                fresh.left_out.push(to);
            } else if !to.exists() {
                fs_err::create_dir_all(to.parent().expect("a shard")).expect("ours");
                link_or_copy(&from.join(&blob), &to).expect("it was just used");
            }
        }
        assert!(fetched > 0, "no package is of a middling size");
        fresh
    }

    /// Lets there be something to do in a phase again.
    fn forget(&self, phase: &Phase) {
        if phase.name == "download" {
            for blob in &self.left_out {
                // An earlier run may not have come so far.
                let _ = fs_err::remove_file(blob);
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, host: &Host, arguments: &[&str]) -> Said {
        let output = host.command_with(self.folder.path(), arguments).output();
        output.expect("the command starts").into()
    }

    fn build(&self, host: &Host, arguments: &[&str]) -> String {
        let said = self.run(host, arguments);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.data
    }

    /// What is half-made in the folders of a phase.
    fn half_made(&self, phase: &Phase) -> Rest {
        let entries = phase.makes.iter().flat_map(|name| {
            let entries = fs_err::read_dir(self.path(name)).into_iter().flatten();
            entries.flatten().filter(|entry| {
                *name == "partial" || entry.file_name().as_encoded_bytes().starts_with(b".")
            })
        });
        entries
            .filter_map(|entry| {
                let data = entry.metadata().ok()?;
                let changed = data.mtime() * 1_000_000_000 + data.mtime_nsec();
                Some((entry.file_name(), data.ino(), data.len(), changed))
            })
            .collect()
    }
}

/// Where the cache has a blob.
fn blob(digest: &Digest) -> String {
    let name = digest.to_string();
    format!("blobs/{}/{name}", &name[..2])
}

fn packages(lock: &Path) -> Vec<LockedPackage> {
    let lock = Lock::read(lock).expect("a lock that can be read");
    let sets = lock.expect("it is there").sets;
    sets.into_values().flat_map(|set| set.packages).collect()
}

/// Links all that is whole in a folder.
fn share(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).expect("the folder is ours");
    for entry in fs_err::read_dir(from).expect("it was just used") {
        let entry = entry.expect("a readable folder");
        let (name, path) = (entry.file_name(), entry.path());
        let kind = entry.file_type().expect("its kind");
        // The tools' own hidden file is no rest of a killed run.
        if name.as_encoded_bytes().ends_with(b".tmp") && name.as_encoded_bytes()[0] == b'.' {
            continue;
        }
        let to = to.join(&name);
        if kind.is_dir() {
            share(&path, &to);
        } else if kind.is_symlink() {
            let target = fs_err::read_link(&path).expect("a link");
            std::os::unix::fs::symlink(target, &to).expect("the folder is ours");
        } else {
            link_or_copy(&path, &to).expect("the folder is ours");
        }
    }
}

/// A build, and what it says on the way.
struct Running {
    child: Child,
    news: Receiver<String>,
}

impl Running {
    fn start(host: &Host, cache: &Fresh) -> Self {
        let mut child = host
            .command_with(cache.folder.path(), &["build", "--progress", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, news) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines
                .take_while(|line| sender.send(line.clone()).is_ok())
                .for_each(drop);
        });
        Self { child, news }
    }

    /// Waits until it is in the midst of a phase.
    fn reach(&mut self, cache: &Fresh, phase: &Phase) {
        let end = Instant::now() + LIMIT;
        let mut said = Vec::new();
        let left = cache.half_made(phase);
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.news.recv_timeout(rest) else {
                let status = self.child.try_wait();
                let said = said.join("\n");
                panic!("{} was not seen at work: {status:?}\n{said}", phase.name);
            };
            let is_reached = phase_of(&line) == Some(phase.name);
            said.push(line);
            if is_reached && self.is_at_work(cache, phase, &left, &mut said) {
                std::thread::sleep(Duration::from_millis(phase.lead));
                return;
            }
        }
    }

    /// Whether the phase that just began has something to do: some come for each set.
    fn is_at_work(
        &self,
        cache: &Fresh,
        phase: &Phase,
        left: &Rest,
        said: &mut Vec<String>,
    ) -> bool {
        // What is in no file counts as well.
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end {
            if !cache.half_made(phase).is_subset(left) {
                return true;
            }
            if let Ok(line) = self.news.try_recv() {
                let is_over = phase_of(&line).is_some();
                said.push(line);
                if is_over {
                    return false;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

/// Ends a build in the midst of a phase; nothing of it may go on.
fn disturb(host: &Host, cache: &Fresh, phase: &Phase, signal: Signal) {
    let mut build = Running::start(host, cache);
    build.reach(cache, phase);
    let pid = Pid::from_child(&build.child);
    kill_process(pid, signal).expect("it runs");
    let end = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = build.child.try_wait().expect("our child") {
            break status;
        }
        if Instant::now() > end {
            let _ = build.child.kill();
            panic!("{}: it goes on after {signal:?}", phase.name);
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if signal == Signal::KILL {
        assert_eq!(status.signal(), Some(9), "{}: {status}", phase.name);
    } else {
        assert_eq!(status.code(), Some(130), "{}: {status}", phase.name);
        let news: Vec<String> = build.news.iter().collect();
        assert!(
            news.iter().any(|line| line == "ended by Ctrl-C"),
            "{news:?}"
        );
    }
    let end = Instant::now() + Duration::from_secs(10);
    while let Some(left) = process_of(cache.folder.path()) {
        assert!(Instant::now() < end, "{}: left running: {left}", phase.name);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command line of a process that works in this cache.
fn process_of(cache: &Path) -> Option<String> {
    let cache = cache.to_string_lossy();
    fs_err::read_dir("/proc")
        .expect("procfs")
        .flatten()
        .find_map(|entry| {
            let line = fs_err::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&*cache).then_some(line)
        })
}

/// Runs a build whose phase has a file system that is too small. Needs root.
fn out_of_space(host: &Host, cache: &Fresh, phase: &Phase) {
    let Some((folder, size)) = phase.small else {
        return;
    };
    let folder = cache.path(folder);
    fs_err::create_dir_all(&folder).expect("the cache is ours");
    if let Err(error) = mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), Some(size)) {
        println!("SKIPPED: no full disk in `{}`: {error}", phase.name);
        return;
    }
    let said = cache.run(host, &["build", "--progress", "json"]);
    unmount(&folder, UnmountFlags::DETACH).expect("it was just mounted");
    println!(
        "{}",
        said.news
            .lines()
            .filter(|line| !line.starts_with('{'))
            .collect::<String>()
    );
    said.fails_with(&["make room (`lifeboat cache gc`)"]);
    let phases: Vec<&str> = said.news.lines().filter_map(phase_of).collect();
    // Where a Go toolchain is needed, that set is still to be resolved before the download.
    let is_there = phases.last() == Some(&phase.name)
        || (phase.name == "download" && phases.last() == Some(&"resolve"));
    assert!(is_there, "{}", said.news);
    let is_said = ["No space left on device", "disk is full"]
        .iter()
        .any(|text| said.news.contains(text));
    assert!(is_said, "{}", said.news);
}

/// The phase that begins with an event.
fn phase_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("\"phase\":\"")?;
    rest.split('"').next().filter(|name| !name.is_empty())
}

fn assert_same(host: &Host, one: &str, other: &str) {
    let manifest = |folder: &str| {
        let path = host.file(folder).join("manifest.json");
        fs_err::read_to_string(path).expect("a manifest")
    };
    assert_eq!(manifest(one), manifest(other));
}

/// Both make the image from what is there; one waits for the other.
fn two_at_once(host: &Host, cache: &Fresh) {
    for kind in ["root", "initrd", "uki", "state", "disk"] {
        fs_err::remove_dir_all(cache.path("derived").join(kind)).expect("it was built");
    }
    let start = |folder: &str| {
        host.command_with(cache.folder.path(), &["build", "-o", folder])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    };
    let builds = [start("one"), start("two")];
    for build in builds {
        let said = Said::from(build.wait_with_output().expect("our child"));
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert_same(host, "whole", "one");
    assert_same(host, "one", "two");
}

/// The compiler, which takes minutes, ends with the build; what it made is not taken.
fn compiler_is_ended(host: &Host, cache: &Fresh) {
    let compiling = Phase {
        name: "payload",
        makes: &["derived/kubernetes"],
        lead: 1500,
        small: None,
    };
    let programs = cache.path("derived/kubernetes");
    let aside = cache.path("programs");
    fs_err::rename(&programs, &aside).expect("the cache is ours");
    for signal in [Signal::KILL, Signal::INT] {
        disturb(host, cache, &compiling, signal);
        let names = fs_err::read_dir(&programs).expect("it was begun").flatten();
        for name in names.map(|entry| entry.file_name()) {
            assert!(name.as_encoded_bytes().starts_with(b"."), "{name:?}");
        }
    }
    fs_err::remove_dir_all(&programs).expect("the cache is ours");
    fs_err::rename(&aside, &programs).expect("the cache is ours");
}

/// The smallest package of the lock.
fn smallest(lock: &Path) -> LockedPackage {
    let least = packages(lock)
        .into_iter()
        .min_by_key(|package| package.size);
    least.expect("a lock has packages")
}

fn a_bad_blob_is_fetched_again(host: &Host, cache: &Fresh) {
    let package = smallest(&host.file("lifeboat.lock"));
    let path = cache.path(&blob(&package.sha256));
    let mut bytes = fs_err::read(&path).expect("it was used");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Its other name, in the other cache, keeps the whole one.
    fs_err::remove_file(&path).expect("the cache is ours");
    fs_err::write(&path, &bytes).expect("the cache is ours");
    // A build for which nothing changed uses no package, so it would not see it.
    fs_err::remove_dir_all(cache.path("derived/receipt")).expect("the cache is ours");
    cache.build(host, &["build"]);
    let now = Digest::of_file(&path).expect("it is there again").0;
    assert_eq!(now, package.sha256);
}

fn a_changed_lock_is_refused(host: &Host, cache: &Fresh) {
    let path = host.file("lifeboat.lock");
    let whole = fs_err::read_to_string(&path).expect("a lock");
    let package = smallest(&path);
    let digest = package.sha256.to_string();
    let mut other = package.sha256;
    other.0[0] ^= 1;
    fs_err::write(&path, whole.replace(&digest, &other.to_string())).expect("ours");
    let said = cache.run(host, &["build"]);
    said.fails_with(&[
        &package.name,
        &other.to_string(),
        &digest,
        "hint: the mirror or the lock",
    ]);
    fs_err::write(&path, whole).expect("ours");
}

fn sizes_of_partitions_are_chosen(host: &Host, cache: &Fresh) {
    host.define("image:\n  size:\n    esp: 128MiB\n    slot: 400MiB\n");
    cache.build(host, &["build", "-o", "sized"]);
    let dump = cache.build(host, &["inspect", "sized/lifeboat.raw"]);
    for size in ["size    134217728", "size    419430400"] {
        assert!(dump.contains(size), "{dump}");
    }
    host.define("image:\n  size:\n    slot: 32MiB\n");
    let said = cache.run(host, &["build"]);
    println!("{}", said.news);
    said.fails_with(&[
        "lifeboat.yaml:3:11: image.size.slot: the root file system has ",
        "hint: at least ",
    ]);
}
