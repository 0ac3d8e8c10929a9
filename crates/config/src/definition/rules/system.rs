//! Rules of the keys for the operating system: users, mounts, swap, registries, units.

use std::collections::{HashMap, HashSet};

use super::{key_place, place_of};
use crate::{
    definition::{
        node::NodeConfig,
        system::{RegistriesConfig, UnitConfig},
        types::KeySource,
    },
    finding::{Collector, Place},
    unit,
    yaml::Value,
};

/// What is wrong: where, the code, what, and what to do.
struct Report<'a> {
    root: &'a Value,
    prefix: &'a str,
    findings: &'a mut Collector,
}

impl Report<'_> {
    fn error(&mut self, path: &str, code: &'static str, message: String, hint: Option<&str>) {
        let place = place_of(self.root, path);
        let path = format!("{}{path}", self.prefix);
        let hint = hint.map(str::to_owned);
        self.findings.add(place, path, code, message, hint);
    }

    fn warn(&mut self, path: &str, code: &'static str, message: String, hint: &str) {
        let place = place_of(self.root, path);
        let path = format!("{}{path}", self.prefix);
        let hint = Some(hint.to_owned());
        self.findings.warn(place, path, code, message, hint);
    }

    /// Finds what is there twice.
    fn unique<T: Eq + std::hash::Hash + std::fmt::Display>(
        &mut self,
        items: impl IntoIterator<Item = (String, T)>,
        what: &str,
    ) {
        let mut seen: HashMap<T, String> = HashMap::new();
        for (path, item) in items {
            if let Some(first) = seen.get(&item) {
                let message = format!("the {what} {item} is already at {first}");
                self.error(&path, "duplicate", message, None);
            } else {
                seen.insert(item, path);
            }
        }
    }
}

/// x86's `COMMAND_LINE_SIZE` is 2048, and the image has arguments of its own.
const MOST_ARGUMENTS: usize = 1024;

/// The rules of these keys; `prefix` is `node.` within a definition.
pub(super) fn node(node: &NodeConfig, root: &Value, prefix: &str, findings: &mut Collector) {
    let mut report = Report {
        root,
        prefix,
        findings,
    };
    accounts(node, &mut report);
    storage(node, &mut report);
    registries(&node.registries, &mut report);
    report.unique(
        node.systemd
            .units
            .iter()
            .enumerate()
            .map(|(index, unit)| (format!("systemd.units[{index}].name"), &unit.name)),
        "unit",
    );
    for (index, unit) in node.systemd.units.iter().enumerate() {
        one_unit(unit, &format!("systemd.units[{index}]"), &mut report);
    }
    let length: usize = node
        .kernel_args
        .iter()
        .map(|one| one.as_str().len() + 1)
        .sum();
    if length > MOST_ARGUMENTS {
        report.error(
            "kernel_args",
            "out-of-range",
            format!("the arguments have {length} bytes; at most {MOST_ARGUMENTS} are taken"),
            None,
        );
    }
}

fn accounts(node: &NodeConfig, report: &mut Report<'_>) {
    let users = || node.users.iter().enumerate();
    let groups = || node.groups.iter().enumerate();
    report.unique(
        users().map(|(index, user)| (format!("users[{index}].name"), &user.name)),
        "user",
    );
    report.unique(
        users().filter_map(|(index, user)| Some((format!("users[{index}].uid"), user.uid?))),
        "number",
    );
    report.unique(
        groups().map(|(index, group)| (format!("groups[{index}].name"), &group.name)),
        "group",
    );
    report.unique(
        groups().filter_map(|(index, group)| Some((format!("groups[{index}].gid"), group.gid?))),
        "number",
    );
    for (index, user) in users() {
        let root_number = user.uid == Some(0);
        if root_number != (user.name.as_str() == "root") && user.uid.is_some() {
            report.error(
                &format!("users[{index}].uid"),
                "conflict",
                "the number 0 is root's, and root's only".to_owned(),
                Some("give rights by `sudo: true`"),
            );
        }
        if user
            .password
            .as_ref()
            .is_some_and(|one| one.plain().is_some())
        {
            report.warn(
                &format!("users[{index}].password"),
                "plain-text-password",
                "the password is plain text: whoever reads this file has it".to_owned(),
                "write its hash, which `openssl passwd -6` prints",
            );
        }
        for (number, key) in user.ssh_authorized_keys.iter().enumerate() {
            if let Some(KeySource::Url(url)) = key.source()
                && url.to_ascii_lowercase().starts_with("http://")
            {
                report.warn(
                    &format!("users[{index}].ssh_authorized_keys[{number}]"),
                    "plain-http-url",
                    "keys that are fetched over plain http can be replaced on the way".to_owned(),
                    "use https",
                );
            }
        }
    }
}

