//! Packages that a repository offers, and the fast reader of its indices.

use crate::{
    Digest, Paragraph,
    deb822::{ParagraphError, Paragraphs},
};

/// How important a package is (Debian Policy 2.5). Smaller is more important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Needed for the packaging system itself to work.
    Required,
    /// What one expects on any Unix.
    Important,
    /// A small text-mode system.
    Standard,
    /// Everything else.
    #[default]
    Optional,
}

/// What the `Multi-Arch` field says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultiArch {
    /// `no`, or no field.
    #[default]
    No,
    /// `same`: may be there once for each architecture.
    Same,
    /// `foreign`: does its service for every architecture.
    Foreign,
    /// `allowed`: a dependency may ask for `:any`.
    Allowed,
}

/// One package of an index; all text is a slice of the index.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version, compared with [`crate::Version`]'s order.
    pub version: &'a str,
    /// `amd64`, `all`.
    pub architecture: &'a str,
    /// Path of the file, relative to the repository's URL.
    pub filename: &'a str,
    /// Size of the file in bytes.
    pub size: u64,
    /// The source package, without a version; the package's own name if none is given.
    pub source: &'a str,
    /// `Essential: yes`.
    pub essential: bool,
    /// Its `Priority`.
    pub priority: Priority,
    /// Its `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// The `Pre-Depends` field, unread.
    pub pre_depends: &'a str,
    /// The `Depends` field, unread.
    pub depends: &'a str,
    /// The `Provides` field, unread.
    pub provides: &'a str,
    /// The `Conflicts` field, unread.
    pub conflicts: &'a str,
    /// The `Breaks` field, unread.
    pub breaks: &'a str,
    /// Place of its repository in the list that was asked for.
    pub repository: usize,
    sha256: &'a str,
}

/// An index that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is not deb822.
    #[error(transparent)]
    Paragraph(#[from] ParagraphError),
    /// A package lacks a field, or the field's value is of no use.
    #[error("the package `{package}` on line {line} has no usable `{field}`")]
    Field {
        /// The package, if it says its name.
        package: String,
        /// Where its paragraph starts, counted from 1.
        line: usize,
        /// The field.
        field: &'static str,
    },
}

impl<'a> Package<'a> {
    /// The digest of the package's file.
    ///
    /// # Errors
    /// [`IndexError::Field`] if the index gives no SHA-256.
    pub fn sha256(&self) -> Result<Digest, IndexError> {
        self.sha256.parse().map_err(|_| IndexError::Field {
            package: self.name.to_owned(),
            line: 0,
            field: "SHA256",
        })
    }

    fn of_paragraph(paragraph: &Paragraph<'a>, repository: usize) -> Result<Self, IndexError> {
        let mut package = Self {
            name: "",
            version: "",
            architecture: "",
            filename: "",
            size: 0,
            source: "",
            essential: false,
            priority: Priority::Optional,
            multi_arch: MultiArch::No,
            pre_depends: "",
            depends: "",
            provides: "",
            conflicts: "",
            breaks: "",
            repository,
            sha256: "",
        };
        for &(field, value) in paragraph.fields() {
            match field {
                "Package" => package.name = value,
                "Version" => package.version = value,
                "Architecture" => package.architecture = value,
                "Filename" => package.filename = value.strip_prefix("./").unwrap_or(value),
                "Size" => package.size = value.parse().unwrap_or(0),
                "SHA256" => package.sha256 = value,
                "Source" => package.source = value.split(' ').next().unwrap_or(value),
                "Essential" => package.essential = value == "yes",
                "Priority" => {
                    package.priority = match value {
                        "required" => Priority::Required,
                        "important" => Priority::Important,
                        "standard" => Priority::Standard,
                        _ => Priority::Optional,
                    }
                }
                "Multi-Arch" => {
                    package.multi_arch = match value {
                        "same" => MultiArch::Same,
                        "foreign" => MultiArch::Foreign,
                        "allowed" => MultiArch::Allowed,
                        _ => MultiArch::No,
                    }
                }
                "Pre-Depends" => package.pre_depends = value,
                "Depends" => package.depends = value,
                "Provides" => package.provides = value,
                "Conflicts" => package.conflicts = value,
                "Breaks" => package.breaks = value,
                _ => {}
            }
        }
        if package.source.is_empty() {
            package.source = package.name;
        }
        // A path that leaves the repository would end up in a URL, a version in a file name.
        let leaves = package.filename.starts_with('/')
            || package.filename.contains("://")
            || package.filename.split('/').any(|part| part == "..");
        for (bad, field) in [
            (!is_name(package.name), "Package"),
            (
                package.version.parse::<crate::Version>().is_err(),
                "Version",
            ),
            (package.architecture.is_empty(), "Architecture"),
            (package.filename.is_empty() || leaves, "Filename"),
            (package.size == 0, "Size"),
            (package.sha256.len() != 64, "SHA256"),
        ] {
            if bad {
                return Err(IndexError::Field {
                    package: package.name.to_owned(),
                    line: paragraph.line(),
                    field,
                });
            }
        }
        Ok(package)
    }
}

