//! combustion (openSUSE): a script that runs once, before the system is.

use serde_json::Map;

use super::{
    Converted,
    report::Report,
    script::{self, Mark},
};
use crate::finding::Place;

/// The largest script that is kept.
const MOST_BYTES: usize = 4 << 20;

/// Keeps the script as a file and a command, and reports what that cannot do.
pub(super) fn convert(file: &str, bytes: &[u8]) -> Converted {
    let mut report = Report::new(file);
    let mut node = Map::new();
    if bytes.is_empty() {
        report.unsupported(
            "script",
            Place::START,
            "the script is empty: nothing is run",
        );
        return report.finish(node);
    }
    if bytes.len() > MOST_BYTES {
        let message = format!(
            "the script has {} bytes; at most {MOST_BYTES} are kept",
            bytes.len()
        );
        report.unsupported("script", Place::START, message);
        return report.finish(node);
    }
    let kind = if bytes.starts_with(b"#!") {
        "a script cannot be translated"
    } else if bytes.starts_with(b"\x7fELF") {
        "a program cannot be translated"
    } else {
        "without `#!` in its first line the system cannot tell what runs it, and it cannot be translated"
    };
    report.unsupported(
        "script",
        Place::START,
        format!(
            "{kind}; it is kept as a file, which `run_cmd` runs until it has succeeded once. It runs in the booted system, not in a snapshot before it: /usr is read-only, there is no zypper or transactional-update, a failure undoes nothing, and other files of its folder are not there. Write the keys of the node configuration in its place"
        ),
    );
    for (flag, place) in flags(bytes) {
        match flag {
            "network" => report.translated(
                "script.network",
                place,
                "`run_cmd` runs when the network is up",
            ),
            _ => report.unsupported(
                "script.prepare",
                place,
                "the prepare stage, in which the script is called with `--prepare` before the system is mounted, has no counterpart; it is not called that way",
            ),
        }
    }
    script::keep(
        &mut node,
        "combustion",
        bytes,
        "run_cmd",
        Some(Mark::Success),
    );
    report.finish(node)
}

/// The flags of lines that begin with `# combustion:`, each once, with its first place.
fn flags(bytes: &[u8]) -> Vec<(&'static str, Place)> {
    let mut found: Vec<(&'static str, Place)> = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Some(rest) = line.strip_prefix(b"# combustion:") else {
            continue;
        };
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let start = line.len() - rest.len();
        let mut at = 0;
        for part in rest.split(|byte| !word(byte)) {
            let flag = match part {
                b"network" => Some("network"),
                b"prepare" => Some("prepare"),
                _ => None,
            };
            if let Some(flag) = flag
                && !found.iter().any(|(known, _)| *known == flag)
            {
                let before = String::from_utf8_lossy(&line[..start + at]);
                let place = Place {
                    line: number + 1,
                    column: before.chars().count() + 1,
                };
                found.push((flag, place));
            }
            at += part.len() + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convert::Status;

    fn entries(bytes: &[u8]) -> Vec<(String, Status)> {
        let report = convert("script", bytes).report;
        report
            .into_iter()
            .map(|entry| (entry.path, entry.status))
            .collect()
    }

    #[test]
    fn flags_are_whole_words_at_the_start_of_a_line() {
        let script = b"#!/bin/bash\n# combustion: network, prepare\r\n";
        assert_eq!(
            flags(script),
            [
                (
                    "network",
                    Place {
                        line: 2,
                        column: 15
                    }
                ),
                (
                    "prepare",
                    Place {
                        line: 2,
                        column: 24
                    }
                ),
            ]
        );
        for other in [
            " # combustion: network",
            "#combustion: network",
            "# combustion: networking",
            "# combustion: my_network",
            "echo # combustion: network",
        ] {
            assert_eq!(flags(other.as_bytes()), []);
        }
        assert_eq!(flags(b"# combustion:network").len(), 1);
        assert_eq!(flags(b"# combustion: no-network").len(), 1);
    }

    #[test]
    fn a_script_is_kept_as_a_file_and_a_command() {
        let converted = convert("script", b"#!/bin/sh\n# combustion: prepare\necho hi\n");
        assert_eq!(
            converted.node["write_files"][0]["content"],
            "#!/bin/sh\n# combustion: prepare\necho hi\n"
        );
        assert_eq!(converted.node["write_files"][0]["permissions"], "0700");
        let command = converted.node["run_cmd"][0].as_str().unwrap();
        assert!(command.contains("/var/lib/lifeboat/scripts/combustion"));
        assert!(converted.report[1].message.contains("prepare stage"));
    }

    #[test]
    fn a_program_is_kept_too_and_nothing_is_refused() {
        let converted = convert("script", b"\x7fELF\x02\x01\x01\x00\xff\xfe");
        assert_eq!(converted.node["write_files"][0]["encoding"], "base64");
        assert_eq!(entries(b""), [("script".to_owned(), Status::Unsupported)]);
        assert_eq!(convert("script", b"").node.len(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_kept_or_refused(bytes: Vec<u8>) {
            let converted = convert("script", &bytes);
            prop_assert!(!converted.is_invalid());
            prop_assert_eq!(&converted.report[0].path, "script");
        }
    }
}
