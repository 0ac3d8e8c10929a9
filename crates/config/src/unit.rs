//! Files of systemd's syntax: units, networks. Only as far as sections and assignments.

/// A setting of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting<'a> {
    /// The section's name without brackets.
    pub(crate) section: &'a str,
    /// Its key.
    pub(crate) key: &'a str,
    /// Its value, where it is not continued on another line.
    pub(crate) value: &'a str,
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
    let mut found = Vec::new();
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
        if std::mem::replace(&mut continued, carries_on) || line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').filter(|name| !name.is_empty());
            section = Some(name.ok_or_else(|| refuse("is no section such as [Service]"))?);
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| refuse("is neither a section nor KEY=VALUE"))?;
        if key.trim().is_empty() {
            return Err(refuse("has no key before the `=`"));
        }
        let section = section.ok_or_else(|| refuse("comes before the first section"))?;
        found.push(Setting {
            section,
            key: key.trim(),
            value: value.trim(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_continued_lines() {
        let text = "# x\n[Unit]\nAfter = a.service\n\n[Service]\nExecStart=/bin/x \\\n; no\n  -y=z\nType=simple\n";
        let found = settings(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.section, one.key, one.value))
            .collect();
        assert_eq!(
            found,
            [
                ("Unit", "After", "a.service"),
                ("Service", "ExecStart", "/bin/x \\"),
                ("Service", "Type", "simple"),
            ]
        );
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
