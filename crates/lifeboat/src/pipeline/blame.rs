//! Which value of the definition is behind what a later step found, and where it is written.

use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use lifeboat_archive::{ResolveError, Unsolvable};
use lifeboat_config::{Finding, Findings, nearest};
use lifeboat_image::{AssembleError, Part};
use lifeboat_payload::ReadImagesError;

use crate::definition::Loaded;

/// Looks whether the files that the definition names can be read, before anything is fetched
/// for it.
///
/// # Errors
/// All that cannot, each at its place.
pub fn check_files(loaded: &Loaded) -> Result<()> {
    let image = &loaded.definition.image;
    let sources = image.files.iter().enumerate().filter_map(|(index, file)| {
        let source = file.source.as_ref()?;
        let key = format!("image.files[{index}].source");
        unreadable(loaded, &key, source.as_str(), Wanted::File)
    });
    let archives = image
        .container_images
        .iter()
        .enumerate()
        .filter_map(|(index, path)| {
            let key = format!("image.container_images[{index}]");
            unreadable(loaded, &key, path.as_str(), Wanted::FileOrFolder)
        });
    let findings: Vec<Finding> = sources.chain(archives).collect();
    if findings.is_empty() {
        return Ok(());
    }
    Err(Findings(findings).into())
}

/// What a path must lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    File,
    FileOrFolder,
}

fn unreadable(loaded: &Loaded, key: &str, path: &str, wanted: Wanted) -> Option<Finding> {
    let whole = loaded.folder.join(path);
    let opened = fs::metadata(&whole).and_then(|metadata| {
        if metadata.is_dir() {
            return Ok(wanted == Wanted::FileOrFolder);
        }
        // A pipe or a device would never end.
        fs::File::open(&whole).map(|_| metadata.is_file())
    });
    let why = match opened {
        Ok(true) => return None,
        Ok(false) if wanted == Wanted::File => "is not a file".to_owned(),
        Ok(false) => "is neither a file nor a folder".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is not there".to_owned(),
        Err(error) => {
            // The path is said already.
            let text = error.to_string();
            let reason = text.rsplit_once("`: ").map_or(&*text, |(_, reason)| reason);
            format!("cannot be read: {reason}")
        }
    };
    let near =
        nearest_file(&whole).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Some(loaded.finding(
        key,
        "unreadable-file",
        format!("`{path}` {why}{near}"),
        Some(format!(
            "paths start in the definition's folder, {}",
            loaded.folder.display()
        )),
    ))
}

/// The name in the folder of a missing file that is most like its own.
fn nearest_file(path: &Path) -> Option<String> {
    if path.exists() {
        return None;
    }
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let name = path.file_name()?.to_str()?;
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// An error of a later step, as a finding about the definition if it is one.
pub fn of(loaded: &Loaded, error: anyhow::Error) -> anyhow::Error {
    let found = None
        .or_else(|| packages(loaded, error.downcast_ref()?))
        .or_else(|| images(loaded, error.downcast_ref()?))
        .or_else(|| sizes(loaded, error.downcast_ref()?));
    match found {
        Some(finding) => Findings(vec![finding]).into(),
        None => error,
    }
}

/// A package of the user's that is not there, or does not go with others.
fn packages(loaded: &Loaded, error: &ResolveError) -> Option<Finding> {
    let ResolveError::Unsolvable(error) = error else {
        return None;
    };
    let packages = &loaded.definition.image.packages;
    let index = packages.iter().position(|package| {
        let name = package.as_str();
        match error {
            Unsolvable::Unknown { name: text, .. } | Unsolvable::NoVersion { wanted: text, .. } => {
                names(text, name)
            }
            Unsolvable::Conflict { reasons } => reasons.iter().any(|text| names(text, name)),
            Unsolvable::Wish(_) => false,
        }
    })?;
    Some(loaded.finding(
        &format!("image.packages[{index}]"),
        "impossible-package",
        error.to_string(),
        error.hint(),
    ))
}

/// Whether a package is named in a text.
fn names(text: &str, package: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    text.split(|letter| !part(letter))
        .any(|word| word.trim_end_matches('.') == package)
}

/// An archive of container images that is damaged, or has what another one has.
fn images(loaded: &Loaded, error: &lifeboat_payload::BuildError) -> Option<Finding> {
    use lifeboat_payload::BuildError;
    let (path, message) = match error {
        BuildError::UserImages(ReadImagesError { path, reason }) => {
            (path, format!("cannot be used: {}", causes(reason)))
        }
        BuildError::Twice { path, .. } => (path, error.to_string()),
        _ => return None,
    };
    let archives = &loaded.definition.image.container_images;
    let index = archives
        .iter()
        .rposition(|archive| loaded.folder.join(archive.as_str()) == *path)?;
    let key = format!("image.container_images[{index}]");
    Some(loaded.finding(&key, "unusable-images", message, None))
}

/// An error with its sources, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A partition that is too small for what it holds.
fn sizes(loaded: &Loaded, error: &lifeboat_image::BuildError) -> Option<Finding> {
    use lifeboat_image::BuildError;
    let (key, least) = match error {
        BuildError::StateSize { needed, .. } => ("image.size.state", *needed),
        BuildError::Assemble(AssembleError::TooSmall { part, least, .. }) => match part {
            Part::Root => ("image.size.slot", *least),
            Part::Uki => ("image.size.esp", *least),
            Part::HashTree => return None,
        },
        _ => return None,
    };
    let hint = format!("at least {}MiB", least.div_ceil(1 << 20));
    Some(loaded.finding(key, "out-of-range", error.to_string(), Some(hint)))
}
