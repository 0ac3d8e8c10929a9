//! No value of a user breaks out of its place.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{NodeConfig, unit};

/// Text with all that quotes, splits, comments and expands somewhere.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9 \"'\\\\$`%#;=,:{}\\[\\]/._@+-]{0,12}",
        "[ -~]{0,20}",
        "[ -~\n\t\0é€]{0,8}",
    ]
}

fn facts(runtime: Runtime) -> Facts {
    Facts::new("1.36.3", runtime, Cni::Bridge, "n1")
}

/// All files of a configuration, or none if it is refused.
fn files(node: Json, runtime: Runtime) -> Option<(NodeConfig, Vec<RenderedFile>)> {
    let node: NodeConfig = serde_json::from_value(node).ok()?;
    let files = node_files(&node, &facts(runtime));
    // Every file of systemd's syntax is one.
    for file in &files {
        let kinds = [
            ".service", ".mount", ".swap", ".conf", ".network", ".netdev", ".link",
        ];
        let is_unit = file.path.starts_with("/etc/systemd/")
            && kinds.iter().any(|kind| file.path.ends_with(kind));
        if is_unit {
            let read = unit::settings(&file.content);
            assert!(read.is_ok(), "{}: {read:?}\n{}", file.path, file.content);
        }
        assert!(
            !file.path.contains("/../") && !file.path.contains('\n'),
            "{}",
            file.path
        );
    }
    Some((node, files))
}

fn content<'a>(files: &'a [RenderedFile], start: &str, end: &str) -> &'a str {
    let fits = |file: &&RenderedFile| file.path.starts_with(start) && file.path.ends_with(end);
    files.iter().find(fits).map_or("", |file| &file.content)
}

/// The values of a key in a file of systemd's syntax, specifiers resolved.
fn values(text: &str, section: &str, key: &str) -> Vec<String> {
    let settings = unit::settings(text).unwrap();
    settings
        .iter()
        .filter(|one| one.section == section && one.key == key)
        .map(|one| one.value.replace("%%", "%"))
        .collect()
}

