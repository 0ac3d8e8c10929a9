//! What a source knows of this node, and the files that it becomes.

use std::{collections::BTreeSet, io, path::Path};

use fs_err as fs;
use lifeboat_config::{network_config, userdata};
use serde_json::Value as Json;

use super::http::{Answer, HttpError};
use crate::boot::write_file;

/// The most keys that are taken.
const MOST_KEYS: usize = 1000;
/// Deeper values are not looked at.
const MOST_DEPTH: usize = 8;

/// What a source knows. It may hold secrets, so it is not shown.
#[derive(Default)]
pub(crate) struct Found {
    /// Where exactly it was found, for the log.
    pub place: String,
    /// The name of the node.
    pub local_hostname: Option<String>,
    /// The full or outer name, where that is another.
    pub hostname: Option<String>,
    pub instance_id: Option<String>,
    pub keys: Vec<String>,
    /// As it came; [`Found::unpack`] makes of it what is written.
    pub user_data: Option<Vec<u8>>,
    /// `network-config` of version 1 or 2, YAML or JSON.
    pub network_config: Option<Vec<u8>>,
    /// `network_data.json` of `OpenStack`.
    pub network_data: Option<Vec<u8>>,
    /// A native configuration with `network`, made of the one or the other.
    native: Option<Vec<u8>>,
    /// Worth a line in the log.
    pub notes: Vec<String>,
    /// What could not be read or used.
    pub problems: Vec<String>,
    /// What could not be read: the file of an earlier run stays.
    unread: BTreeSet<Part>,
}

/// A file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Hostname,
    InstanceId,
    Keys,
    UserData,
    Network,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Hostname => "host name",
            Self::InstanceId => "instance id",
            Self::Keys => "SSH keys",
            Self::UserData => "user data",
            Self::Network => "network configuration",
        }
    }
}

