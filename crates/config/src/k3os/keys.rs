//! The names of k3OS' keys, and what each holds.

use std::{borrow::Cow, collections::BTreeMap};

use super::config::{Config, WifiNetwork, WriteFile};

/// A mapping whose keys are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The file itself.
    Top,
    /// `k3os:`
    K3os,
    /// `k3os.install:`
    Install,
}

/// What a key holds, and where a configuration has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    /// A text.
    Text(fn(&mut Config) -> &mut String),
    /// A truth value.
    Flag(fn(&mut Config) -> &mut bool),
    /// A list of texts.
    List(fn(&mut Config) -> &mut Vec<String>),
    /// A mapping of texts.
    Map(fn(&mut Config) -> &mut BTreeMap<String, String>),
    /// A list of mappings with the keys [`FILE_KEYS`].
    Files(fn(&mut Config) -> &mut Vec<WriteFile>),
    /// A list of mappings with the keys [`WIFI_KEYS`].
    Wifi(fn(&mut Config) -> &mut Vec<WifiNetwork>),
    /// More keys.
    Section(Section),
}

/// A key of k3OS.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path, as `k3os.install.device`.
    pub path: &'static str,
    /// What it holds.
    pub field: Field,
}

impl Key {
    /// The last part of its path.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
}

const fn key(path: &'static str, field: Field) -> Key {
    Key { path, field }
}

static TOP: [Key; 7] = [
    key(
        "ssh_authorized_keys",
        Field::List(|c| &mut c.ssh_authorized_keys),
    ),
    key("write_files", Field::Files(|c| &mut c.write_files)),
    key("hostname", Field::Text(|c| &mut c.hostname)),
    key("init_cmd", Field::List(|c| &mut c.init_cmd)),
    key("boot_cmd", Field::List(|c| &mut c.boot_cmd)),
    key("run_cmd", Field::List(|c| &mut c.run_cmd)),
    key("k3os", Field::Section(Section::K3os)),
];

static K3OS: [Key; 14] = [
    key(
        "k3os.data_sources",
        Field::List(|c| &mut c.k3os.data_sources),
    ),
    key("k3os.modules", Field::List(|c| &mut c.k3os.modules)),
    key("k3os.sysctls", Field::Map(|c| &mut c.k3os.sysctls)),
    key(
        "k3os.dns_nameservers",
        Field::List(|c| &mut c.k3os.dns_nameservers),
    ),
    key("k3os.ntp_servers", Field::List(|c| &mut c.k3os.ntp_servers)),
    key("k3os.wifi", Field::Wifi(|c| &mut c.k3os.wifi)),
    key("k3os.password", Field::Text(|c| &mut c.k3os.password)),
    key("k3os.server_url", Field::Text(|c| &mut c.k3os.server_url)),
    key("k3os.token", Field::Text(|c| &mut c.k3os.token)),
    key("k3os.labels", Field::Map(|c| &mut c.k3os.labels)),
    key("k3os.taints", Field::List(|c| &mut c.k3os.taints)),
    key("k3os.k3s_args", Field::List(|c| &mut c.k3os.k3s_args)),
    key("k3os.environment", Field::Map(|c| &mut c.k3os.environment)),
    key("k3os.install", Field::Section(Section::Install)),
];

static INSTALL: [Key; 9] = [
    key(
        "k3os.install.device",
        Field::Text(|c| &mut c.k3os.install.device),
    ),
    key(
        "k3os.install.config_url",
        Field::Text(|c| &mut c.k3os.install.config_url),
    ),
    key(
        "k3os.install.iso_url",
        Field::Text(|c| &mut c.k3os.install.iso_url),
    ),
    key(
        "k3os.install.silent",
        Field::Flag(|c| &mut c.k3os.install.silent),
    ),
    key(
        "k3os.install.no_format",
        Field::Flag(|c| &mut c.k3os.install.no_format),
    ),
    key(
        "k3os.install.force_efi",
        Field::Flag(|c| &mut c.k3os.install.force_efi),
    ),
    key(
        "k3os.install.debug",
        Field::Flag(|c| &mut c.k3os.install.debug),
    ),
    key("k3os.install.tty", Field::Text(|c| &mut c.k3os.install.tty)),
    key(
        "k3os.install.power_off",
        Field::Flag(|c| &mut c.k3os.install.power_off),
    ),
];

/// The keys of an entry of `write_files`.
pub(crate) const FILE_KEYS: [&str; 5] = ["path", "content", "encoding", "owner", "permissions"];
/// The keys of an entry of `wifi`.
pub(crate) const WIFI_KEYS: [&str; 2] = ["name", "passphrase"];
/// Words below `k3os.` of the kernel command line that only the boot code uses.
pub(crate) const BOOT_WORDS: [&str; 3] = ["mode", "fallback_mode", "debug"];

/// Names, also wrong ones, of what must not be shown.
const SECRETS: [&str; 4] = ["token", "password", "passphrase", "pass"];

impl Section {
    /// Its keys.
    pub(crate) fn keys(self) -> &'static [Key] {
        match self {
            Self::Top => &TOP,
            Self::K3os => &K3OS,
            Self::Install => &INSTALL,
        }
    }

    /// The key that `name` means here: case and underscores do not matter, and the names of
    /// lists and mappings may be singular.
    pub(crate) fn find(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| {
            let several = matches!(key.field, Field::List(_) | Field::Map(_) | Field::Files(_));
            is_spelling(name, key.name(), several)
        })
    }

    /// The section that knows `name`, if this one does not: a key at the wrong level.
    pub(crate) fn elsewhere(self, name: &str) -> Option<&'static Key> {
        [Self::Top, Self::K3os, Self::Install]
            .into_iter()
            .filter(|section| *section != self)
            .find_map(|section| section.find(name))
    }
}

