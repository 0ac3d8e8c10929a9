//! User data as clouds hand it over: packed, in several parts, or plain. What comes out is one
//! document that the sources of the configuration read: a script or YAML.

mod mime;
#[cfg(test)]
mod tests;

use std::io::Read as _;

use serde_json::{Map, Value as Json, json};

use crate::{untyped, untyped::in_dialect, yaml::legacy::Dialect};

/// The most bytes of user data that are taken, unpacked.
pub const MOST_BYTES: usize = 4 << 20;
/// Where the scripts of user data in several parts are put.
const SCRIPTS: &str = "/run/lifeboat/userdata";

/// User data that was unpacked.
#[derive(Default)]
pub struct UserData {
    /// A script, or YAML with the keys of k3OS; none if there is nothing of use.
    pub content: Option<Vec<u8>>,
    /// What was made of it, for a log. Never holds content.
    pub notes: Vec<String>,
    /// What could not be used, and why. Never holds content.
    pub problems: Vec<String>,
}

impl std::fmt::Debug for UserData {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Content may hold passwords.
        formatter
            .debug_struct("UserData")
            .field("bytes", &self.content.as_ref().map(Vec::len))
            .field("notes", &self.notes)
            .field("problems", &self.problems)
            .finish()
    }
}

/// What a document is by its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Script,
    Yaml,
    Mime,
    Unusable(&'static str),
}

/// Unpacks user data: gzip, MIME multi-part messages, and what is in them.
pub fn unpack(raw: &[u8]) -> UserData {
    let mut result = UserData::default();
    let data = match inflate(raw, MOST_BYTES) {
        Ok(data) => data,
        Err(problem) => {
            result.problems.push(problem.to_owned());
            return result;
        }
    };
    if data.iter().all(u8::is_ascii_whitespace) {
        return result;
    }
    match form(&data) {
        Form::Unusable(why) => result.problems.push(why.to_owned()),
        Form::Script | Form::Yaml => result.content = Some(data),
        Form::Mime => match mime::parts(&data) {
            Ok(parts) => assemble(parts, &mut result),
            Err(why) => result.problems.push(format!("MIME message: {why}")),
        },
    }
    result
}

/// Takes gzip off, also more than one layer.
fn inflate(raw: &[u8], limit: usize) -> Result<Vec<u8>, &'static str> {
    const TOO_LARGE: &str = "it is larger than 4 MiB, which is the most that is taken";
    let mut data = std::borrow::Cow::Borrowed(raw);
    for _ in 0..3 {
        if data.len() > limit {
            return Err(TOO_LARGE);
        }
        if !data.starts_with(&[0x1f, 0x8b]) {
            return Ok(data.into_owned());
        }
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&*data)
            .take(limit as u64 + 1)
            .read_to_end(&mut plain)
            .map_err(|_| "its gzip data is broken or cut off")?;
        data = plain.into();
    }
    Err("it is packed more than twice")
}

fn form(data: &[u8]) -> Form {
    let start = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or(start);
    let line = String::from_utf8_lossy(line.get(..200).unwrap_or(line));
    let line = line.trim_end();
    let lower = line.to_ascii_lowercase();
    if line.starts_with("#!") {
        return Form::Script;
    }
    if ["content-type:", "mime-version:", "from "]
        .iter()
        .any(|name| lower.starts_with(name))
    {
        return Form::Mime;
    }
    for (begin, why) in UNUSABLE {
        if lower.starts_with(begin) {
            return Form::Unusable(why);
        }
    }
    let text = String::from_utf8_lossy(data.get(..4096).unwrap_or(data));
    let text = text.trim_start();
    if text.starts_with('{') && text.contains("\"ignition\"") {
        return Form::Unusable(
            "it is an Ignition configuration; `lifeboat config convert --from ignition` translates it",
        );
    }
    if text.starts_with("<powershell>") || text.starts_with("<script>") {
        return Form::Unusable("it is a script for Windows");
    }
    Form::Yaml
}

const UNUSABLE: [(&str, &str); 7] = [
    (
        "#include",
        "a list of URLs to include (#include) is not followed; hand in the content itself",
    ),
    (
        "#cloud-boothook",
        "a boot hook is not run; boot_cmd in the configuration runs before any service",
    ),
    ("#part-handler", "a part handler needs cloud-init"),
    ("#upstart-job", "an upstart job has nothing that runs it"),
    (
        "#cloud-config-archive",
        "a cloud-config archive is not read; a MIME multi-part message is",
    ),
    (
        "#cloud-config-jsonp",
        "a JSON patch of other parts is not applied",
    ),
    (
        "## template:",
        "a template is not filled in; hand in the result",
    ),
];

