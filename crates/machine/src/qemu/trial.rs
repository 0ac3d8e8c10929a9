//! Acceleration that is tried and not assumed.
//!
//! A host may have `/dev/kvm` and still run no guest: nested virtualisation without the
//! processor's support stops with "KVM internal error" at the first instruction that its
//! hypervisor does not know. So a guest of 160 bytes is run (see `trial.S`): it goes through
//! protected mode and paging to 64-bit mode, uses SSE and, where the processor has it, BMI2,
//! and ends QEMU with a status of its own.

use std::{
    io,
    process::{Command, Stdio},
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{Tools, wait_until};

/// How the processors of a machine are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acceleration {
    /// By the processor, through the kernel's KVM.
    Kvm,
    /// In software, by QEMU's TCG.
    #[serde(rename = "tcg")]
    Emulation,
}

impl Acceleration {
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            // The default of 1 GiB for translated code is less than a node needs: when it is
            // full, all of it is thrown away and translated again.
            Self::Emulation => "tcg,thread=multi,tb-size=2048",
        }
    }

    pub(crate) fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "max",
            // Each miss of the emulated TLB walks one level of page tables less; each copy from
            // and to a program's memory switches no access control; and no module for guests of
            // the guest is unpacked.
            Self::Emulation => "max,la57=off,smap=off,svm=off",
        }
    }

    /// What the kernel is told besides the image's own command line. An emulated processor does
    /// not speculate, so guarding against it only costs; each security module is asked at each
    /// access, those without a policy as well; and modules of ciphers that nothing uses take a
    /// second to unpack.
    pub(crate) fn kernel_arguments(self) -> Option<&'static str> {
        match self {
            Self::Kvm => None,
            Self::Emulation => Some(concat!(
                "mitigations=off init_on_alloc=0 lsm=landlock,lockdown,yama,apparmor ",
                "modprobe.blacklist=aesni_intel,ghash_clmulni_intel,sha512_ssse3,sha1_ssse3",
            )),
        }
    }
}

impl std::fmt::Display for Acceleration {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Kvm => "kvm",
            Self::Emulation => "tcg",
        })
    }
}

/// What a trial of acceleration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What to run machines with.
    pub acceleration: Acceleration,
    /// Why it is emulation; empty for KVM.
    pub reason: String,
}

/// How long the trial guest may take; it needs a few milliseconds.
const LIMIT: Duration = Duration::from_secs(3);
/// QEMU's exit status for the 42 that the guest writes (isa-debug-exit: twice that and one).
const PASSED: i32 = 42 * 2 + 1;

/// The code of `trial.S`, which the last test below assembles again.
const CODE: [u8; 0xc6] = [
    0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0xc0, 0xfe, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
    0x66, 0xea, 0x18, 0xfe, 0xff, 0xff, 0x08, 0x00, 0xb8, 0x10, 0x00, 0x00, 0x00, 0x8e, 0xd8, 0xc7,
    0x05, 0x00, 0x10, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00, 0xc7, 0x05, 0x18, 0x20, 0x00, 0x00, 0x03,
    0x30, 0x00, 0x00, 0xc7, 0x05, 0xf8, 0x3f, 0x00, 0x00, 0x83, 0x00, 0xe0, 0xff, 0xb8, 0x00, 0x10,
    0x00, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x0d, 0x20, 0x06, 0x00, 0x00, 0x0f, 0x22, 0xe0,
    0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20,
    0xc0, 0x0d, 0x02, 0x00, 0x00, 0x80, 0x83, 0xe0, 0xfb, 0x0f, 0x22, 0xc0, 0xea, 0x73, 0xfe, 0xff,
    0xff, 0x18, 0x00, 0x66, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0xef, 0xc0, 0xb8, 0x07, 0x00, 0x00, 0x00,
    0x31, 0xc9, 0x0f, 0xa2, 0xf7, 0xc3, 0x00, 0x01, 0x00, 0x00, 0x74, 0x0a, 0xb9, 0x01, 0x00, 0x00,
    0x00, 0xc4, 0xe2, 0xf1, 0xf7, 0xd1, 0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0x8d, 0xb4, 0x00, 0x00, 0x90,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xaf, 0x00,
    0x1f, 0x00, 0xa0, 0xfe, 0xff, 0xff,
];

/// Runs the trial guest under KVM, and says what to run machines with.
pub fn choose_acceleration(tools: &dyn Tools) -> Trial {
    match try_kvm(tools) {
        Ok(()) => Trial {
            acceleration: Acceleration::Kvm,
            reason: String::new(),
        },
        Err(reason) => Trial {
            acceleration: Acceleration::Emulation,
            reason,
        },
    }
}