proptest! {
    #[test]
    fn mounts(what in nasty(), place in "/[a-zA-Z0-9 \"'\\\\$%#;=.@é-]{1,12}", option in nasty()) {
        let node = json!({"mounts": [{"what": what, "where": place, "options": [option]}]});
        if let Some((_, files)) = files(node, Runtime::Containerd) {
            let unit = content(&files, "/etc/systemd/system/", ".mount");
            let wheres = values(unit, "Mount", "Where");
            prop_assert_eq!(&wheres, &[place]);
            if !what.contains('=') {
                prop_assert_eq!(values(unit, "Mount", "What"), [what]);
            }
            let options = values(unit, "Mount", "Options");
            prop_assert_eq!(options.len(), 1);
            for one in option.split(',').filter(|one| !one.is_empty() && !one.ends_with("auto")) {
                prop_assert!(options[0].split(',').any(|other| other == one), "{options:?}");
            }
            prop_assert_eq!(unit::settings(unit).unwrap().iter().filter(|one| one.section == "Mount").count(), 3);
        }
    }

    #[test]
    fn swap(path in "/var/[a-zA-Z0-9 \"'\\\\$%#;=.@é-]{1,12}") {
        let node = json!({"swap": [{"path": path, "size": "64MiB"}]});
        if let Some((_, files)) = files(node, Runtime::Containerd) {
            let unit = content(&files, "/etc/systemd/system/", ".swap");
            prop_assert_eq!(values(unit, "Swap", "What"), [path]);
            let maker = content(&files, "/etc/systemd/system/lifeboat-mkswap-", ".service");
            prop_assert_eq!(values(maker, "Service", "ExecStart").len(), 3);
        }
    }

    #[test]
    fn proxies_and_variables(proxy in "http://[!-~]{1,20}", no_proxy in nasty(), value in nasty()) {
        let node = json!({
            "proxy": {"http": proxy, "no_proxy": [no_proxy]},
            "environment": {"A": value},
        });
        if let Some((_, files)) = files(node, Runtime::Containerd) {
            let lines = |path: &str| content(&files, path, "").lines().count();
            prop_assert_eq!(lines("/etc/lifeboat/proxy.env"), 4);
            prop_assert_eq!(lines("/etc/environment"), 5);
            prop_assert!([1, 5].contains(&lines("/etc/profile.d/")));
            prop_assert_eq!(lines("/etc/systemd/system.conf.d/90-lifeboat.conf"), 2);
        }
    }

    #[test]
    fn wireless_networks(name in nasty(), passphrase in nasty()) {
        let passphrase = format!("{passphrase}12345678");
        let node = json!({"wifi": [{"name": name, "passphrase": passphrase}]});
        if let Some((_, files)) = files(node, Runtime::Containerd) {
            let text = content(&files, "/etc/wpa_supplicant/", "");
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines.len(), 10, "{}", text);
            prop_assert!(lines[3].bytes().skip(6).all(|byte| byte.is_ascii_hexdigit()));
            let quoted = lines[8].strip_prefix("\tpsk=P\"").and_then(|rest| rest.strip_suffix('"'));
            let plain = quoted.unwrap().replace("\\\\", "").replace("\\\"", "");
            prop_assert!(!plain.contains(['"', '#']), "{}", plain);
        }
    }

    #[test]
    fn credentials(user in nasty(), password in nasty(), crio in any::<bool>()) {
        let runtime = if crio { Runtime::CriO } else { Runtime::Containerd };
        let node = json!({"registries": {
            "mirrors": {"docker.io": {"endpoints": ["https://m.example:5000/x"]}},
            "configs": {"m.example:5000": {"auth": {"username": user, "password": password}}},
        }});
        if let Some((_, files)) = files(node, runtime) {
            for file in &files {
                let tomls = ["hosts.toml", "config.toml", "/90-lifeboat.conf", "/20-lifeboat.conf"];
                let places = ["/etc/containerd/", "/etc/containers/", "/etc/crio/"];
                if tomls.iter().any(|end| file.path.ends_with(end)) && places.iter().any(|start| file.path.starts_with(start)) {
                    let read: Result<toml::Table, _> = toml::from_str(&file.content);
                    prop_assert!(read.is_ok(), "{}: {:?}\n{}", file.path, read, file.content);
                }
                if file.path == CRIO_AUTH {
                    prop_assert!(serde_json::from_str::<Json>(&file.content).is_ok());
                    prop_assert_eq!(file.mode, 0o600);
                }
                if file.path == "/etc/containerd/config.toml" {
                    let read: toml::Table = toml::from_str(&file.content).unwrap();
                    let auth = &read["plugins"]["io.containerd.cri.v1.images"]["registry"]["configs"]["m.example:5000"]["auth"];
                    prop_assert_eq!(auth["username"].as_str(), Some(user.as_str()));
                    prop_assert_eq!(auth["password"].as_str(), Some(password.as_str()));
                    prop_assert_eq!(file.mode, 0o600);
                }
                let shown = format!("{file:?}");
                prop_assert!(password.len() < 8 || !shown.contains(&password));
            }
        }
    }

    #[test]
    fn accounts(name in "[a-z_][a-z0-9_.-]{0,6}", gecos in nasty(), home in "/[a-zA-Z0-9 :\\\\.-]{1,8}", rule in nasty()) {
        let node = json!({"users": [
            {"name": name, "gecos": gecos, "home": home, "groups": ["adm"], "sudo": format!("ALL={rule}")},
        ]});
        if let Some((node, _)) = files(node, Runtime::Containerd) {
            let image = Accounts {
                passwd: "root:x:0:0:root:/root:/bin/bash\n+::::::\n".to_owned(),
                group: "root:x:0:\nadm:x:4:syslog\n".to_owned(),
                shadow: "root:*:20000:0:99999:7:::\n".to_owned(),
                gshadow: String::new(),
            };
            let kept = Numbers::default();
            let first = plan_accounts(&node, &image, &kept, &|_| None);
            prop_assert_eq!(&first.problems, &Vec::<String>::new());
            let added = usize::from(name != "root");
            prop_assert_eq!(first.accounts.passwd.lines().count(), 2 + added);
            for line in first.accounts.passwd.lines() {
                prop_assert_eq!(line.split(':').count(), 7, "{}", line);
            }
            for line in first.accounts.shadow.lines() {
                prop_assert_eq!(line.split(':').count(), 9, "{}", line);
            }
            let again = plan_accounts(&node, &first.accounts, &first.numbers, &|_| None);
            prop_assert_eq!(&again.accounts, &first.accounts);
            prop_assert_eq!(&again.numbers, &first.numbers);
            prop_assert_eq!(sudo_file(&node).unwrap().content.lines().count(), 1);
        }
    }

    #[test]
    fn networks(name in nasty(), mac in nasty(), driver in nasty(), domain in nasty(), to in nasty()) {
        for node in [
            json!({"name": name}),
            json!({"name": "eth0", "mac": mac, "match": {"driver": driver}}),
            json!({"name": "eth0", "search_domains": [domain]}),
            json!({"name": "eth0", "routes": [{"to": to}]}),
        ] {
            let node = json!({"network": {"interfaces": [node]}});
            if let Some((_, files)) = files(node, Runtime::Containerd) {
                let text = content(&files, "/etc/systemd/network/20-", ".network");
                prop_assert!(text.starts_with("[Match]\n"));
                prop_assert_eq!(text.matches("[Match]").count(), 1);
                prop_assert_eq!(text.matches("[Network]").count(), 1);
            }
        }
    }

    #[test]
    fn units(name in nasty(), contents in nasty(), alias in nasty()) {
        let contents = format!("[Unit]\nDescription={contents}\n[Install]\nWantedBy={alias}\nAlias={alias}\n");
        let node = json!({"systemd": {"units": [
            {"name": format!("{name}.service"), "enabled": true, "contents": contents},
        ]}});
        if let Some((node, files)) = files(node, Runtime::Containerd) {
            let folder = "/etc/systemd/system/";
            let path = format!("{folder}{name}.service");
            prop_assert!(files.iter().any(|file| file.path == path));
            for link in node_links(&node) {
                let rest = link.path.strip_prefix(folder).unwrap();
                prop_assert!(rest.matches('/').count() <= 1 && !rest.contains(".."), "{:?}", link);
            }
        }
    }
}
