//! Through which proxy a URL is fetched.

use std::net::IpAddr;

use lifeboat_config::{
    NodeConfig,
    definition::types::system::ProxyUrl,
    render::{self, Facts},
};

/// The proxies of a configuration.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    /// For http.
    pub http: Option<String>,
    /// For https.
    pub https: Option<String>,
    /// Hosts that are asked without one.
    direct: Vec<String>,
}

impl std::fmt::Debug for Proxies {
    /// Without the addresses, which may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

impl Proxies {
    /// `proxy` of a configuration, else what its `environment` says.
    pub fn of(config: &NodeConfig) -> Self {
        let variable = |wanted: &str| {
            config.environment.iter().find_map(|(name, value)| {
                let name = name.as_str();
                name.eq_ignore_ascii_case(wanted)
                    .then(|| value.as_str().to_owned())
            })
        };
        let set = |url: Option<String>| url.filter(|url| !url.is_empty());
        let proxy = &config.proxy;
        let url = |one: &Option<ProxyUrl>| one.as_ref().map(|url| url.as_str().to_owned());
        let mut direct: Vec<String> = proxy
            .no_proxy
            .iter()
            .map(|host| host.as_str().to_owned())
            .collect();
        if let Some(list) = variable("no_proxy") {
            direct.extend(list.split(',').map(|host| host.trim().to_owned()));
        }
        direct.retain(|host| !host.is_empty());
        Self {
            http: set(url(&proxy.http).or_else(|| variable("http_proxy"))),
            https: set(url(&proxy.https).or_else(|| variable("https_proxy"))),
            direct,
        }
    }

    /// Whether a host is asked without a proxy.
    pub fn is_direct(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback())
            || self.direct.iter().any(|rule| fits(rule, host, address))
    }
}

/// The variables of `proxy`, as services have them; not those of `environment`.
pub(super) fn variables(config: &NodeConfig, facts: Option<&Facts>) -> Vec<(String, String)> {
    let files = render::proxy_files(config, facts);
    // The first is the file with the values, in a shell's quotes; the others only name it.
    let text = files.first().map_or("", |file| file.content.as_str());
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
            Some((name.to_owned(), value.replace("'\\''", "'")))
        })
        .collect()
}

/// Whether a rule is for a host: `*`, a name, a domain with all below it, an address, or a
/// network of addresses.
fn fits(rule: &str, host: &str, address: Option<IpAddr>) -> bool {
    if rule == "*" {
        return true;
    }
    if let Some(address) = address {
        return match rule.split_once('/') {
            None => rule.parse() == Ok(address),
            Some((network, length)) => match (network.parse(), length.parse()) {
                (Ok(network), Ok(length)) => same_network(network, address, length),
                _ => false,
            },
        };
    }
    let domain = rule.trim_start_matches('*').trim_start_matches('.');
    let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
    host == domain
        || host
            .strip_suffix(&*domain)
            .is_some_and(|rest| rest.ends_with('.') && !domain.is_empty())
}

fn same_network(network: IpAddr, address: IpAddr, length: u32) -> bool {
    let (network, address, bits): (u128, u128, u32) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (network.to_bits().into(), address.to_bits().into(), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let host_bits = bits.saturating_sub(length);
    length <= bits && (host_bits == 128 || network >> host_bits == address >> host_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_a_proxy_are_named_in_many_ways() {
        let proxies = Proxies {
            direct: [
                "example.org",
                ".corp",
                "*.lan",
                "10.0.0.0/8",
                "192.0.2.7",
                "2001:db8::/32",
                "10.0.0.0/33",
                "",
            ]
            .map(str::to_owned)
            .into(),
            ..Proxies::default()
        };
        for (host, direct) in [
            ("localhost", true),
            ("127.0.0.5", true),
            ("[::1]", true),
            ("example.org", true),
            ("www.Example.org", true),
            ("badexample.org", false),
            ("a.corp", true),
            ("nas.lan", true),
            ("10.200.1.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("[2001:db8::1]", true),
            ("2001:db9::1", false),
            ("other", false),
        ] {
            assert_eq!(proxies.is_direct(host), direct, "{host}");
        }
    }

    #[test]
    fn a_configuration_names_proxies_in_two_places() {
        let config: NodeConfig = serde_json::from_value(serde_json::json!({
            "environment": {"HTTPS_PROXY": "http://e:1", "no_proxy": "a, b"},
            "proxy": {"http": "http://p:1"},
        }))
        .unwrap();
        let proxies = Proxies::of(&config);
        assert_eq!(proxies.http.as_deref(), Some("http://p:1"));
        assert_eq!(proxies.https.as_deref(), Some("http://e:1"));
        assert!(proxies.is_direct("b") && !proxies.is_direct("c"));
    }
}
