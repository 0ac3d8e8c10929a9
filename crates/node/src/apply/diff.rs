//! What changes look like for a person, without secrets.

use std::fmt::Write as _;

use lifeboat_config::NodeConfig;
use similar::TextDiff;

use super::state::{Change, NewFile, Place, Subject};

/// Paths of which nobody wants to hear: what Lifeboat keeps for itself.
const OWN: [&str; 3] = [
    "/run/lifeboat/",
    "/var/lib/lifeboat/cache/",
    "/var/lib/lifeboat/ssh/",
];
/// Text of more bytes is not compared line by line.
const MOST_BYTES: usize = 1 << 20;

/// Texts that are never shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Those of a configuration.
    pub fn of(config: &NodeConfig) -> Self {
        let mut secrets = Self::default();
        secrets.add(config);
        secrets
    }

    /// Adds those of another one: what it had is shown as well.
    pub fn add(&mut self, config: &NodeConfig) {
        let secrets = &mut self.0;
        secrets.extend(config.password.iter().map(|text| text.as_str().to_owned()));
        secrets.extend(config.token.iter().map(|text| text.as_str().to_owned()));
        secrets.extend(
            config
                .wifi
                .iter()
                .filter_map(|wifi| Some(wifi.passphrase.as_ref()?.as_str().to_owned())),
        );
        secrets.extend(config.k3s_args.iter().filter_map(|argument| {
            let (name, value) = argument.as_str().split_once('=')?;
            (name.contains("token") || name.contains("secret")).then(|| value.to_owned())
        }));
        secrets.extend(config.k3s_args.windows(2).filter_map(|pair| {
            let name = pair[0].as_str();
            (name.contains("token") || name.contains("secret")).then(|| pair[1].as_str().to_owned())
        }));
        secrets.extend(config.environment.iter().filter_map(|(name, value)| {
            let name = name.as_str().to_ascii_lowercase();
            let secret = ["token", "secret", "password", "passwd", "key", "credential"]
                .iter()
                .any(|word| name.contains(word));
            secret.then(|| value.as_str().to_owned())
        }));
        secrets.extend(config.registries.configs.values().flat_map(|access| {
            let auth = access.auth.as_ref();
            let texts = auth.map(|auth| [auth.password.as_ref(), auth.token.as_ref()]);
            let texts = texts.into_iter().flatten().flatten();
            texts.map(|text| text.as_str().to_owned())
        }));
        // Anything shorter would hide half of the text.
        secrets.retain(|secret| secret.len() >= 4);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The text without them.
    pub fn hidden(&self, text: &str) -> String {
        let mut text = without_passwords(text);
        for secret in &self.0 {
            text = text.replace(secret.as_str(), "…");
        }
        text
    }
}

/// The text without the passwords of URLs: `http://user:password@host`.
fn without_passwords(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|letter: char| letter == '/' || letter.is_whitespace() || letter == '"')
            .unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') => {
                let user = user.split(':').next().unwrap_or_default();
                let _ = write!(out, "{user}:…@{host}");
            }
            _ => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The changes as unified diffs and lines. Of several of one thing the first state before and
/// the last one after count.
pub(crate) fn show(changes: &[Change], secrets: &Secrets) -> String {
    let mut text = String::new();
    for change in folded(changes) {
        // Writing to a String does not fail.
        let _ = match &change.subject {
            Subject::Path(path) if OWN.iter().any(|own| path.starts_with(own)) => Ok(()),
            Subject::Path(path) => write!(text, "{}", path_change(path, &change, secrets)),
            Subject::Setting(name) => writeln!(
                text,
                "sysctl {name}: {} -> {}",
                value(&change.before),
                value(&change.after)
            ),
            Subject::HostName => writeln!(
                text,
                "hostname: {} -> {}",
                value(&change.before),
                value(&change.after)
            ),
            Subject::Module(name) => {
                writeln!(text, "module {name}: load {}", value(&change.after))
            }
        };
    }
    secrets.hidden(&text)
}

/// One change for each thing.
pub(crate) fn folded(changes: &[Change]) -> Vec<Change> {
    let mut folded: Vec<Change> = Vec::new();
    for change in changes {
        match folded
            .iter_mut()
            .find(|other| other.subject == change.subject)
        {
            Some(other) => other.after = change.after.clone(),
            None => folded.push(change.clone()),
        }
    }
    folded.retain(|change| change.before != change.after);
    folded
}