impl Found {
    pub(crate) fn at(place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            ..Self::default()
        }
    }

    /// The content of an answer, if there is one; a failure is noted.
    pub(crate) fn part(
        &mut self,
        part: Part,
        answer: Result<Option<Answer>, HttpError>,
    ) -> Option<Answer> {
        match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.unread(part, &error.to_string());
                None
            }
        }
    }

    /// Notes that a part is there or may be, but cannot be read.
    pub(crate) fn unread(&mut self, part: Part, why: &str) {
        self.unread.insert(part);
        self.problems.push(format!("{}: {why}", part.name()));
    }

    /// Takes a name, unless it is empty.
    pub(crate) fn set_hostname(&mut self, name: &str) {
        let name = name.trim();
        if !name.is_empty() {
            self.local_hostname = Some(name.to_owned());
        }
    }

    pub(crate) fn set_instance_id(&mut self, id: &str) {
        let id: String = id
            .trim()
            .chars()
            .filter(|letter| !letter.is_control())
            .collect();
        if !id.is_empty() {
            self.instance_id = Some(id);
        }
    }

    /// Takes user data, unless there is none.
    pub(crate) fn set_user_data(&mut self, data: Vec<u8>) {
        if !data.is_empty() {
            self.user_data = Some(data);
        }
    }

    /// Adds the keys in lines of text.
    pub(crate) fn add_keys(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || self.keys.iter().any(|key| key == line) {
                continue;
            }
            if line.chars().any(char::is_control) || self.keys.len() == MOST_KEYS {
                self.problems.push(
                    "SSH keys: one is not usable text, or there are more than 1000".to_owned(),
                );
                return;
            }
            self.keys.push(line.to_owned());
        }
    }

    /// Adds the keys in a value: text, a list, or a mapping of names to keys, as the metadata of
    /// EC2, `NoCloud` and `OpenStack` have them.
    pub(crate) fn add_key_values(&mut self, value: &Json) {
        self.add_deep(value, 0);
    }

    fn add_deep(&mut self, value: &Json, depth: usize) {
        match value {
            _ if depth > MOST_DEPTH => {}
            Json::String(text) => self.add_keys(text),
            Json::Array(items) => items.iter().for_each(|item| self.add_deep(item, depth + 1)),
            Json::Object(map) => match map.get("openssh-key") {
                Some(key) => self.add_deep(key, depth + 1),
                None => map.values().for_each(|item| self.add_deep(item, depth + 1)),
            },
            _ => {}
        }
    }

    /// Takes what `meta-data` of `NoCloud`, and of others in its shape, says.
    pub(crate) fn set_metadata(&mut self, value: &Json) {
        let text = |key: &str| match value.get(key) {
            Some(Json::String(text)) if !text.trim().is_empty() => Some(text.clone()),
            Some(Json::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        if let Some(id) = text("instance-id").or_else(|| text("instance_id")) {
            self.set_instance_id(&id);
        }
        if let Some(name) = text("local-hostname")
            .or_else(|| text("local_hostname"))
            .or_else(|| text("hostname"))
        {
            self.set_hostname(&name);
        }
        for key in ["public-keys", "public_keys", "public-keys-data"] {
            if let Some(keys) = value.get(key) {
                self.add_key_values(keys);
            }
        }
        for key in ["network-config", "network_config"] {
            match value.get(key) {
                Some(Json::String(text)) => self.network_config = Some(text.clone().into_bytes()),
                Some(config @ Json::Object(_)) => {
                    self.network_config = Some(config.to_string().into_bytes());
                }
                _ => {}
            }
        }
    }

    /// Takes the text of `meta-data`, YAML or JSON.
    pub(crate) fn set_metadata_text(&mut self, bytes: &[u8]) {
        match lifeboat_config::untyped(bytes) {
            Ok(value @ Json::Object(_)) => self.set_metadata(&value),
            Ok(Json::Null) => {}
            Ok(_) => self.unread_metadata("not a mapping at its top level"),
            Err(why) => self.unread_metadata(&why),
        }
    }

    fn unread_metadata(&mut self, why: &str) {
        self.unread
            .extend([Part::Hostname, Part::InstanceId, Part::Keys]);
        self.problems.push(format!("meta-data: {why}"));
    }

    /// Makes of names, user data and the network what is written.
    pub(crate) fn unpack(&mut self) {
        let given = self.local_hostname.take();
        if self.hostname.is_none() {
            self.hostname.clone_from(&given);
        }
        for (name, is_local) in [(given, true), (self.hostname.take(), false)] {
            let Some(name) = name else { continue };
            match usable_name(&name) {
                // The kernel takes 64 bytes.
                Some(name) if is_local && name.len() > 64 => {
                    let short = name.split('.').next().unwrap_or(name);
                    self.notes.push(format!(
                        "host name: `{name}` is longer than 64 characters; its first part is taken"
                    ));
                    self.local_hostname = Some(short.to_owned());
                }
                Some(name) if is_local => self.local_hostname = Some(name.to_owned()),
                Some(name) => self.hostname = Some(name.to_owned()),
                None if is_local => {
                    self.unread(Part::Hostname, "what the source gives is no host name");
                }
                None => {}
            }
        }
        if let Some(raw) = self.user_data.take() {
            let unpacked = userdata::unpack(&raw);
            for note in unpacked.notes {
                self.notes.push(format!("user data: {note}"));
            }
            for problem in unpacked.problems {
                self.problems.push(format!("user data: {problem}"));
            }
            self.user_data = unpacked.content;
        }
        self.translate_network();
    }

    /// Translates the network's configuration.
    fn translate_network(&mut self) {
        let translated = match (&self.network_config, &self.network_data) {
            (Some(config), _) => network_config::translate(config).map(Some),
            (None, Some(data)) => network_config::translate_openstack(data),
            (None, None) => return,
        };
        match translated {
            Ok(None) => {}
            Ok(Some(translated)) => {
                for note in translated.notes {
                    self.notes.push(format!("network configuration: {note}"));
                }
                let native = serde_json::json!({ "network": translated.network });
                self.native = Some(format!("{native:#}\n").into_bytes());
            }
            Err(why) => self.problems.push(format!("network configuration: {why}")),
        }
    }

    /// What was found, without any content.
    pub(crate) fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some(name) = &self.local_hostname {
            parts.push(format!("host name {name}"));
        }
        match self.keys.len() {
            0 => {}
            1 => parts.push("1 SSH key".to_owned()),
            count => parts.push(format!("{count} SSH keys")),
        }
        if let Some(data) = &self.user_data {
            parts.push(format!("{} bytes of user data", data.len()));
        }
        if self.network_config.is_some() {
            parts.push("network configuration".to_owned());
        }
        let what = if parts.is_empty() {
            "nothing for this node".to_owned()
        } else {
            parts.join(", ")
        };
        if self.place.is_empty() {
            return what;
        }
        format!("{}: {what}", self.place)
    }

    /// Writes the files below `run/config` of `root`; what the source does not have is removed,
    /// so that a second run leaves nothing of the first.
    pub(crate) fn write(&self, root: &Path, provider: &str) -> Vec<(&'static str, io::Result<()>)> {
        let line =
            |text: &Option<String>| text.as_ref().map(|text| format!("{text}\n").into_bytes());
        let keys = (!self.keys.is_empty()).then(|| {
            let mut text = self.keys.join("\n");
            text.push('\n');
            text.into_bytes()
        });
        let files = [
            (
                "provider",
                None,
                0o644,
                Some(format!("{provider}\n").into_bytes()),
            ),
            (
                "local_hostname",
                Some(Part::Hostname),
                0o644,
                line(&self.local_hostname),
            ),
            (
                "hostname",
                Some(Part::Hostname),
                0o644,
                line(&self.hostname),
            ),
            (
                "instance_id",
                Some(Part::InstanceId),
                0o644,
                line(&self.instance_id),
            ),
            ("ssh/authorized_keys", Some(Part::Keys), 0o600, keys),
            (
                "userdata",
                Some(Part::UserData),
                0o600,
                self.user_data.clone(),
            ),
            (
                "network-config",
                Some(Part::Network),
                0o600,
                self.network_config.clone(),
            ),
            (
                "network_data.json",
                Some(Part::Network),
                0o600,
                self.network_data.clone(),
            ),
            (
                "lifeboat.yaml",
                Some(Part::Network),
                0o600,
                self.native.clone(),
            ),
        ];
        let folder = root.join("run/config");
        let mut results = vec![("run/config", make_folders(&folder))];
        for (name, part, mode, content) in files {
            let path = folder.join(name);
            let result = match content {
                Some(content) => write_file(&path, &content, mode),
                None if part.is_some_and(|part| self.unread.contains(&part)) => Ok(()),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            results.push((name, result));
        }
        results
    }
}

fn make_folders(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let ssh = folder.join("ssh");
    fs::create_dir_all(&ssh)?;
    fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o700))
}

