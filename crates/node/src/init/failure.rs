//! The end of a boot that failed in the initrd.

use std::{
    convert::Infallible,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::system::{RebootCommand, reboot};

use super::{CommandLine, InitError};
use crate::report::{self, Event};

/// Lines of the kernel's log that are shown.
const LINES: usize = 15;

/// Says what failed, on the console and to the host, then restarts the machine, or waits for
/// ever with `panic=0`, or gives a shell with `lifeboat.debug`.
pub(super) fn end(error: &InitError, line: &CommandLine) -> Infallible {
    let log = kernel_log();
    report::send(&Event::failed(
        "initrd",
        error.step,
        error.reason.clone(),
        log.clone(),
    ));
    let mut text = String::from("\n\nLifeboat cannot start this node.\n");
    for line in &log {
        text = text + "  kernel: " + line + "\n";
    }
    text = text + "  step:   " + error.step + "\n  reason: " + &error.reason + "\n";
    let wait = match line.panic {
        0 => {
            text.push_str("  next:   nothing; restart the machine when it is mended (panic=0)\n\n");
            None
        }
        seconds => {
            text = text + "  next:   restart in " + &seconds.to_string() + " s\n\n";
            Some(Duration::from_secs(seconds.into()))
        }
    };
    console(&text);
    if line.debug {
        shell();
    }
    match wait {
        Some(wait) => std::thread::sleep(wait),
        None => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
    }
    rustix::fs::sync();
    loop {
        // It does not return when it works.
        let _ = reboot(RebootCommand::Restart);
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn console(text: &str) {
    // Without a console there is still the report.
    if let Ok(mut console) = std::fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ = console.write_all(text.replace('\n', "\r\n").as_bytes());
    }
}

/// The last lines of the kernel's log, without their prefixes, except our own.
pub(crate) fn kernel_log() -> Vec<String> {
    const NONBLOCK: i32 = 0o4000;
    let Ok(mut file) = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(NONBLOCK)
        .open("/dev/kmsg")
    else {
        return Vec::new();
    };
    let mut text = String::new();
    let mut record = [0; 8192];
    // One record per read; EAGAIN at the end.
    while let Ok(count @ 1..) = file.read(&mut record) {
        let line = String::from_utf8_lossy(&record[..count]);
        if let Some((_, message)) = line.split_once(';') {
            text.push_str(message.lines().next().unwrap_or_default());
            text.push('\n');
        }
    }
    report::last_lines(&text, LINES)
}

/// A shell of the root on the console, if it is mounted.
fn shell() {
    for (root, program) in [("/", "/bin/bash"), ("/sysroot", "/bin/bash")] {
        if Path::new(root).join(&program[1..]).exists() {
            console("  lifeboat.debug: a shell; leave it to go on\n");
            let mut command = Command::new(program);
            // When it cannot be started, the boot ends as without it.
            let _ = crate::child::in_root(&mut command, Path::new(root)).status();
            return;
        }
    }
}
