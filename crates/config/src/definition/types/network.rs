//! The values of `node.network`.

use std::net::IpAddr;

use super::{Refusal, shown};

text_types! {
    /// The formats of the network's values.
    table FORMATS [];
    /// The name of a network interface, of at most 15 bytes.
    InterfaceName: "interface-name", "string", "the name of an interface", interface_name, false;
    /// The name of a network interface, or a pattern of names with `*` and `?`.
    InterfacePattern: "interface-pattern", "string", "the name of an interface", interface_pattern, false;
    /// A MAC address: six pairs of hexadecimal digits.
    MacAddress: "mac-address", "string", "a MAC address such as 52:54:00:12:34:56", mac_address, false;
    /// The name of a kernel driver, or a pattern with `*` and `?`.
    DriverName: "driver", "string", "the name of a driver", driver, false;
    /// An address and the length of its network's prefix.
    Cidr: "cidr", "string", "an address such as 192.0.2.10/24", cidr, false;
    /// Where a route leads: `default`, a network or an address.
    RouteTarget: "route-target", "string", "a network such as 10.0.0.0/8, or default", route_target, false;
    /// An IPv4 address.
    Ipv4: "ipv4-address", "string", "an IPv4 address", ipv4, false;
    /// An IPv6 address.
    Ipv6: "ipv6-address", "string", "an IPv6 address", ipv6, false;
    /// A domain in which names are sought; after `~` one whose names these servers know.
    SearchDomain: "search-domain", "string", "a domain", search_domain, false;
}

impl InterfacePattern {
    /// Whether it stands for several names.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?'])
    }
}

impl Cidr {
    /// The address and the length of the prefix.
    pub fn parts(&self) -> (IpAddr, u8) {
        // The format has been checked; what stands here for others is never seen.
        parse_cidr(&self.0).unwrap_or((IpAddr::from([0, 0, 0, 0]), 0))
    }
}

/// Interfaces of pod networks, which networkd leaves alone: patterns as in `[Match] Name=`.
pub const POD_INTERFACES: [&str; 23] = [
    "antrea-*",
    "cali*",
    "cilium*",
    "cni*",
    "datapath",
    "docker*",
    "flannel*",
    "genev_sys_*",
    "gre_sys",
    "kube-*",
    "lxc*",
    "nodelocaldns",
    "ovn-k8s-*",
    "ovs-system",
    "podman*",
    "tunl*",
    "veth*",
    "vxlan-v6.calico",
    "vxlan.calico",
    "vxlan_sys_*",
    "weave",
    "wg-v6.cali",
    "wireguard.cali",
];

/// The pattern of [`POD_INTERFACES`] that a name falls under.
pub(crate) fn of_pods(name: &str) -> Option<&'static str> {
    POD_INTERFACES.into_iter().find(|pattern| {
        pattern
            .strip_suffix('*')
            .map_or(name == *pattern, |start| name.starts_with(start))
    })
}

fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn interface_name(text: &str) -> Result<(), Refusal> {
    const LONGEST: usize = 15;
    if text.len() > LONGEST {
        return Err(Refusal::new(format!(
            "the name {} has {} bytes; the kernel takes at most {LONGEST}",
            shown(text),
            text.len()
        )));
    }
    let holds = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(name_byte)
        && !text.bytes().all(|byte| byte.is_ascii_digit())
        && !matches!(text, "all" | "default" | "lo");
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not the name of an interface", shown(text)));
    Err(match text {
        "lo" => refusal.hint("lo has its addresses by itself"),
        "all" | "default" => refusal.hint("the kernel uses this name for its settings"),
        _ => refusal.hint("letters, digits, `-`, `_` and `.`; not digits alone"),
    })
}

fn interface_pattern(text: &str) -> Result<(), Refusal> {
    if !text.contains(['*', '?']) {
        return interface_name(text);
    }
    let holds = text.len() <= 15
        && text
            .bytes()
            .all(|byte| name_byte(byte) || matches!(byte, b'*' | b'?'));
    if holds {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "{} is not a pattern of interface names such as `en*`",
        shown(text)
    )))
}