/// A host name: its first line, if it has only letters, digits, `-`, `_` and dots.
fn usable_name(name: &str) -> Option<&str> {
    let name = name
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .trim_end_matches('.');
    let fits = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && !part.starts_with('-')
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_has_keys_in_many_shapes() {
        for value in [
            json!("a\nb\n"),
            json!(["a", "b"]),
            json!({"x": "a", "y": "b\n"}),
            json!({"0": {"openssh-key": "a"}, "1": {"openssh-key": "b", "other": "c"}}),
            json!([["a"], {"b": ["b", "a"]}]),
        ] {
            let mut found = Found::default();
            found.add_key_values(&value);
            assert_eq!(found.keys, ["a", "b"], "{value}");
        }
    }

    #[test]
    fn names_are_checked_and_shortened() {
        let long = format!("{}.{}", "a".repeat(40), "b".repeat(40));
        for (given, local) in [
            ("n1\n", Some("n1")),
            ("n1.example.\n", Some("n1.example")),
            ("a b", None),
            ("../x", None),
            ("a\u{1b}[31m", None),
            (&long, Some(&long[..40])),
        ] {
            let mut found = Found::default();
            found.set_hostname(given);
            found.unpack();
            assert_eq!(found.local_hostname.as_deref(), local, "{given:?}");
            assert_eq!(found.problems.is_empty(), local.is_some());
        }
    }

    proptest! {
        #[test]
        fn any_metadata_is_taken_or_refused(bytes: Vec<u8>, text: String) {
            let mut found = Found::default();
            found.set_metadata_text(&bytes);
            found.set_metadata_text(text.as_bytes());
            found.set_hostname(&text);
            found.add_keys(&text);
            found.unpack();
            prop_assert!(!found.keys.iter().any(|key| key.contains('\n')));
        }
    }
}
