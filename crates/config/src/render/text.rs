//! Emitters: values to the text of a format, whatever the values hold.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

/// Escapes what JSON allows raw in text and YAML does not: the result is both.
pub(crate) fn yaml_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(safe, "\\u{:04x}", u32::from(letter));
            }
            _ => safe.push(letter),
        }
    }
    safe
}

/// Text in double quotes, valid in YAML and JSON.
fn quoted(text: &str) -> String {
    yaml_safe(&Json::from(text).to_string())
}

/// Indented JSON with a line end.
pub(super) fn json(value: &Json) -> String {
    format!("{value:#}\n")
}

/// YAML documents, separated by `---`.
pub(super) fn yaml_documents<'a>(documents: impl IntoIterator<Item = &'a Json>) -> String {
    let documents: Vec<String> = documents.into_iter().map(yaml).collect();
    documents.join("---\n")
}

/// A YAML document in block style, with a line end. Read alike by YAML 1.1 and 1.2 readers.
pub fn yaml(value: &Json) -> String {
    let mut text = String::new();
    yaml_value(&mut text, value, 0, false);
    if text.starts_with('\n') {
        text.remove(0);
    }
    text
}

/// Writes ` VALUE\n`, or `\n` and a block; `in_list` puts a block's first line after a `-`.
fn yaml_value(text: &mut String, value: &Json, indent: usize, in_list: bool) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                lead(text, indent, in_list && index == 0);
                text.push_str(&yaml_text(key));
                text.push(':');
                yaml_value(text, value, indent + 2, false);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            // A list may stand at its key's own column.
            let indent = if in_list {
                indent
            } else {
                indent.saturating_sub(2)
            };
            for (index, item) in items.iter().enumerate() {
                lead(text, indent, in_list && index == 0);
                text.push('-');
                yaml_value(text, item, indent + 2, true);
            }
        }
        Json::Object(_) => end(text, "{}"),
        Json::Array(_) => end(text, "[]"),
        Json::String(words) if literal(words) => {
            text.push_str(" |\n");
            for line in words.lines() {
                if !line.is_empty() {
                    let _ = write!(text, "{:indent$}{line}", "", indent = indent.max(2));
                }
                text.push('\n');
            }
        }
        Json::String(words) => end(text, &yaml_text(words)),
        Json::Null | Json::Bool(_) | Json::Number(_) => end(text, &value.to_string()),
    }
}

fn lead(text: &mut String, indent: usize, after_dash: bool) {
    if after_dash {
        text.push(' ');
        return;
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let _ = write!(text, "{:indent$}", "");
}

fn end(text: &mut String, value: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push(' ');
    }
    text.push_str(value);
    text.push('\n');
}

/// Whether a text can stand in a literal block and come back the same.
fn literal(text: &str) -> bool {
    let fine = |letter: char| {
        letter == '\n'
            || !letter.is_control()
                && !matches!(
                    letter,
                    '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                )
    };
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && text.chars().all(fine)
        && text
            .lines()
            .all(|line| line.is_empty() || !line.trim_end().is_empty())
}

/// Text plain where every reader takes it as text, else in double quotes.
fn yaml_text(text: &str) -> String {
    const WORDS: [&str; 10] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~",
    ];
    let plain = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// A TOML document.
pub(super) fn toml(root: &Map<String, Json>) -> String {
    let mut text = String::new();
    toml_table(&mut text, root, "");
    text.trim_start().to_owned()
}

fn toml_table(text: &mut String, table: &Map<String, Json>, path: &str) {
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_object());
    if !path.is_empty() && (!values.is_empty() || tables.is_empty()) {
        let _ = write!(text, "\n[{path}]\n");
    }
    for (key, value) in values {
        let _ = writeln!(text, "{} = {}", toml_key(key), toml_value(value));
    }
    for (key, value) in tables {
        let key = toml_key(key);
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        if let Some(table) = value.as_object() {
            toml_table(text, table, &path);
        }
    }
}

fn toml_key(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

fn toml_value(value: &Json) -> String {
    match value {
        // A JSON text is a TOML basic string once DEL is escaped (toml.io, "String").
        Json::String(text) => quoted(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        // Only in lists: elsewhere a mapping is a table of its own.
        Json::Object(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml_value(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A value in a systemd unit or configuration file: specifiers escaped, quoted where a blank,
/// quote or backslash would split or change it (systemd.syntax(7)).
pub(super) fn systemd_word(text: &str) -> String {
    let escaped = text.replace('%', "%%");
    let plain = !escaped.is_empty()
        && escaped.chars().all(|letter| {
            letter.is_ascii_graphic() && !matches!(letter, '"' | '\'' | '\\' | ';' | '#')
        });
    if plain {
        escaped
    } else {
        let escaped = escaped.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    }
}

/// A value of an environment file in single quotes: read alike, without expansion, by shells,
/// systemd's `EnvironmentFile=` and `pam_env`.
pub(super) fn environment_value(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A value of `/etc/environment`, which PAM reads and scripts source. PAM takes away the quotes
/// around a value and knows no escapes: a value with single quotes, and with nothing that a
/// shell expands, stands in double quotes, where both read the same. In all else single quotes;
/// there PAM shows the quotes' escapes, and cuts what follows a `#`.
pub(super) fn login_value(text: &str) -> String {
    if text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
        format!("\"{text}\"")
    } else {
        environment_value(text)
    }
}

/// A value of a unit file that is taken as it is, but for specifiers.
pub(super) fn unit_value(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word of a command line in a unit file.
pub(super) fn exec_word(text: &str) -> String {
    systemd_word(text).replace('$', "$$")
}
