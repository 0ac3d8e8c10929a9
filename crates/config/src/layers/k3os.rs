//! k3OS' merged configuration as keys of `node`.
//!
//! Each key is judged alone. What k3OS took in another form is put into the native one; what
//! cannot be used is left out and named, and if nothing of a key is left, the source below has
//! its say: a bad value costs nothing but itself.

use std::path::{Component, Path};

use serde_json::{Map, Value as Json, json};

use super::{
    Origin,
    lenient::{self, Indices},
    merge::Layer,
};
use crate::{
    Finding, Hostname, Place, Severity,
    finding::Collector,
    k3os::{self, Input},
    yaml::{Data, Entry, Value},
};

/// Keys of `node` and where k3OS has them.
const KEYS: [(&str, &str); 28] = [
    ("hostname", "hostname"),
    ("ssh_authorized_keys", "ssh_authorized_keys"),
    ("write_files", "write_files"),
    ("init_cmd", "init_cmd"),
    ("boot_cmd", "boot_cmd"),
    ("run_cmd", "run_cmd"),
    ("data_sources", "k3os.data_sources"),
    ("modules", "k3os.modules"),
    ("sysctls", "k3os.sysctls"),
    ("dns_nameservers", "k3os.dns_nameservers"),
    ("ntp_servers", "k3os.ntp_servers"),
    ("wifi", "k3os.wifi"),
    ("password", "k3os.password"),
    ("server_url", "k3os.server_url"),
    ("token", "k3os.token"),
    ("labels", "k3os.labels"),
    ("taints", "k3os.taints"),
    ("k3s_args", "k3os.k3s_args"),
    ("environment", "k3os.environment"),
    ("install.device", "k3os.install.device"),
    ("install.config_url", "k3os.install.config_url"),
    ("install.iso_url", "k3os.install.iso_url"),
    ("install.silent", "k3os.install.silent"),
    ("install.no_format", "k3os.install.no_format"),
    ("install.force_efi", "k3os.install.force_efi"),
    ("install.debug", "k3os.install.debug"),
    ("install.tty", "k3os.install.tty"),
    ("install.power_off", "k3os.install.power_off"),
];

/// Sources below a bad one that are asked for its key.
const MOST_FALLBACKS: usize = 8;

/// One key of one source, in native form.
#[derive(Debug)]
pub(super) struct Translated {
    /// The layers, one for each source that set something, low to high by their highest key.
    pub layers: Vec<Layer>,
    /// What was dropped or changed.
    pub findings: Vec<Finding>,
    /// Sources that set a key and were overridden, by the native key.
    pub overridden: Vec<(String, Origin)>,
}

/// Translates what the sources make together.
pub(super) fn translate(inputs: &[Input], merged: &k3os::Merged) -> Translated {
    let json = merged.config.to_json(true);
    let mut done = Translated {
        layers: Vec::new(),
        findings: Vec::new(),
        overridden: Vec::new(),
    };
    for (native, theirs) in KEYS {
        let origins = merged.origins.get(theirs).map(Vec::as_slice);
        let origins = origins.unwrap_or_default();
        let value = at(&json, theirs);
        // The one in force is recorded with its layer.
        let lower = origins.len() - usize::from(value.is_some() && !origins.is_empty());
        for origin in &origins[..lower] {
            let origin = Origin {
                source: origin.source.clone(),
                place: origin.place,
                value: None,
                erased: origin.erased,
            };
            done.overridden.push((native.to_owned(), origin));
        }
        let Some(value) = value else {
            continue;
        };
        let mut kept = key(native, theirs, value, origins.last());
        done.findings.append(&mut kept.findings);
        if !kept.keys.is_empty() {
            done.add(origins.last(), &kept);
            continue;
        }
        if !kept.dropped {
            continue;
        }
        if let Some((origin, kept)) = below(inputs, native, theirs, origins) {
            done.add(Some(&origin), &kept);
        }
    }
    done
}

