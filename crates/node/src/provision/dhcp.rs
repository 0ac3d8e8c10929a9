//! Asks a DHCP server which address this node would get (RFC 2131), before the network's own
//! service is up. Only the first half of the exchange, so nothing is leased: systemd-networkd,
//! which identifies itself the same way, is then offered the same address. Not for a node whose
//! configuration has a network: its interfaces may not be those that ask here.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use fs_err as fs;

use crate::sys;

/// Time for an offer, all interfaces and repetitions included.
const LIMIT: Duration = Duration::from_secs(4);
/// Fixed part of a message (RFC 2131, figure 1) and the magic cookie.
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// The address that a server offers to the first wired interface that has a link. `None` when
/// there is none in time: the network may be configured otherwise.
pub fn offered_address() -> Option<Ipv4Addr> {
    let deadline = Instant::now() + LIMIT;
    loop {
        for (name, mac) in interfaces(Path::new("/sys/class/net")) {
            if let Ok(Some(address)) = ask(&name, mac) {
                return Some(address);
            }
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Wired interfaces of real devices with their addresses, by name.
fn interfaces(class: &Path) -> Vec<(String, [u8; 6])> {
    let mut found: Vec<_> = fs::read_dir(class)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter(|entry| !entry.path().join("wireless").exists())
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("address")).ok()?;
            let mac = parse_mac(text.trim())?;
            Some((entry.file_name().to_string_lossy().into_owned(), mac))
        })
        .collect();
    found.sort();
    found
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && mac != [0; 6]).then_some(mac)
}

fn ask(interface: &str, mac: [u8; 6]) -> io::Result<Option<Ipv4Addr>> {
    sys::bring_up(interface)?;
    let socket = UdpSocket::bind("0.0.0.0:68")?;
    socket.set_broadcast(true)?;
    sys::bind_to_interface(&socket, interface)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    // Told from other nodes' answers by what is its own.
    let id = [mac[2], mac[3], mac[4], mac[5]];
    socket.send_to(&discover(id, mac), (Ipv4Addr::BROADCAST, 67))?;
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut buffer = [0; 1500];
    while Instant::now() < deadline {
        let size = match socket.recv(&mut buffer) {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        if let Some(address) = offer(&buffer[..size], id, mac) {
            return Ok(Some(address));
        }
    }
    Ok(None)
}

/// A DHCPDISCOVER that asks for an answer by broadcast: there is no address to answer to.
fn discover(id: [u8; 4], mac: [u8; 6]) -> Vec<u8> {
    let mut message = vec![0; FIXED];
    message[0] = 1; // BOOTREQUEST
    message[1] = 1; // Ethernet
    message[2] = 6; // length of its addresses
    message[4..8].copy_from_slice(&id);
    message[10] = 0x80; // broadcast
    message[28..34].copy_from_slice(&mac);
    message[236..240].copy_from_slice(&COOKIE);
    message.extend_from_slice(&[53, 1, 1]); // DHCPDISCOVER
    message.extend_from_slice(&[61, 7, 1]); // client identifier: the Ethernet address
    message.extend_from_slice(&mac);
    message.extend_from_slice(&[55, 2, 1, 3]); // subnet mask and router are wanted
    message.push(255);
    // Some servers drop messages shorter than BOOTP's.
    message.resize(message.len().max(300), 0);
    message
}

/// The address in a DHCPOFFER that answers our message.
fn offer(message: &[u8], id: [u8; 4], mac: [u8; 6]) -> Option<Ipv4Addr> {
    let fixed = message.get(..FIXED)?;
    if fixed[0] != 2 || fixed[4..8] != id || fixed[28..34] != mac || fixed[236..240] != COOKIE {
        return None;
    }
    let mut options = &message[FIXED..];
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [53, 1, 2, ..] => break,
            [255, ..] | [] | [_] => return None,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
        }
    }
    let address = Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]);
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
    const ID: [u8; 4] = [9, 8, 7, 6];

    fn answer(kind: u8) -> Vec<u8> {
        let mut message = discover(ID, MAC);
        message[0] = 2;
        message[16..20].copy_from_slice(&[10, 0, 2, 15]);
        message.truncate(FIXED);
        message.extend_from_slice(&[0, 1, 4, 255, 255, 255, 0, 53, 1, kind, 255]);
        message
    }

    #[test]
    fn an_offer_to_us_is_taken() {
        assert_eq!(offer(&answer(2), ID, MAC), Some([10, 0, 2, 15].into()));
        assert_eq!(offer(&answer(6), ID, MAC), None);
        assert_eq!(offer(&answer(2), ID, [0; 6]), None);
        assert_eq!(offer(&answer(2), [0; 4], MAC), None);
        assert!(discover(ID, MAC).len() >= 300);
    }

    #[test]
    fn an_ethernet_address_is_read() {
        assert_eq!(parse_mac("52:54:00:01:02:03"), Some(MAC));
        assert_eq!(parse_mac("00:00:00:00:00:00"), None);
        assert_eq!(parse_mac("52:54:00:01:02"), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read(tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut message = answer(2);
            message.truncate(FIXED);
            message.extend(tail);
            let _ = offer(&message, ID, MAC);
        }
    }
}