fn mac_address(text: &str) -> Result<(), Refusal> {
    let pairs: Vec<&str> = text.split(':').collect();
    let holds = pairs.len() == 6
        && pairs
            .iter()
            .all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if holds {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not a MAC address", shown(text)));
    let fixed = text.replace('-', ":");
    Err(if fixed != text && mac_address(&fixed).is_ok() {
        refusal.hint(format!("write it with colons: {fixed}"))
    } else {
        refusal.hint("six pairs of hexadecimal digits: 52:54:00:12:34:56")
    })
}

fn driver(text: &str) -> Result<(), Refusal> {
    let holds = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'?' | b'.')
        });
    if holds {
        return Ok(());
    }
    Err(
        Refusal::new(format!("{} is not the name of a driver", shown(text)))
            .hint("as `ethtool -i INTERFACE` shows it, such as virtio_net or ixgbe"),
    )
}

fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u8 = length.parse().ok().filter(|_| digits)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most).then_some((address, length))
}

fn cidr(text: &str) -> Result<(), Refusal> {
    if parse_cidr(text).is_some() {
        return Ok(());
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(parsed) = address.parse::<IpAddr>() else {
        return Err(Refusal::new(format!(
            "{} is not an IPv4 or IPv6 address with the length of its prefix, such as 192.0.2.10/24",
            shown(text)
        )));
    };
    let most = if parsed.is_ipv4() { 32 } else { 128 };
    let usual = if parsed.is_ipv4() { 24 } else { 64 };
    Err(match length {
        None => Refusal::new(format!(
            "{} lacks the length of its network's prefix",
            shown(text)
        ))
        .hint(format!("such as {address}/{usual}")),
        Some(mask) if mask.contains('.') => Refusal::new(format!("{} has a netmask", shown(text)))
            .hint(match mask.parse::<std::net::Ipv4Addr>().map(u32::from) {
                Ok(bits) if bits.leading_ones() + bits.trailing_zeros() >= 32 => {
                    format!("write {address}/{}", bits.leading_ones())
                }
                _ => "write the length of the prefix".to_owned(),
            }),
        Some(length) => Refusal::new(format!(
            "the prefix length {} is not a number from 0 to {most}",
            shown(length)
        )),
    })
}

fn route_target(text: &str) -> Result<(), Refusal> {
    if text == "default" || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let Some((address, length)) = parse_cidr(text) else {
        return Err(Refusal::new(format!(
            "{} is not a network such as 10.0.0.0/8, an address or `default`",
            shown(text)
        )));
    };
    let network = network_of(address, length);
    if network == address {
        return Ok(());
    }
    Err(
        Refusal::new(format!("{} has bits beyond its prefix", shown(text)))
            .hint(format!("the network is {network}/{length}")),
    )
}

/// The first address of the network.
pub(crate) fn network_of(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0);
            IpAddr::from((u32::from(address) & mask).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            IpAddr::from((u128::from(address) & mask).to_be_bytes())
        }
    }
}

fn ipv4(text: &str) -> Result<(), Refusal> {
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not an IPv4 address", shown(text)));
    Err(if text.parse::<std::net::Ipv6Addr>().is_ok() {
        refusal.hint("an IPv6 gateway is the key gateway6")
    } else {
        refusal
    })
}

fn ipv6(text: &str) -> Result<(), Refusal> {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(());
    }
    let refusal = Refusal::new(format!("{} is not an IPv6 address", shown(text)));
    Err(if text.parse::<std::net::Ipv4Addr>().is_ok() {
        refusal.hint("an IPv4 gateway is the key gateway")
    } else {
        refusal
    })
}

/// A name of DNS: labels of letters, digits, `-` and `_`.
pub(super) fn domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let bare = text.strip_suffix('.').unwrap_or(text);
    bare.len() <= 253 && bare.split('.').all(label)
}

fn search_domain(text: &str) -> Result<(), Refusal> {
    let bare = text.strip_prefix('~').unwrap_or(text);
    if text == "~." || domain(bare) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "{} is not a domain such as example.org",
        shown(text)
    )))
}
