//! What is wrong with a file, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a file: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is used all the same.
    Warning,
    /// The file is not used.
    Error,
}

/// One thing that is wrong with a file.
///
/// Shown as `FILE:LINE:COLUMN: KEY: MESSAGE`; `{:#}` adds the hint on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, such as `image.files[0].mode`; empty for the whole file.
    pub path: String,
    /// How bad it is.
    pub severity: Severity,
    /// The kind of finding, stable over versions, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong and what would be right, in one line.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) if f.alternate() => write!(f, "\n  hint: {hint}"),
            _ => Ok(()),
        }
    }
}

impl Finding {
    /// Puts the key path as it is written: each pair is a path and what is shown for it.
    pub(crate) fn show_as(&mut self, moved: &[(String, String)]) {
        if let Some(path) = shown_as(&self.path, moved) {
            self.path = path;
        }
    }
}

/// What is shown for a key path, if it is something else.
pub(crate) fn shown_as(path: &str, moved: &[(String, String)]) -> Option<String> {
    moved.iter().find_map(|(from, to)| {
        let rest = path.strip_prefix(from.as_str())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{to}{rest}"))
    })
}

/// Everything that is wrong with one file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding:#}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

impl From<Vec<Finding>> for Findings {
    fn from(findings: Vec<Finding>) -> Self {
        Self(findings)
    }
}

/// Collects the findings of one file.
#[derive(Debug)]
pub struct Collector {
    file: String,
    findings: Vec<Finding>,
    errors: usize,
    most: usize,
    /// Key paths that are written elsewhere: `node.token` is `node.k3os.token` in the file.
    moved: Vec<(String, String)>,
}

/// More findings than a person reads: what follows is dropped.
const MOST_FINDINGS: usize = 100;

impl Collector {
    /// No findings yet in `file`.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            findings: Vec::new(),
            errors: 0,
            most: MOST_FINDINGS,
            moved: Vec::new(),
        }
    }

    /// No findings yet in `file`; every one is kept.
    pub fn unlimited(file: &str) -> Self {
        Self {
            most: usize::MAX / 2,
            ..Self::new(file)
        }
    }

    /// Notes one error.
    pub fn add(
        &mut self,
        place: Place,
        path: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.errors += 1;
        if self.errors <= self.most {
            self.note(
                place,
                path.into(),
                Severity::Error,
                code,
                message.into(),
                hint,
            );
        }
    }

    /// Notes something that keeps the file from nothing.
    pub fn warn(
        &mut self,
        place: Place,
        path: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.findings.len() < 2 * self.most {
            self.note(
                place,
                path.into(),
                Severity::Warning,
                code,
                message.into(),
                hint,
            );
        }
    }

    fn note(
        &mut self,
        place: Place,
        path: String,
        severity: Severity,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        self.findings.push(Finding {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            path,
            severity,
            code,
            message,
            hint,
        });
    }

    /// From now on the key path `from` is shown as `to`.
    pub fn show_as(&mut self, from: String, to: String) {
        self.moved.push((from, to));
    }

    /// What is shown as something else.
    pub fn moved(&self) -> &[(String, String)] {
        &self.moved
    }

    /// Whether no error was found.
    pub fn is_empty(&self) -> bool {
        self.errors == 0
    }

    /// The findings in the order of the file.
    pub fn finish(mut self) -> Vec<Finding> {
        for finding in &mut self.findings {
            finding.show_as(&self.moved);
        }
        self.findings
            .sort_by_key(|finding| (finding.line, finding.column));
        self.findings
    }
}

/// The choice that `text` most likely means: the nearest by edits, transpositions counted as
/// one, if at most a third of it differs.
///
/// ```
/// use lifeboat_config::nearest;
/// assert_eq!(nearest("kubernets", ["kernel", "kubernetes"]), Some("kubernetes"));
/// assert_eq!(nearest("1.63", ["1.35", "1.36"]), Some("1.36"));
/// assert_eq!(nearest("colour", ["kernel", "kubernetes"]), None);
/// ```
pub fn nearest<'a>(text: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.chars().count() > 100 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(text);
    choices
        .into_iter()
        .map(|choice| {
            let distance = strsim::damerau_levenshtein(&wanted, &plain(choice));
            (distance, choice)
        })
        .filter(|(distance, choice)| {
            let length = wanted.chars().count().max(choice.chars().count());
            *distance <= (length / 3).max(1) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

/// `; did you mean "x"?` or nothing, to end a message.
pub(crate) fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default()
}

/// `a, b, c`, for messages.
pub(crate) fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Text of a file as it may be shown in a message: quoted, control characters escaped, cut.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