impl Translated {
    fn add(&mut self, origin: Option<&k3os::Origin>, kept: &KeptKey) {
        let name = origin.map_or("k3OS", |origin| &origin.source);
        let at = self.layers.iter().position(|layer| layer.name == name);
        let at = at.unwrap_or_else(|| {
            self.layers.push(Layer {
                name: name.to_owned(),
                ..Layer::default()
            });
            self.layers.len() - 1
        });
        let layer = &mut self.layers[at];
        if let Some(place) = origin.and_then(|origin| origin.place) {
            layer.places.insert(kept.path.to_owned(), place);
        }
        super::merge::merge(super::merge::top(), &mut layer.keys, &kept.keys);
    }
}

/// The key from the sources below those that spoilt it.
fn below(
    inputs: &[Input],
    native: &'static str,
    theirs: &str,
    origins: &[k3os::Origin],
) -> Option<(k3os::Origin, KeptKey)> {
    let mut spoilt: Vec<&str> = Vec::new();
    for origin in origins.iter().rev().take(MOST_FALLBACKS) {
        spoilt.push(&origin.source);
        let rest: Vec<Input> = inputs
            .iter()
            .filter(|input| !spoilt.contains(&input.name.as_str()))
            .cloned()
            .collect();
        let merged = k3os::merge(&rest);
        let json = merged.config.to_json(true);
        let value = at(&json, theirs)?;
        let origin = merged.origins.get(theirs)?.last()?.clone();
        let kept = key(native, theirs, value, Some(&origin));
        if !kept.keys.is_empty() {
            return Some((origin, kept));
        }
    }
    None
}

fn at<'a>(json: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(json, |json, key| json.get(key))
}

/// One key in native form.
struct KeptKey {
    path: &'static str,
    keys: Map<String, Json>,
    findings: Vec<Finding>,
    /// Whether there was something that could not be used.
    dropped: bool,
}

fn key(native: &'static str, theirs: &str, value: &Json, origin: Option<&k3os::Origin>) -> KeptKey {
    let name = origin.map_or("k3OS", |origin| origin.source.as_str());
    let place = origin
        .and_then(|origin| origin.place)
        .unwrap_or(Place::START);
    let mut findings = Collector::unlimited(name);
    if native != theirs {
        findings.show_as(native.to_owned(), theirs.to_owned());
    }
    let mut indices = Indices::new();
    let value = {
        let mut warn = |code, message: String| {
            findings.warn(place, native, code, message, None);
        };
        match native_form(native, value, &mut warn) {
            Form::Same(value) => value,
            Form::Items(items) => {
                let (positions, items) = items.into_iter().unzip();
                indices.insert(native.to_owned(), positions);
                Json::Array(items)
            }
        }
    };
    let mut value = lenient::value_at(&value, place);
    for key in native.rsplit('.') {
        let span = value.span;
        value = Value {
            span,
            data: Data::Map(vec![Entry {
                key: key.to_owned(),
                span,
                value,
            }]),
        };
    }
    let kept = lenient::keep(name, value, findings, indices);
    let dropped = kept
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let keys = if kept.usable { kept.keys } else { Map::new() };
    KeptKey {
        path: native,
        keys: keys
            .into_iter()
            .filter(|(_, value)| !is_empty(value))
            .collect(),
        findings: kept.findings,
        dropped,
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty() || map.values().all(is_empty),
        _ => false,
    }
}

/// A value in the form that `node` takes.
enum Form {
    Same(Json),
    /// Items with their positions in k3OS' list.
    Items(Vec<(usize, Json)>),
}

