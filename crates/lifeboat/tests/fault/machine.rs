//! Nodes that cannot start, or do not get ready: `up` ends with the step and the log that show
//! why.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use lifeboat_machine::Qmp;

use crate::node::{BLOCK, Node};

/// Numbers of partitions, from 0.
const ROOT: usize = 1;
const STATE: usize = 5;

/// Does something to a machine that is off, and tries to start it.
type Fault = fn(&Node);

/// One machine serves all faults: each is taken back before the next, and each is tried
/// whatever came of those before.
#[test]
#[ignore = "vm"]
fn up_tells_what_keeps_a_node_from_getting_ready() {
    let node = Node::new();
    let faults: [(&str, Fault); 8] = [
        ("a flipped bit in the root", flipped_bit_in_the_root),
        ("flipped bits in programs", flipped_bits_in_programs),
        ("a flipped bit in the payload", flipped_bit_in_the_payload),
        ("a wrong signature", payload_with_a_wrong_signature),
        ("a panic", kernel_that_panics),
        ("a boot that hangs", boot_that_hangs),
        ("a machine that stands still", machine_that_stands_still),
        ("a kubelet that does not run", kubelet_that_does_not_run),
    ];
    let mut failed = Vec::new();
    for (name, fault) in faults {
        let start = Instant::now();
        println!("-- {name}");
        if std::panic::catch_unwind(AssertUnwindSafe(|| fault(&node))).is_err() {
            failed.push(name);
        }
        println!("-- {:.1} s", start.elapsed().as_secs_f64());
        node.mend();
    }
    assert!(failed.is_empty(), "{failed:?}: see above");
}

/// In the first block, which is read when it is mounted.
fn flipped_bit_in_the_root(node: &Node) {
    let (offset, _) = node.partition(ROOT);
    node.flip(offset, BLOCK, 2000);
    node.fails(
        &[],
        "initrd/root",
        &[
            "cannot mount the verified root",
            "data block 0 is corrupted",
        ],
        &[
            "data block 0 is corrupted",
            "Lifeboat cannot start this node",
        ],
    );
}

/// In half of the data. What needs it first is for the layout to say.
fn flipped_bits_in_programs(node: &Node) {
    let (offset, _) = node.partition(ROOT);
    node.flip(offset + (24 << 20), 64 << 20, 4000);
    node.fails(&[], "", &["verity", "is corrupted"], &["is corrupted"]);
}

fn flipped_bit_in_the_payload(node: &Node) {
    // The only erofs on the state partition. Source: the kernel's fs/erofs/erofs_fs.h.
    let magic = 0xE0F5_E1E2_u32.to_le_bytes();
    let offset = node.find(STATE, |block| block[1024..1028] == magic);
    node.flip(offset, BLOCK, 2000);
    node.fails(
        &[],
        "initrd/payload",
        &["cannot mount it (erofs)", "data block 0 is corrupted"],
        &["data block 0 is corrupted", "payload: payload `kubernetes-"],
    );
}

fn payload_with_a_wrong_signature(node: &Node) {
    let offset = node.find(STATE, |block| block.starts_with(b"LIFEBOATPAYLOAD1"));
    // Behind the magic and two numbers.
    node.flip(offset, BLOCK, 16 + 8 + 8 + 5);
    node.fails(
        &[],
        "initrd/payload",
        &[
            "is refused",
            "is not signed by the key that is trusted here",
        ],
        &["is refused"],
    );
    // The rest of the node comes up, to be looked at.
    let end = Instant::now() + Duration::from_mins(2);
    loop {
        let said = node.host.run(&[
            "ssh",
            "--",
            "ls /opt/kubernetes; grep -c erofs /proc/mounts",
        ]);
        if said.code == Some(0) {
            assert_eq!(said.data, "1\n", "only the root is mounted: {said:?}");
            return;
        }
        assert!(Instant::now() < end, "{said:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn kernel_that_panics(node: &Node) {
    let line = fs_err::read_to_string(node.file("cmdline")).expect("it is there");
    node.replace(
        "cmdline",
        "console=ttyS0,115200 panic=0 quiet rdinit=/none\n",
    );
    node.fails(
        &[],
        "kernel",
        &[
            "the kernel panicked",
            "Kernel panic - not syncing",
            "of its console log",
        ],
        &["Kernel panic - not syncing"],
    );
    node.replace("cmdline", &line);
}

fn boot_that_hangs(node: &Node) {
    node.host.define("node: {boot_cmd: ['true', 'sleep 600']}");
    let start = Instant::now();
    node.fails(
        &["--timeout", "40"],
        "boot/boot_cmd",
        &[
            "not done 40 s after power-on: command 2 of 2",
            "initrd/state done",
        ],
        &[],
    );
    assert!(start.elapsed() < Duration::from_secs(80), "{start:?}");
}

fn machine_that_stands_still(node: &Node) {
    node.host.define("");
    node.host.good(&["up", "--wait", "start"]);
    let mut qemu = Qmp::connect(&node.folder(), Duration::from_secs(5)).expect("QEMU answers");
    qemu.execute("stop").expect("it takes commands");
    drop(qemu);
    let start = Instant::now();
    let up = node.host.run(&["up", "--timeout", "300"]);
    up.fails_with(&["does not get ready: step `", "the machine is paused"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{start:?}");
}

fn kubelet_that_does_not_run(node: &Node) {
    node.host.define(
        "node:\n  write_files:\n  \
         - path: /etc/systemd/system/kubelet.service.d/90-broken.conf\n    \
         content: \"[Service]\\nExecStart=\\nExecStart=/bin/false\\n\"\n",
    );
    let start = Instant::now();
    let up = node.host.run(&["up", "--timeout", "90"]);
    println!("{}", up.news);
    up.fails_with(&[
        "does not get ready: step `kubeadm/",
        "last lines of its",
        "last warnings of its journal:",
        "kubelet.service: Failed with result",
    ]);
    assert!(start.elapsed() < Duration::from_secs(160), "{start:?}");
}
