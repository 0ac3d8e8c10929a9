//! Where a node's configuration comes from.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use fs_err as fs;
use lifeboat_config::{NodeConfig, parse_node};
use serde::{Deserialize, Serialize};

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name: `fw_cfg`, `smbios` or a path.
    pub name: String,
    /// Whether the node's configuration is from it.
    pub used: bool,
    /// What is wrong with it, if it was skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The file that QEMU hands in with `-fw_cfg name=opt/lifeboat/config`.
const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/lifeboat/config/raw";
/// SMBIOS tables of type 11, OEM strings.
const SMBIOS: &str = "/sys/firmware/dmi/entries";
/// The node's own file.
pub(crate) const OWN: &str = "/var/lib/lifeboat/config.yaml";

/// Reads the first source that is there and valid. A bad one is skipped and reported. Without
/// any, a node has the defaults.
pub fn read() -> (NodeConfig, Vec<Source>) {
    choose([
        ("fw_cfg", optional(Path::new(FW_CFG))),
        ("smbios", from_smbios(Path::new(SMBIOS))),
        (OWN, optional(Path::new(OWN))),
    ])
}

fn choose<'a>(
    found: impl IntoIterator<Item = (&'a str, io::Result<Option<Vec<u8>>>)>,
) -> (NodeConfig, Vec<Source>) {
    let mut chosen = None;
    let mut sources = Vec::new();
    for (name, content) in found {
        let mut source = Source {
            name: name.to_owned(),
            used: false,
            problems: Vec::new(),
        };
        match content {
            Ok(None) => continue,
            Err(error) => source.problems.push(error.to_string()),
            Ok(Some(_)) if chosen.is_some() => {}
            Ok(Some(bytes)) => match parse_node(name, &bytes) {
                Ok(config) => {
                    source.used = true;
                    chosen = Some(config);
                }
                Err(findings) => {
                    source.problems = findings.0.iter().map(ToString::to_string).collect();
                }
            },
        }
        sources.push(source);
    }
    (chosen.unwrap_or_default(), sources)
}

fn optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn from_smbios(entries: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = match fs::read_dir(entries) {
        Ok(folder) => folder.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("11-"))
    });
    paths.sort();
    for path in paths {
        for string in strings(&fs::read(path.join("raw"))?) {
            if let Some(config) = credential(&string)? {
                return Ok(Some(config));
            }
        }
    }
    Ok(None)
}

/// The strings after the formatted area of an SMBIOS structure (SMBIOS 3.7, section 6.1.3).
fn strings(raw: &[u8]) -> Vec<String> {
    let formatted = raw.get(1).copied().map_or(0, usize::from);
    raw.get(formatted..)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .take_while(|string| !string.is_empty())
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}

/// The configuration in an OEM string, as systemd hands credentials in (systemd.system-credentials(7)).
fn credential(string: &str) -> io::Result<Option<Vec<u8>>> {
    if let Some(text) = string.strip_prefix("io.systemd.credential.binary:lifeboat.config=") {
        return base64::engine::general_purpose::STANDARD
            .decode(text)
            .map(Some)
            .map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the credential lifeboat.config is not base64: {error}"),
                )
            });
    }
    Ok(string
        .strip_prefix("io.systemd.credential:lifeboat.config=")
        .map(|text| text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bad_source_is_skipped_and_reported() {
        let (config, sources) = choose([
            ("a", Ok(Some(b"hostnam: n1".to_vec()))),
            ("b", Ok(None)),
            ("c", Ok(Some(b"hostname: n2".to_vec()))),
            ("d", Ok(Some(b"hostname: n3".to_vec()))),
        ]);
        assert_eq!(config.hostname.unwrap().as_str(), "n2");
        let used: Vec<_> = sources.iter().map(|s| (&*s.name, s.used)).collect();
        assert_eq!(used, [("a", false), ("c", true), ("d", false)]);
        assert!(sources[0].problems[0].contains("hostname"));
    }

    #[test]
    fn oem_strings_are_read() {
        let mut raw = vec![11, 5, 0, 0, 2];
        raw.extend_from_slice(b"one\0io.systemd.credential.binary:lifeboat.config=aG9zdA==\0\0");
        let strings = strings(&raw);
        assert_eq!(strings.len(), 2);
        assert_eq!(credential(&strings[0]).unwrap(), None);
        assert_eq!(credential(&strings[1]).unwrap().unwrap(), b"host");
        assert!(credential("io.systemd.credential.binary:lifeboat.config=%").is_err());
    }

    proptest! {
        #[test]
        fn any_structure_is_read(raw: Vec<u8>) {
            let _ = strings(&raw);
        }
    }
}