fn native_form(key: &str, value: &Json, warn: &mut dyn FnMut(&'static str, String)) -> Form {
    if let Some(text) = value.as_str() {
        return Form::Same(Json::from(match key {
            "hostname" => host_name(text, warn),
            "password" => text.trim_end_matches(['\r', '\n']).to_owned(),
            _ => text.trim().to_owned(),
        }));
    }
    let Some(items) = value.as_array() else {
        return Form::Same(value.clone());
    };
    let mut all = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let Some(text) = item.as_str() else {
            let item = match key {
                "write_files" => file(item),
                _ => item.clone(),
            };
            all.push((position, item));
            continue;
        };
        let mut add = |text: &str| {
            if !text.trim().is_empty() {
                all.push((position, Json::from(text)));
            }
        };
        match key {
            "ssh_authorized_keys" => text
                .lines()
                .map(str::trim)
                .filter(|line| !line.starts_with('#'))
                .for_each(add),
            "dns_nameservers" | "ntp_servers" if text.trim().contains([',', ' ']) => {
                warn(
                    "one-entry",
                    format!("item {position} names several servers; they are taken one by one"),
                );
                text.split([',', ' ']).map(str::trim).for_each(add);
            }
            "data_sources" => {
                let (name, argument) = text.trim().split_once('=').unwrap_or((text.trim(), ""));
                let name = name.to_ascii_lowercase();
                if argument.is_empty() {
                    add(&name);
                } else {
                    add(&format!("{name}={argument}"));
                }
            }
            "init_cmd" | "boot_cmd" | "run_cmd" | "k3s_args" => add(text),
            _ => add(text.trim()),
        }
    }
    Form::Items(all)
}

/// k3OS took any name; Kubernetes does not.
fn host_name(text: &str, warn: &mut dyn FnMut(&'static str, String)) -> String {
    let text = text.trim();
    if text.parse::<Hostname>().is_ok() {
        return text.to_owned();
    }
    let fixed = text.to_lowercase().replace(['_', ' '], "-");
    if fixed.parse::<Hostname>().is_ok() {
        warn(
            "changed-value",
            format!(
                "Kubernetes takes lower-case letters, digits, `-` and `.` only: {fixed:?} is used"
            ),
        );
        return fixed;
    }
    text.to_owned()
}

/// A file as `write_files` takes it. What cannot be put right is left for the check to name.
fn file(item: &Json) -> Json {
    let text = |key: &str| item.get(key).and_then(Json::as_str).unwrap_or_default();
    let mut file = json!({"content": text("content")});
    if item.get("path").is_some() {
        file["path"] = Json::from(clean_path(text("path")));
    }
    for key in ["encoding", "owner", "permissions"] {
        let value = text(key);
        if value.is_empty() {
            continue;
        }
        file[key] = Json::from(match key {
            "permissions" => permissions(value),
            "owner" => owner(value),
            _ => value.to_owned(),
        });
    }
    file
}

/// `0644` of `644`, `0o644` and the like; anything else as it is.
fn permissions(text: &str) -> String {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(digits, 8) {
        Ok(bits) if octal && bits <= 0o7777 => format!("{bits:04o}"),
        _ => text.to_owned(),
    }
}

/// chown(1) also takes `:GROUP` and `USER:`.
fn owner(text: &str) -> String {
    match text.split_once(':') {
        Some(("", group)) if !group.is_empty() => format!("root:{group}"),
        Some((user, "")) if !user.is_empty() => user.to_owned(),
        _ => text.to_owned(),
    }
}

/// An absolute path without `.`, `..` and `//`: a relative one starts at the root, and `..`
/// does not lead out of it.
fn clean_path(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for (text, clean) in [
            ("/etc/x", "/etc/x"),
            ("rel", "/rel"),
            ("/../../x", "/x"),
            ("/a//b/./c/", "/a/b/c"),
            ("a/../../../etc/passwd", "/etc/passwd"),
            ("..", "/"),
        ] {
            assert_eq!(clean_path(text), clean, "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [
            ("644", "0644"),
            ("0644", "0644"),
            ("0o644", "0644"),
            ("04755", "4755"),
            ("1777", "1777"),
            ("0900", "0900"),
            ("u+x", "u+x"),
            (" 0644", " 0644"),
            ("+644", "+644"),
            ("77777", "77777"),
        ] {
            assert_eq!(permissions(text), mode, "{text}");
        }
    }
}