/// Whether `text` is a package name as Debian Policy 5.6.1 allows it, or nearly so: other
/// repositories are less strict about length and upper case.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Reads a `Packages` index; `repository` is noted in each package.
///
/// # Errors
/// [`IndexError`] with the line.
pub fn read_packages(text: &str, repository: usize) -> Result<Vec<Package<'_>>, IndexError> {
    let mut packages = Vec::with_capacity(text.len() / 800);
    let mut paragraphs = Paragraphs::new(text);
    let mut paragraph = Paragraph::default();
    while paragraphs.read(&mut paragraph)? {
        packages.push(Package::of_paragraph(&paragraph, repository)?);
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(extra: &str) -> String {
        format!(
            "Package: one\nVersion: 1\nArchitecture: all\nFilename: ./pool/one.deb\nSize: 7\n\
             SHA256: {}\n{extra}\n",
            Digest::of("one")
        )
    }

    #[test]
    fn fields_of_a_package() {
        let text = index("Source: many (2)\nEssential: yes\nPriority: required\nDepends: x,\n y\n");
        let packages = read_packages(&text, 3).unwrap();
        let one = &packages[0];
        assert_eq!(
            (one.filename, one.source, one.size),
            ("pool/one.deb", "many", 7)
        );
        assert!(one.essential && one.priority == Priority::Required && one.repository == 3);
        assert_eq!(one.depends, "x,\n y");
        assert_eq!(one.sha256().unwrap(), Digest::of("one"));
    }

    #[test]
    fn a_package_that_lacks_a_field_is_named_with_its_line() {
        for (from, to, field) in [
            ("Size: 7", "Size: x", "Size"),
            ("./pool/one.deb", "../../etc/passwd", "Filename"),
            ("./pool/one.deb", "http://elsewhere/one.deb", "Filename"),
            ("Version: 1", "Version: 1 2", "Version"),
            ("Package: one", "Package: ../one", "Package"),
        ] {
            let text = format!("\n{}", index("").replace(from, to));
            let error = read_packages(&text, 0).unwrap_err();
            assert!(
                matches!(&error, IndexError::Field { field: found, line: 2, .. } if *found == field),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String, at in 0..200usize) {
            let _ = read_packages(&text, 0);
            let mut whole = index("Provides: x (= 1)\n");
            let mut at = at.min(whole.len());
            while !whole.is_char_boundary(at) { at -= 1; }
            whole.insert_str(at, &text);
            for package in read_packages(&whole, 0).unwrap_or_default() {
                // Whatever is believed stays below the repository.
                prop_assert!(!package.filename.split('/').any(|part| part == ".."));
                prop_assert!(!package.name.contains('/'));
                let _ = package.sha256();
            }
        }
    }
}
