//! Tests that own addresses: each runs again, alone, in namespaces of its own.

use std::{
    env, fs, io,
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use rustix::ioctl::{self, Opcode};

const MARK: &str = "LIFEBOAT_TEST_NAMESPACE";
const SIOCSIFADDR: Opcode = 0x8916;
const SIOCSIFNETMASK: Opcode = 0x891c;

/// Runs `body` in a network, mount and user namespace whose loopback has these addresses.
/// `test` is the test's own path.
pub(super) fn with_addresses(test: &str, addresses: &[[u8; 4]], body: impl FnOnce()) {
    if env::var_os(MARK).is_some() {
        crate::sys::bring_up("lo").unwrap();
        for (number, address) in addresses.iter().enumerate() {
            add_address(number, (*address).into()).unwrap();
        }
        body();
        return;
    }
    let test = test.split_once("::").unwrap().1;
    let map = format!("0 {} 1", rustix::process::getuid().as_raw());
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        // They must have no say.
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .stdin(Stdio::null());
    apart(&mut command, map);
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[expect(unsafe_code, reason = "between fork and exec")]
fn apart(command: &mut Command, map: String) {
    let enter = move || -> io::Result<()> {
        let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWNS;
        // SAFETY: unshare(2) takes no pointer.
        if unsafe { libc::unshare(flags) } != 0 {
            return Err(io::Error::last_os_error());
        }
        fs::write("/proc/self/uid_map", &map)
    };
    // SAFETY: the child has one thread, and the closure only makes system calls besides small
    // allocations, which glibc allows after fork.
    unsafe { command.pre_exec(enter) };
}

/// Shows a file with this content in place of /etc/hosts.
pub(super) fn hosts(text: &str) {
    use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    mount_bind(file.path(), "/etc/hosts").unwrap();
}

/// `struct ifreq` with an IPv4 address (linux/if.h).
#[repr(C)]
struct Request {
    name: [u8; 16],
    family: u16,
    port: u16,
    address: [u8; 4],
    rest: [u8; 16],
}

/// Gives the loopback one more address.
#[expect(
    unsafe_code,
    reason = "rustix has no interface addresses (linux/sockios.h)"
)]
pub(super) fn add_address(number: usize, address: Ipv4Addr) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut name = [0; 16];
    let label = format!("lo:{number}");
    name[..label.len()].copy_from_slice(label.as_bytes());
    let request = |address: Ipv4Addr| Request {
        name,
        family: 2,
        port: 0,
        address: address.octets(),
        rest: [0; 16],
    };
    let (mut own, mut mask) = (request(address), request(Ipv4Addr::BROADCAST));
    // SAFETY: both calls read one `struct ifreq` of 40 bytes, the layout of `Request`, which
    // outlives them.
    unsafe {
        ioctl::ioctl(
            &socket,
            ioctl::Updater::<SIOCSIFADDR, Request>::new(&mut own),
        )?;
        ioctl::ioctl(
            &socket,
            ioctl::Updater::<SIOCSIFNETMASK, Request>::new(&mut mask),
        )?;
    }
    Ok(())
}