fn storage(node: &NodeConfig, report: &mut Report<'_>) {
    report.unique(
        node.mounts
            .iter()
            .enumerate()
            .map(|(index, mount)| (format!("mounts[{index}].where"), &mount.place)),
        "folder",
    );
    let sources = node.swap.iter().enumerate().filter_map(|(index, swap)| {
        let (key, name) = match (&swap.path, &swap.device) {
            (Some(path), _) => ("path", path.as_str()),
            (None, Some(device)) => ("device", device.as_str()),
            (None, None) => return None,
        };
        Some((format!("swap[{index}].{key}"), name))
    });
    report.unique(sources, "swap space");
    for (index, swap) in node.swap.iter().enumerate() {
        let at = format!("swap[{index}]");
        match (&swap.path, &swap.device) {
            (None, None) => report.error(
                &at,
                "missing-key",
                "needs `path` or `device`".to_owned(),
                Some("a file is `{path: /var/lib/swapfile, size: 4GiB}`"),
            ),
            (Some(_), Some(_)) => report.error(
                &format!("{at}.device"),
                "conflict",
                "`path` and `device` exclude each other".to_owned(),
                None,
            ),
            (Some(path), None) => {
                if swap.size.is_none() {
                    report.error(
                        &at,
                        "missing-key",
                        "the size of the file is missing".to_owned(),
                        Some("such as `size: 4GiB`"),
                    );
                }
                let kept = ["/var/", "/srv/", "/home/", "/opt/", "/root/"];
                if !kept.iter().any(|folder| path.as_str().starts_with(folder)) {
                    report.error(
                        &format!("{at}.path"),
                        "conflict",
                        format!("{path} is not on the state partition"),
                        Some("such as /var/lib/swapfile"),
                    );
                }
            }
            (None, Some(_)) => {
                if swap.size.is_some() {
                    report.error(
                        &format!("{at}.size"),
                        "conflict",
                        "a device has its own size".to_owned(),
                        None,
                    );
                }
            }
        }
    }
}

fn registries(registries: &RegistriesConfig, report: &mut Report<'_>) {
    let Report {
        root,
        prefix,
        findings,
    } = report;
    let at = |host: &str| -> (Place, String) {
        (
            key_place(root, &["registries", "configs"], host),
            format!("{prefix}registries.configs.{host:?}"),
        )
    };
    for (host, access) in &registries.configs {
        let (place, path) = at(host.as_str());
        if host.as_str() == "*" {
            let hint = Some("name the registry's host".to_owned());
            findings.add(
                place,
                &*path,
                "bad-value",
                "`*` stands for no host here",
                hint,
            );
        }
        if let Some(auth) = &access.auth {
            let pair = auth.username.is_some() && auth.password.is_some();
            let half = auth.username.is_some() != auth.password.is_some();
            if half || !pair && auth.token.is_none() {
                let message = "auth needs `username` and `password`, or `token`";
                findings.add(place, format!("{path}.auth"), "missing-key", message, None);
            }
        }
        let Some(tls) = &access.tls else {
            continue;
        };
        if tls.cert.is_some() != tls.key.is_some() {
            let (is, lacks) = if tls.cert.is_some() {
                ("cert", "key")
            } else {
                ("key", "cert")
            };
            let message = format!("`{is}` is useless without `{lacks}`");
            findings.add(place, format!("{path}.tls"), "missing-key", message, None);
        }
        if tls.insecure_skip_verify {
            findings.warn(
                place,
                format!("{path}.tls.insecure_skip_verify"),
                "insecure-registry",
                "whoever is on the way can replace the images",
                Some("name the authority that signed its certificate by `ca`".to_owned()),
            );
        }
    }
}

fn one_unit(unit: &UnitConfig, at: &str, report: &mut Report<'_>) {
    if unit.mask && (unit.contents.is_some() || unit.enabled == Some(true)) {
        report.error(
            &format!("{at}.mask"),
            "conflict",
            format!(
                "{} cannot be masked and have contents or be enabled",
                unit.name
            ),
            None,
        );
    }
    let mut dropins = HashSet::new();
    for (index, dropin) in unit.dropins.iter().enumerate() {
        if !dropins.insert(&dropin.name) {
            report.error(
                &format!("{at}.dropins[{index}].name"),
                "duplicate",
                format!("{} is there twice", dropin.name),
                None,
            );
        }
    }
    let installs = |text: &str| {
        unit::settings(text)
            .is_ok_and(|settings| settings.iter().any(|setting| setting.section == "Install"))
    };
    if let Some(contents) = &unit.contents
        && unit.enabled == Some(true)
        && !installs(contents.as_str())
    {
        report.warn(
            &format!("{at}.enabled"),
            "without-effect",
            format!("{} has no [Install] section: nothing starts it", unit.name),
            "add `[Install]` and `WantedBy=multi-user.target` to its contents",
        );
    }
}
