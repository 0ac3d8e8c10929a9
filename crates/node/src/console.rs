//! The node's state on its consoles, as plain lines whenever it changes.

use std::{
    fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration,
};

use fs_err as fs;

use crate::status;

/// `O_NOCTTY`: a console that is opened does not become ours.
const NOCTTY: i32 = 0o400;

/// Shows the state on every console of the kernel until the process ends.
pub fn run() -> std::convert::Infallible {
    let mut shown = Vec::new();
    let mut saved = String::new();
    loop {
        let status = status::read();
        let lines = status::lines(&status);
        if lines != shown {
            show(&lines);
            shown = lines;
        }
        if status.state != saved {
            status::save(&status);
            saved.clone_from(&status.state);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The devices of the kernel's consoles.
fn consoles(active: &str) -> Vec<String> {
    let mut devices: Vec<String> = active
        .split_whitespace()
        // tty0 is whatever is in front, which may be someone's session: the first one it is.
        .map(|name| if name == "tty0" { "tty1" } else { name })
        .map(|name| format!("/dev/{name}"))
        .collect();
    devices.dedup();
    devices
}

fn show(lines: &[String]) {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let text = lines.iter().fold(String::new(), |text, line| {
        text + "lifeboat: " + line + "\r\n"
    });
    for device in consoles(&active) {
        if !Path::new(&device).exists() {
            continue;
        }
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(NOCTTY)
            .open(device);
        if let Ok(mut console) = opened {
            // A console that cannot be written to has nobody before it.
            let _ = console.write_all(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_consoles_of_the_kernel_are_used() {
        assert_eq!(super::consoles("tty0 ttyS0\n"), ["/dev/tty1", "/dev/ttyS0"]);
        assert!(super::consoles("").is_empty());
    }
}
