//! Files of systemd's syntax: units, networks. Only as far as sections and assignments.

use std::fmt::Write as _;

/// A setting of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<'a> {
    /// The section's name without brackets.
    pub(crate) section: &'a str,
    /// Its key.
    pub(crate) key: &'a str,
    /// Its value; lines that it goes on in are joined by blanks.
    pub(crate) value: String,
}

/// Text that systemd would not read whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub(crate) struct UnreadableUnit {
    line: usize,
    what: &'static str,
}

/// The settings of a file in their order (systemd.syntax(7)).
pub(crate) fn settings(text: &str) -> Result<Vec<Setting<'_>>, UnreadableUnit> {
    let mut found: Vec<Setting<'_>> = Vec::new();
    let mut section = None;
    let mut continued = false;
    for (index, whole) in text.lines().enumerate() {
        let refuse = |what| UnreadableUnit {
            line: index + 1,
            what,
        };
        if whole.contains('\0') {
            return Err(refuse("has a NUL byte"));
        }
        let line = whole.trim();
        // A comment between continued lines is left out of them.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let carries_on = line.ends_with('\\');
        let body = line.strip_suffix('\\').unwrap_or(line).trim_end();
        if std::mem::replace(&mut continued, carries_on) {
            if let Some(last) = found.last_mut() {
                last.value.push(' ');
                last.value.push_str(body);
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').filter(|name| !name.is_empty());
            section = Some(name.ok_or_else(|| refuse("is no section such as [Service]"))?);
            continue;
        }
        let (key, value) = body
            .split_once('=')
            .ok_or_else(|| refuse("is neither a section nor KEY=VALUE"))?;
        if key.trim().is_empty() {
            return Err(refuse("has no key before the `=`"));
        }
        let section = section.ok_or_else(|| refuse("comes before the first section"))?;
        found.push(Setting {
            section,
            key: key.trim(),
            value: value.trim().to_owned(),
        });
    }
    if continued {
        return Err(UnreadableUnit {
            line: text.lines().count(),
            what: "ends with a backslash, and nothing follows",
        });
    }
    Ok(found)
}

/// The name of the unit for a path (systemd-escape(1), `--path`).
pub(crate) fn name_of_path(path: &str) -> String {
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() {
        return "-".to_owned();
    }
    let mut name = String::new();
    for (index, byte) in trimmed.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if index == 0 => name.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                name.push(char::from(byte));
            }
            _ => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_continued_lines() {
        let text = "# x\n[Unit]\nAfter = a.service\n\n[Service]\nExecStart=/bin/x \\\n; no\n  -y=z\nType=simple\n";
        let found = settings(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.section, one.key, one.value.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("Unit", "After", "a.service"),
                ("Service", "ExecStart", "/bin/x -y=z"),
                ("Service", "Type", "simple"),
            ]
        );
    }

    #[test]
    fn names_of_paths() {
        // As systemd-escape --path prints them.
        for (path, name) in [
            ("/", "-"),
            ("/var/lib/x-y", "var-lib-x\\x2dy"),
            ("/.a/b.c", "\\x2ea-b.c"),
            ("/a b/é", "a\\x20b-\\xc3\\xa9"),
        ] {
            assert_eq!(name_of_path(path), name);
        }
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let wrong = |text| settings(text).unwrap_err().to_string();
        assert_eq!(wrong("A=b"), "line 1 comes before the first section");
        assert_eq!(wrong("[A]\nb"), "line 2 is neither a section nor KEY=VALUE");
        assert_eq!(wrong("[A"), "line 1 is no section such as [Service]");
        assert_eq!(
            wrong("[A]\nb=\\"),
            "line 2 ends with a backslash, and nothing follows"
        );
    }
}
