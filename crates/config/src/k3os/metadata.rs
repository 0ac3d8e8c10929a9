//! What a cloud says about the machine.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{
    Change, New,
    config::WriteFile,
    file,
    keys::{Key, Section},
    warning::Warnings,
};

/// Where a script of the user data is written.
const SCRIPT: &str = "/run/k3os/userdata";

fn change(name: &str, new: New) -> Option<Change> {
    let key: &'static Key = Section::Top.find(name)?;
    Some(Change {
        key,
        new,
        place: None,
    })
}

/// A host name: the whole text but the space around it. An empty one says nothing.
pub(super) fn hostname(bytes: &[u8], warnings: &mut Warnings<'_>) -> Vec<Change> {
    let Some(text) = line(bytes) else {
        warnings.unreadable(None, "the host name is not UTF-8 text");
        return Vec::new();
    };
    if text.is_empty() {
        return Vec::new();
    }
    let new = New::Text(text.to_owned());
    change("hostname", new).into_iter().collect()
}

/// SSH keys, one a line. No key says nothing.
pub(super) fn keys(bytes: &[u8], warnings: &mut Warnings<'_>) -> Vec<Change> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut found = Vec::new();
    for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        match line(bytes) {
            Some("") => {}
            Some(text) => found.push(text.to_owned()),
            None => {
                let message = "the key is not UTF-8 text; ignored";
                warnings.add(None, &index.to_string(), "not-utf-8", message);
            }
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let change = change("ssh_authorized_keys", New::List(found));
    change.into_iter().collect()
}

/// The text of a file or line without the space around it.
fn line(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text.trim())
}

/// A script, or a configuration file.
pub(super) fn userdata(bytes: &[u8], warnings: &mut Warnings<'_>) -> Vec<Change> {
    if !bytes.starts_with(b"#!") {
        return file::read(bytes, warnings);
    }
    // k3OS knew binary data by its zero bytes.
    let (content, encoding) = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => (text.to_owned(), ""),
        _ => (BASE64.encode(bytes), "b64"),
    };
    let script = WriteFile {
        path: SCRIPT.to_owned(),
        content,
        encoding: encoding.to_owned(),
        owner: "root".to_owned(),
        permissions: "0700".to_owned(),
    };
    let changes = [
        change("write_files", New::Files(vec![script])),
        change("run_cmd", New::List(vec![format!("source {SCRIPT}")])),
    ];
    changes.into_iter().flatten().collect()
}