fn try_kvm(tools: &dyn Tools) -> Result<(), String> {
    if let Err(error) = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        return Err(match error.kind() {
            io::ErrorKind::NotFound => "this host has no /dev/kvm".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "/dev/kvm may not be opened by this user (be in the group `kvm`)".to_owned()
            }
            _ => format!("/dev/kvm cannot be opened: {}", plain(&error)),
        });
    }
    run_trial(tools, "kvm")
}

/// Runs the trial guest with an accelerator of QEMU.
fn run_trial(tools: &dyn Tools, accelerator: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let guest = folder.path().join("trial.bin");
    let log = folder.path().join("log");
    let cannot = |error: io::Error| format!("the trial guest cannot be run: {error}");
    fs::write(&guest, rom()).map_err(cannot)?;
    let errors = fs::File::create(&log).map_err(cannot)?;
    let mut command: Command = tools.command("qemu-system-x86_64");
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    // The same machine and processor as the real guests have: their features are what fails.
    command.args([
        "-machine",
        "q35",
        "-cpu",
        "max",
        "-m",
        "16",
        "-accel",
        accelerator,
    ]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    command.arg("-L").arg(tools.root().join("usr/share/qemu"));
    command.arg("-bios").arg(&guest);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(errors.into_file());
    let mut child = command
        .spawn()
        .map_err(|error| format!("QEMU cannot be started: {error}"))?;
    let status = wait_until(LIMIT, || child.try_wait().ok().flatten());
    if status.is_none() {
        // It may have ended just now; the status that counts is the one above.
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    judge(status.map(|status| status.code()), &said)
}

/// The verdict on an exit status (`None` after the limit, `Some(None)` after a signal) and on
/// what QEMU said.
#[expect(
    clippy::option_option,
    reason = "still running and killed by a signal differ"
)]
fn judge(status: Option<Option<i32>>, said: &str) -> Result<(), String> {
    if status == Some(Some(PASSED)) {
        return Ok(());
    }
    let mut lines = said.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix("qemu-system-x86_64: ").unwrap_or(line)
    });
    let telling = lines.find(|line| {
        let noise = line.is_empty() || line.contains("warning:");
        !noise
    });
    let telling = telling.map_or_else(String::new, |line| format!(": {line}"));
    Err(match status {
        None => format!("KVM starts and does not run a guest{telling}"),
        Some(_) => format!("KVM cannot run a guest{telling}"),
    })
}

/// The guest as firmware: its code at -512 and its reset vector at -16 below 4 GiB.
fn rom() -> Vec<u8> {
    const SIZE: usize = 1 << 16;
    const START: usize = SIZE - 0x200;
    const VECTOR: usize = SIZE - 0x10;
    let mut rom = vec![0xf4; SIZE]; // hlt
    rom[START..START + CODE.len()].copy_from_slice(&CODE);
    rom[VECTOR..VECTOR + 3].copy_from_slice(&[0xe9, 0x0d, 0xfe]); // jmp START
    rom
}

fn plain(error: &io::Error) -> String {
    // fs-err repeats the path, which the sentence has already.
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |code| io::Error::from_raw_os_error(code).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_qemu_said() {
        assert_eq!(judge(Some(Some(PASSED)), ""), Ok(()));
        let msr = "qemu-system-x86_64: warning: host doesn't support requested feature\nqemu-system-x86_64: error: failed to set MSR 0x10a to 0xc000069\n";
        assert_eq!(
            judge(Some(None), msr),
            Err("KVM cannot run a guest: error: failed to set MSR 0x10a to 0xc000069".into())
        );
        assert_eq!(
            judge(None, "KVM internal error. Suberror: 1\n"),
            Err("KVM starts and does not run a guest: KVM internal error. Suberror: 1".into())
        );
    }

    #[test]
    fn the_code_is_what_its_source_assembles_to() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("trial.o");
        let flat = folder.path().join("trial.bin");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/qemu/trial.S");
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            let status = Command::new(program).args(arguments).status();
            status.is_ok_and(|status| status.success())
        };
        let assembled = run("as", &[source.as_ref(), "-o".as_ref(), object.as_ref()])
            && run(
                "objcopy",
                &[
                    "-O".as_ref(),
                    "binary".as_ref(),
                    object.as_ref(),
                    flat.as_ref(),
                ],
            );
        if !assembled {
            println!("skipped: this host has no assembler");
            return;
        }
        let flat = fs::read(flat).unwrap();
        assert_eq!(&flat[..CODE.len()], CODE);
        assert_eq!(&flat[0x1f0..0x1f3], &rom()[0xfff0..0xfff3]);
    }
}