fn value(place: &Place) -> String {
    match place {
        Place::File(file) => String::from_utf8_lossy(&file.bytes).into_owned(),
        _ => String::new(),
    }
}

fn path_change(path: &str, change: &Change, secrets: &Secrets) -> String {
    let mut text = String::new();
    let (before, after) = (&change.before, &change.after);
    let _ = writeln!(
        text,
        "{path}: {} -> {}",
        described(before),
        described(after)
    );
    let old = content(before);
    let new = content(after);
    let (Some(old), Some(new)) = (old, new) else {
        return text;
    };
    if old == new {
        return text;
    }
    if is_private(path, before) || is_private(path, after) {
        let _ = writeln!(
            text,
            "  its content is not shown, as not everybody may read it"
        );
        return text;
    }
    // Before the lines are compared, so that nothing of a secret is left over.
    match (readable(old), readable(new)) {
        (Some(old), Some(new)) => {
            let (old, new) = (secrets.hidden(old), secrets.hidden(new));
            let diff = TextDiff::from_lines(&old, &new);
            let _ = write!(
                text,
                "{}",
                diff.unified_diff()
                    .context_radius(3)
                    .header(&format!("a{path}"), &format!("b{path}"))
            );
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        _ => {
            let _ = writeln!(text, "  binary: {} bytes -> {} bytes", old.len(), new.len());
        }
    }
    text
}

fn content(place: &Place) -> Option<&[u8]> {
    match place {
        Place::Nothing => Some(b""),
        Place::File(file) => Some(&file.bytes),
        _ => None,
    }
}

fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (bytes.len() <= MOST_BYTES && !text.contains('\0')).then_some(text)
}

fn is_private(path: &str, place: &Place) -> bool {
    // Public keys are public, although only their owner may read the file.
    if path.starts_with("/etc/ssh/authorized_keys.d/") {
        return false;
    }
    ["/etc/shadow", "/etc/gshadow"].contains(&path)
        || matches!(place, Place::File(NewFile { mode, .. }) if mode & 0o004 == 0)
}

fn described(place: &Place) -> String {
    match place {
        Place::Nothing => "nothing".to_owned(),
        Place::File(NewFile { mode, uid, gid, .. }) => format!("file {mode:04o} {uid}:{gid}"),
        Place::Large { size } => format!("file of {size} bytes"),
        Place::Link(target) => format!("link to {target}"),
        Place::Folder { mode, uid, gid } => format!("folder {mode:04o} {uid}:{gid}"),
        Place::Other => "device or socket".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, before: Place, after: Place) -> Change {
        Change {
            subject: Subject::Path(path.to_owned()),
            before,
            after,
        }
    }

    fn file(text: &str, mode: u32) -> Place {
        Place::File(NewFile::new(text, mode))
    }

    #[test]
    fn text_is_compared_by_lines_and_secrets_are_hidden() {
        let secrets = Secrets(vec!["hunter2".to_owned()]);
        let changes = [
            change("/etc/a", Place::Nothing, file("x=hunter1\n", 0o644)),
            change(
                "/etc/a",
                file("x=hunter1\n", 0o644),
                file("x=hunter2\n", 0o644),
            ),
            change(
                "/etc/b",
                file("p=http://me:secret@h/\nsame\n", 0o644),
                file("p=http://me:other@h/\nsame\nmore\n", 0o600),
            ),
            change(
                "/etc/c",
                file("one\nproxy http://me:secret@h/\n", 0o644),
                file("two\nproxy http://me:secret@h/\n", 0o644),
            ),
            change("/etc/d", file("x", 0o644), file("x", 0o644)),
            change("/run/lifeboat/x", Place::Nothing, file("x", 0o644)),
            Change {
                subject: Subject::Setting("kernel/printk".to_owned()),
                before: file("4 4 1 7", 0o644),
                after: file("3 4 1 7", 0o644),
            },
        ];
        assert_eq!(
            show(&changes, &secrets),
            "/etc/a: nothing -> file 0644 0:0\n\
             --- a/etc/a\n+++ b/etc/a\n@@ -0,0 +1 @@\n+x=…\n\
             /etc/b: file 0644 0:0 -> file 0600 0:0\n  its content is not shown, as not everybody may read it\n\
             /etc/c: file 0644 0:0 -> file 0644 0:0\n\
             --- a/etc/c\n+++ b/etc/c\n@@ -1,2 +1,2 @@\n-one\n+two\n proxy http://me:…@h/\n\
             sysctl kernel/printk: 4 4 1 7 -> 3 4 1 7\n"
        );
    }
}