/// Makes one document of the parts of a message.
fn assemble(parts: Vec<mime::Part>, result: &mut UserData) {
    let mut room = MOST_BYTES;
    let mut documents = Vec::new();
    let mut scripts = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let number = index + 1;
        let data = match inflate(&part.body, room) {
            Ok(data) => data,
            Err(why) => {
                result.problems.push(format!("part {number}: {why}"));
                continue;
            }
        };
        room -= data.len().min(room);
        if data.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match kind(&part.kind, &data) {
            Form::Script => scripts.push((number, data)),
            Form::Yaml => documents.push((number, data)),
            Form::Mime => result
                .problems
                .push(format!("part {number}: a message in a message is not read")),
            Form::Unusable(why) => result.problems.push(format!("part {number}: {why}")),
        }
    }
    result.notes.push(format!(
        "MIME message: {} of configuration, {} scripts",
        documents.len(),
        scripts.len()
    ));
    result.content = match (&mut documents[..], &mut scripts[..]) {
        ([], []) => None,
        ([(_, one)], []) | ([], [(_, one)]) => Some(std::mem::take(one)),
        _ => Some(join(&documents, &scripts, &mut result.problems)),
    };
}

/// What a part is: by its type, or by its content where the type says nothing.
fn kind(declared: &str, data: &[u8]) -> Form {
    match declared {
        "text/cloud-config" => match form(data) {
            unusable @ Form::Unusable(_) => unusable,
            _ => Form::Yaml,
        },
        "text/x-shellscript"
        | "text/x-sh"
        | "text/x-shellscript-per-boot"
        | "text/x-shellscript-per-instance"
        | "text/x-shellscript-per-once" => Form::Script,
        ""
        | "text/plain"
        | "application/octet-stream"
        | "application/x-yaml"
        | "text/yaml"
        | "application/yaml"
        | "application/json" => match form(data) {
            // Plain text that is none of the known forms is a note for people.
            Form::Yaml if declared == "text/plain" && !is_mapping(data) => {
                Form::Unusable("plain text that is no configuration")
            }
            form => form,
        },
        "text/x-include-url" | "text/x-include-once-url" => Form::Unusable(UNUSABLE[0].1),
        "text/cloud-boothook" => Form::Unusable(UNUSABLE[1].1),
        "text/part-handler" => Form::Unusable(UNUSABLE[2].1),
        "text/cloud-config-archive" => Form::Unusable(UNUSABLE[4].1),
        "text/cloud-config-jsonp" => Form::Unusable(UNUSABLE[5].1),
        "text/jinja2" => Form::Unusable(UNUSABLE[6].1),
        _ => Form::Unusable("a part of a type that is not known"),
    }
}

fn is_mapping(data: &[u8]) -> bool {
    untyped(data).is_ok_and(|value| value.is_object())
}

/// Joins configurations as later sources are merged over earlier ones, and appends scripts.
fn join(
    documents: &[(usize, Vec<u8>)],
    scripts: &[(usize, Vec<u8>)],
    problems: &mut Vec<String>,
) -> Vec<u8> {
    let mut all = Map::new();
    for (number, data) in documents {
        match in_dialect(data, Dialect::Go) {
            Ok(Json::Object(map)) => merge(&mut all, map, 0),
            Ok(Json::Null) => {}
            Ok(_) => problems.push(format!("part {number}: not a mapping at its top level")),
            Err(why) => problems.push(format!("part {number}: {why}")),
        }
    }
    for (number, data) in scripts {
        let path = format!("{SCRIPTS}/part-{number}");
        append(
            &mut all,
            "write_files",
            match std::str::from_utf8(data) {
                Ok(text) => {
                    json!({"path": path, "owner": "root", "permissions": "0700", "content": text})
                }
                Err(_) => json!({"path": path, "owner": "root", "permissions": "0700",
                    "encoding": "b64", "content": base64(data)}),
            },
        );
        append(&mut all, "run_cmd", json!(path));
    }
    // JSON is YAML, and maps of text keys always serialise.
    serde_json::to_vec_pretty(&all).unwrap_or_default()
}

fn base64(data: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(data)
}

/// Keys of other spellings are one key (k3OS): case, underscores, singular.
fn normal(key: &str) -> String {
    let key: String = key
        .chars()
        .filter(|letter| *letter != '_')
        .flat_map(char::to_lowercase)
        .collect();
    match key.strip_suffix('s') {
        Some(singular) => singular.to_owned(),
        None => key,
    }
}

/// `k3os` and `k3os.install` merge key by key; all else is replaced.
fn merge(below: &mut Map<String, Json>, above: Map<String, Json>, depth: usize) {
    for (key, value) in above {
        let section = matches!((depth, normal(&key).as_str()), (0, "k3o") | (1, "install"));
        let same = below
            .keys()
            .find(|other| normal(other) == normal(&key))
            .cloned();
        match (same.and_then(|same| below.remove(&same)), value) {
            (Some(Json::Object(mut old)), Json::Object(new)) if section => {
                merge(&mut old, new, depth + 1);
                below.insert(key, Json::Object(old));
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn append(all: &mut Map<String, Json>, key: &str, item: Json) {
    let same = all
        .keys()
        .find(|other| normal(other) == normal(key))
        .cloned()
        .unwrap_or_else(|| key.to_owned());
    match all.entry(same).or_insert_with(|| json!([])) {
        Json::Array(items) => items.push(item),
        // One item in place of a list is a list of one (k3OS).
        one if !one.is_null() => *one = json!([one.take(), item]),
        nothing => *nothing = json!([item]),
    }
}
