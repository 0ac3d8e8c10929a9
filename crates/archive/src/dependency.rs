//! Fields that name other packages: `Depends`, `Provides`, `Conflicts` (deb-control(5)).

use std::{cmp::Ordering, fmt};

use crate::version::compare;

/// How a version has to compare with the one named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relation {
    /// Whether `version` stands in this relation to `named`.
    pub fn holds(self, version: &str, named: &str) -> bool {
        let order = compare(version, named);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

/// One package that a field names, `name[:qualifier] [(relation version)]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dependency<'a> {
    /// The package or what is provided.
    pub name: &'a str,
    /// What follows a colon after the name: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// Which versions of it.
    pub version: Option<(Relation, &'a str)>,
}

impl fmt::Display for Dependency<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((relation, version)) = self.version {
            write!(f, " ({relation} {version})")?;
        }
        Ok(())
    }
}

/// A field that does not have the form of deb-control(5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a dependency: {reason}")]
pub struct DependencyError {
    text: String,
    reason: &'static str,
}

/// Reads a field: all of the outer list is wanted, any one of each inner list will do.
/// Entries restricted to other architectures than `architecture` (`[arm64]`, `[!amd64]`) and
/// build profiles are left out.
///
/// # Errors
/// [`DependencyError`] naming the entry that is none.
pub fn parse_dependencies<'a>(
    field: &'a str,
    architecture: &str,
) -> Result<Vec<Vec<Dependency<'a>>>, DependencyError> {
    let mut all = Vec::new();
    for group in field.split(',') {
        if group.trim_ascii().is_empty() {
            continue;
        }
        let mut alternatives = Vec::new();
        for entry in group.split('|') {
            if let Some(dependency) = parse_entry(entry.trim_ascii(), architecture)? {
                alternatives.push(dependency);
            }
        }
        if !alternatives.is_empty() {
            all.push(alternatives);
        }
    }
    Ok(all)
}

fn parse_entry<'a>(
    entry: &'a str,
    architecture: &str,
) -> Result<Option<Dependency<'a>>, DependencyError> {
    let fail = |reason| DependencyError {
        text: entry.to_owned(),
        reason,
    };
    let end = entry
        .bytes()
        .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-._:".contains(&byte)))
        .unwrap_or(entry.len());
    let (full_name, mut rest) = (&entry[..end], entry[end..].trim_ascii_start());
    let (name, qualifier) = match full_name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (full_name, None),
    };
    if name.is_empty() || qualifier == Some("") {
        return Err(fail("a package name is missing"));
    }
    let mut version = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (inner, after) = inner
            .split_once(')')
            .ok_or_else(|| fail("`)` is missing"))?;
        let inner = inner.trim_ascii();
        let operator = inner
            .bytes()
            .position(|byte| !b"<=>".contains(&byte))
            .unwrap_or(inner.len());
        let relation = match &inner[..operator] {
            "<<" => Relation::Earlier,
            // The old forms `<` and `>` mean the same as `<=` and `>=`.
            "<=" | "<" => Relation::EarlierOrEqual,
            "=" => Relation::Equal,
            ">=" | ">" => Relation::LaterOrEqual,
            ">>" => Relation::Later,
            _ => return Err(fail("its version needs one of `<<`, `<=`, `=`, `>=`, `>>`")),
        };
        let named = inner[operator..].trim_ascii();
        if named.is_empty() || named.contains(char::is_whitespace) {
            return Err(fail("a version is missing"));
        }
        version = Some((relation, named));
        rest = after.trim_ascii_start();
    }
    let mut wanted = true;
    if let Some(inner) = rest.strip_prefix('[') {
        let (inner, after) = inner
            .split_once(']')
            .ok_or_else(|| fail("`]` is missing"))?;
        let mut restrictions = inner.split_ascii_whitespace().peekable();
        let negated = restrictions
            .peek()
            .is_some_and(|name| name.starts_with('!'));
        let named = restrictions.any(|name| {
            let name = name.strip_prefix('!').unwrap_or(name);
            name == architecture
                || matches!(name, "any" | "linux-any")
                || name.strip_prefix("any-") == Some(architecture)
        });
        wanted = named != negated;
        rest = after.trim_ascii_start();
    }
    while let Some(inner) = rest.strip_prefix('<') {
        rest = inner
            .split_once('>')
            .ok_or_else(|| fail("`>` is missing"))?
            .1
            .trim_ascii_start();
    }
    if !rest.is_empty() {
        return Err(fail("something follows it; is a comma missing?"));
    }
    Ok(wanted.then_some(Dependency {
        name,
        qualifier,
        version,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(field: &str) -> Vec<String> {
        parse_dependencies(field, "amd64")
            .unwrap()
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" | ")
            })
            .collect()
    }

    #[test]
    fn the_forms_of_deb_control() {
        assert_eq!(
            shown("libc6 (>=2.38), a:any|b (<< 1:2~) | c [amd64 arm64],\n d(= 1), , e <!nocheck>"),
            ["libc6 (>= 2.38)", "a:any | b (<< 1:2~) | c", "d (= 1)", "e"]
        );
        assert_eq!(
            shown("a [arm64], b [!amd64], c [!arm64], d [linux-any] | x [i386]"),
            ["c", "d"]
        );
        assert_eq!(shown("   "), Vec::<String>::new());
    }

    #[test]
    fn other_forms_are_refused() {
        for field in [
            "a b", "a (1)", "a (>= )", "a (>= 1", "|a", "a [x", "(>= 1)", "a:",
        ] {
            assert!(parse_dependencies(field, "amd64").is_err(), "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_written_dependency_reads_back(
            name in "[a-z][a-z0-9+.-]{1,8}", version in "[0-9][a-z0-9.~]{0,4}", relation in 0..5usize,
        ) {
            let relation = [Relation::Earlier, Relation::EarlierOrEqual, Relation::Equal,
                Relation::LaterOrEqual, Relation::Later][relation];
            let one = Dependency { name: &name, qualifier: None, version: Some((relation, &version)) };
            let text = format!("{one}, {one} | {one}");
            prop_assert_eq!(
                parse_dependencies(&text, "amd64").unwrap(),
                vec![vec![one.clone()], vec![one.clone(), one.clone()]]
            );
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = parse_dependencies(&text, "amd64");
        }
    }
}
