//! What a merge leaves out, moves or adds.

use crate::TreePath;

/// A file of other packages that is put elsewhere (dpkg-divert(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Where packages bring it, without a leading slash.
    pub from: TreePath,
    /// Where it is put.
    pub to: TreePath,
    /// The package whose own file stays; `:` for none.
    pub by: String,
}

/// Owner and mode of a file, whatever its package says (dpkg-statoverride(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatOverride {
    /// The file, without a leading slash.
    pub path: TreePath,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The low 12 bits of its mode.
    pub mode: u32,
}

/// How packages are merged.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    database: bool,
    rules: Vec<(bool, Vec<u8>)>,
    diversions: Vec<Diversion>,
    overrides: Vec<StatOverride>,
    provided: Vec<String>,
}

impl MergeOptions {
    /// Files only, configuration files in place, as if all were configured that needs it.
    pub fn plain() -> Self {
        Self::default()
    }

    /// As `dpkg --unpack` leaves it: with dpkg's database, in which every package is unpacked
    /// and not configured, and configuration files as `*.dpkg-new`.
    pub fn unpacked() -> Self {
        Self {
            database: true,
            ..Self::default()
        }
    }

    /// Leaves files out whose absolute path matches this pattern (`path-exclude` of dpkg(1):
    /// `*` also stands for slashes). The last rule that matches counts.
    #[must_use]
    pub fn exclude(mut self, pattern: &str) -> Self {
        self.rules.push((true, pattern.as_bytes().to_vec()));
        self
    }

    /// Keeps files whose absolute path matches this pattern, against an earlier rule.
    #[must_use]
    pub fn include(mut self, pattern: &str) -> Self {
        self.rules.push((false, pattern.as_bytes().to_vec()));
        self
    }

    /// Diverts a file.
    #[must_use]
    pub fn divert(mut self, diversion: Diversion) -> Self {
        self.diversions.push(diversion);
        self
    }

    /// Overrides a file's owner and mode.
    #[must_use]
    pub fn stat_override(mut self, given: StatOverride) -> Self {
        self.overrides.push(given);
        self
    }

    /// Lets dpkg take a package name as provided (such as `linux-initramfs-tool`), though no
    /// package here provides it.
    #[must_use]
    pub fn provide(mut self, name: &str) -> Self {
        self.provided.push(name.to_owned());
        self
    }

    pub(super) fn has_database(&self) -> bool {
        self.database
    }

    pub(super) fn diversions(&self) -> &[Diversion] {
        &self.diversions
    }

    pub(super) fn overrides(&self) -> &[StatOverride] {
        &self.overrides
    }

    pub(super) fn provided(&self) -> &[String] {
        &self.provided
    }

    pub(super) fn is_excluded(&self, path: &[u8]) -> bool {
        let absolute = [b"/", path].concat();
        self.rules
            .iter()
            .rev()
            .find(|(_, pattern)| matches(pattern, &absolute))
            .is_some_and(|(exclude, _)| *exclude)
    }
}

/// Whether all of `text` matches a shell pattern of `*`, `?` and `[…]`; `*` stands for any
/// bytes, slashes too.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    // Where to go on when a try fails: behind the last `*`, which then takes one byte more.
    let mut again: Option<(usize, usize)> = None;
    while position < text.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, position));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[at..], text[position]),
            Some(byte) if *byte == text[position] => Some(1),
            _ => None,
        };
        match (step, again) {
            (Some(length), _) => {
                at += length;
                position += 1;
            }
            (None, Some((star, taken))) => {
                again = Some((star, taken + 1));
                (at, position) = (star, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the `[…]` that `pattern` begins with, if it holds `byte`.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = 1 + usize::from(negated);
    let end = start
        + 1
        + pattern
            .get(start + 1..)?
            .iter()
            .position(|byte| *byte == b']')?;
    let mut members = &pattern[start..end];
    let mut found = false;
    while let [first, rest @ ..] = members {
        if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            members = rest;
        } else {
            found |= *first == byte;
            members = rest;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_dpkg_takes_them() {
        let options = MergeOptions::plain()
            .exclude("/usr/share/doc/*")
            .include("/usr/share/doc/*/copyright")
            .exclude("/usr/share/locale/[a-z]?*");
        assert!(options.is_excluded(b"usr/share/doc/a/b/c"));
        assert!(!options.is_excluded(b"usr/share/doc/a/copyright"));
        assert!(!options.is_excluded(b"usr/share/doc"));
        assert!(options.is_excluded(b"usr/share/locale/de"));
        assert!(!options.is_excluded(b"usr/share/locale/X"));
    }

    proptest! {
        #[test]
        fn any_pattern_is_taken_without_a_panic(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text);
        }

        #[test]
        fn text_matches_itself_with_stars_in_it(text in "[a-z/]{0,20}", at: prop::sample::Index) {
            let at = at.index(text.len() + 1);
            let pattern = format!("{}*{}", &text[..at], &text[at..]);
            prop_assert!(matches(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