/// The key of an entry of `write_files` that `name` means.
pub(crate) fn file_key(name: &str) -> Option<&'static str> {
    let mut keys = FILE_KEYS.into_iter();
    keys.find(|key| is_spelling(name, key, *key == "permissions"))
}

/// The key of an entry of `wifi` that `name` means.
pub(crate) fn wifi_key(name: &str) -> Option<&'static str> {
    let one_of = |words: &[&str]| words.iter().any(|word| is_spelling(name, word, false));
    if one_of(&["name"]) {
        Some("name")
    } else {
        one_of(&["passphrase", "password", "pass"]).then_some("passphrase")
    }
}

/// Whether this is a word below `k3os.` that only the boot code uses.
pub(crate) fn is_boot_word(name: &str) -> bool {
    BOOT_WORDS.iter().any(|word| is_spelling(name, word, false))
}

fn is_spelling(name: &str, key: &str, singular: bool) -> bool {
    let same = |key: &str| letters(name).eq(letters(key));
    same(key) || singular && key.strip_suffix('s').is_some_and(same)
}

/// A key path as it may be printed. `token:S3cret`, without a blank, is a name that holds its
/// value, so what follows the name of a secret is cut. The names in mappings of texts are the
/// user's own.
pub(crate) fn shown(path: &str) -> Cow<'_, str> {
    let mut section = Some(Section::Top);
    let mut rest = path;
    loop {
        let (name, below) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
        let word = name.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        let hidden = if word.is_empty() {
            None
        } else {
            after_secret(&rest[name.len() - word.len()..])
        };
        if let Some(hidden) = hidden {
            return Cow::Owned(format!("{}…", &path[..path.len() - hidden.len()]));
        }
        let key = section.and_then(|section| section.find(name));
        section = match key.map(|key| key.field) {
            Some(Field::Map(_)) => return Cow::Borrowed(path),
            Some(Field::Section(inner)) => Some(inner),
            _ => None,
        };
        let Some(below) = below.get(1..) else {
            return Cow::Borrowed(path);
        };
        rest = below;
    }
}

/// What follows the name of a secret and a character that ends names.
fn after_secret(text: &str) -> Option<&str> {
    SECRETS.iter().find_map(|secret| {
        let mut rest = text;
        for expected in secret.chars() {
            rest = rest.trim_start_matches('_');
            let letter = rest.chars().next()?;
            if !letter.eq_ignore_ascii_case(&expected) {
                return None;
            }
            rest = &rest[letter.len_utf8()..];
        }
        let mut letters = rest.trim_start_matches('_').chars();
        let end = letters.next()?;
        let hidden = letters.as_str();
        (!end.is_alphanumeric() && !hidden.is_empty()).then_some(hidden)
    })
}

/// What counts of a name.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let counted = name.bytes().filter(|letter| *letter != b'_');
    counted.map(|letter| letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_mean_their_key() {
        for (section, names, path) in [
            (
                Section::Top,
                &["run_cmd", "runCmd", "RUNCMD", "r_u_ncmd"][..],
                "run_cmd",
            ),
            (Section::Top, &["write_file", "writefiles"], "write_files"),
            (Section::K3os, &["sysctl", "Sysctls"], "k3os.sysctls"),
            (
                Section::K3os,
                &["serverURL", "server_url"],
                "k3os.server_url",
            ),
            (
                Section::Install,
                &["poweroff", "power_off"],
                "k3os.install.power_off",
            ),
        ] {
            for name in names {
                assert_eq!(section.find(name).unwrap().path, path, "{name}");
            }
        }
        for name in ["run-cmd", "run_cmds", "token", "hostnames", "k3o", "", "_"] {
            assert!(Section::Top.find(name).is_none(), "{name}");
        }
        assert_eq!(Section::Top.elsewhere("token").unwrap().path, "k3os.token");
        assert_eq!(file_key("Permission"), Some("permissions"));
        assert_eq!(wifi_key("PASS"), Some("passphrase"));
        assert!(is_boot_word("fallbackMode") && !is_boot_word("token"));
    }

    #[test]
    fn what_may_be_a_secret_is_cut_from_a_path() {
        for (path, expected) in [
            ("k3os.token:S", "k3os.token:…"),
            ("k3os.To_ken_:S", "k3os.To_ken_:…"),
            ("k3os.token S", "k3os.token …"),
            ("k3os.'token：S'", "k3os.'token：…"),
            ("k3os.token\u{fffd}S.a", "k3os.token\u{fffd}…"),
            ("k3os.token.x.S", "k3os.token.…"),
            ("K3OS.password[S]", "K3OS.password[…"),
            ("k3os[token:S]", "k3os[token:…"),
            ("k3os.wifi.0.passphrase:S", "k3os.wifi.0.passphrase:…"),
            ("k3os.wifi[0].pass-S", "k3os.wifi[0].pass-…"),
            ("pass:S", "pass:…"),
            ("a.b.PassWord=S", "a.b.PassWord=…"),
            ("k3os.token:…", "k3os.token:…"),
        ] {
            assert_eq!(shown(path), expected);
        }
        for path in [
            "",
            ".",
            "k3os.",
            "k3os..[",
            "k3os.token",
            "k3os.token.",
            "k3os[token]",
            "k3os.tokne:x",
            "k3os.token_file",
            "k3os.tokens:x",
            "k3os.passé:x",
            "k3os.label.token:x",
            "k3os.environment[pass-x]",
            "k3os.wifi.0.pass",
        ] {
            assert_eq!(shown(path), path);
        }
    }
}
