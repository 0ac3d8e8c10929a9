//! Wireless networks: `wpa_supplicant` for each interface that there is, addresses by networkd.

use std::fmt::Write as _;

use super::{
    RenderedFile,
    network::{Ini, leases},
};
use crate::{NodeConfig, definition::k3os::Passphrase};

/// The program that joins wireless networks; it is in Debian's package `wpasupplicant`.
pub const WPA_SUPPLICANT: &str = "/usr/sbin/wpa_supplicant";

const UNIT: &str = "\
[Unit]
Description=Wireless networks of %i
ConditionPathExists=/usr/sbin/wpa_supplicant
Before=network.target
Wants=network.target

[Service]
ExecStart=/usr/sbin/wpa_supplicant -c/etc/wpa_supplicant/lifeboat.conf -Dnl80211,wext -i%i
Restart=on-failure
RestartSec=5
";

/// The files of wireless networks; none without `wifi`.
pub fn wifi_files(node: &NodeConfig) -> Vec<RenderedFile> {
    if node.wifi.is_empty() {
        return Vec::new();
    }
    let mut networks = String::from("ctrl_interface=/run/wpa_supplicant\n");
    for (index, wifi) in node.wifi.iter().enumerate() {
        // In hexadecimal digits any name is a plain word.
        let name = hexadecimal(wifi.name.as_str().as_bytes());
        let _ = write!(networks, "\nnetwork={{\n\tssid={name}\n\tscan_ssid=1\n");
        // The first in the list is preferred.
        let _ = writeln!(networks, "\tpriority={}", node.wifi.len() - index);
        match wifi.passphrase.as_ref().map(Passphrase::as_str) {
            None => networks.push_str("\tkey_mgmt=NONE\n"),
            Some(key) if is_raw_key(key) => {
                let _ = write!(networks, "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tpsk={key}\n");
            }
            Some(passphrase) => {
                networks.push_str("\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n");
                let _ = writeln!(networks, "\tpsk={}", printf_quoted(passphrase));
            }
        }
        networks.push_str("}\n");
    }
    let mut addresses = Ini::default();
    addresses.section("Match").set("Type", "wlan");
    addresses
        .section("Network")
        .set("DHCP", "yes")
        .set("IgnoreCarrierLoss", "3s");
    // A cable is the better way, if there is one.
    leases(&mut addresses, false, Some(3072));
    vec![
        RenderedFile::secret("/etc/wpa_supplicant/lifeboat.conf", networks),
        RenderedFile::new("/etc/systemd/network/81-wireless.network", addresses.text()),
        RenderedFile::new("/etc/systemd/system/lifeboat-wifi@.service", UNIT),
        RenderedFile::new(
            "/etc/udev/rules.d/90-lifeboat-wifi.rules",
            "ACTION!=\"remove\", SUBSYSTEM==\"net\", ENV{DEVTYPE}==\"wlan\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"lifeboat-wifi@$name.service\"\n",
        ),
    ]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// 64 hexadecimal digits are the key itself, not what it is derived from.
fn is_raw_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A text in the form `P"…"` of `wpa_supplicant.conf`, with escapes for all that could end it.
fn printf_quoted(text: &str) -> String {
    let mut quoted = String::from("P\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b' '..=b'~' if byte != b'#' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted.push('"');
    quoted
}
