//! A machine whose disk is altered while it is off.

use std::{os::unix::fs::FileExt as _, path::PathBuf, process::Stdio};

use lifeboat_image::{gpt, source::FileSource};
use lifeboat_machine::{Folder, Machines};
use lifeboat_sandbox::ToolsTree;

use crate::host::{Host, Said};

/// Bytes in a block of dm-verity and erofs.
pub const BLOCK: u64 = 4096;

/// The machine `default` of a host, off unless it is being tried.
pub struct Node {
    pub host: Host,
}

impl Node {
    /// Makes the machine, by two commands at once, and ends it before its kernel runs.
    pub fn new() -> Self {
        let node = Self {
            host: Host::new(""),
        };
        let up = || {
            node.host
                .start(&["up", "--wait", "start", "--boot", "kernel"])
        };
        let said = [up(), up()].map(|up| Said::from(up.wait_with_output().expect("our child")));
        for said in &said {
            assert_eq!(said.code, Some(0), "{said:?}");
        }
        let waited = |said: &&Said| {
            said.news.contains("waiting for another command") && said.news.contains("runs already")
        };
        assert_eq!(said.iter().filter(waited).count(), 1, "{said:?}");
        node.off();
        fs_err::copy(node.file("disk.qcow2"), node.file("whole.qcow2")).expect("a small file");
        node
    }

    pub fn off(&self) {
        self.host.good(&["down", "--keep-state", "--timeout", "0"]);
    }

    pub fn folder(&self) -> Folder {
        let machines = Machines::at(self.host.file("state/machines"));
        machines
            .open(&"default".parse().expect("a name"))
            .expect("it was made")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().file(name)
    }

    /// Boots it, which must fail as told: the step's beginning and words of the message, and of the console.
    pub fn fails(&self, arguments: &[&str], step: &str, said: &[&str], console: &[&str]) -> Said {
        let up = self.host.run(&[&["up"], arguments].concat());
        println!("{}", up.news);
        let log = fs_err::read(self.file("console.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        up.fails_with(&[&format!("does not get ready: step `{step}")]);
        up.fails_with(said);
        for text in console {
            assert!(log.contains(text), "no `{text}` in the console:\n{log}");
        }
        up
    }

    /// Cuts the power and takes the alterations back.
    pub fn mend(&self) {
        self.off();
        fs_err::copy(self.file("whole.qcow2"), self.file("disk.qcow2")).expect("a small file");
        // Each fault has a console of its own, and a node that makes itself a host key anew.
        for name in ["console.log", "known_hosts"] {
            let _ = fs_err::remove_file(self.file(name));
        }
    }

    /// Replaces a file that the machine shares with the cache.
    pub fn replace(&self, name: &str, text: &str) {
        fs_err::remove_file(self.file(name)).expect("it is there");
        fs_err::write(self.file(name), text).expect("the folder is ours");
    }

    /// Offset and size of a partition, counted from 0.
    pub fn partition(&self, index: usize) -> (u64, u64) {
        let disk = FileSource::open(&self.file("base.raw")).expect("the built disk");
        let table = gpt::read(&disk).expect("its table").table;
        let partition = &table.partitions[index];
        (partition.offset(), partition.size())
    }

    /// Bytes of the built disk.
    pub fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let disk = fs_err::File::open(self.file("base.raw")).expect("the built disk");
        let mut bytes = vec![0; usize::try_from(length).expect("it fits")];
        disk.file()
            .read_exact_at(&mut bytes, offset)
            .expect("it has so much");
        bytes
    }

    /// The first block of a partition for which `is` holds.
    pub fn find(&self, partition: usize, is: impl Fn(&[u8]) -> bool) -> u64 {
        const STRIDE: u64 = 16 << 20;
        let (start, size) = self.partition(partition);
        for at in (0..size).step_by(usize::try_from(STRIDE).expect("small")) {
            let bytes = self.read(start + at, STRIDE.min(size - at));
            let block = usize::try_from(BLOCK).expect("small");
            if let Some(index) = bytes.chunks_exact(block).position(&is) {
                return start + at + index as u64 * BLOCK;
            }
        }
        panic!("partition {partition} has no such block");
    }

    /// Changes one bit in each block of a stretch of the machine's own layer of the disk.
    pub fn flip(&self, offset: u64, length: u64, byte: usize) {
        let mut bytes = self.read(offset, length);
        for block in bytes.chunks_mut(usize::try_from(BLOCK).expect("small")) {
            block[byte] ^= 0x10;
        }
        let patch = self.host.file("patch");
        fs_err::write(&patch, bytes).expect("the folder is ours");
        let record = self.folder().record().expect("the machine's record");
        let tools = ToolsTree::open(&record.tools).expect("the tools are in the cache");
        let output = tools
            .command("qemu-io")
            .args(["-f", "qcow2", "-c"])
            .arg(format!("write -s {} {offset} {length}", patch.display()))
            .arg(self.file("disk.qcow2"))
            .stdin(Stdio::null())
            .output()
            .expect("qemu-io runs");
        assert!(output.status.success(), "{output:?}");
    }
}
