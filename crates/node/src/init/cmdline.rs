//! The kernel command line, as far as the initrd reads it.

use super::mode::Mode;

/// What the initrd needs from the kernel command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Root hash of the root's dm-verity tree (`roothash=`), 32 bytes.
    pub root_hash: Option<[u8; 32]>,
    /// `lifeboat.debug` or `k3os.debug`: a shell instead of a reboot when the boot fails.
    pub debug: bool,
    /// Seconds until a failed boot restarts (`panic=`); 0 waits for ever.
    pub panic: u32,
    /// `lifeboat.hostname=`, for tests without any other source.
    pub hostname: Option<String>,
    /// `init=`, else `/usr/lib/systemd/systemd`.
    pub init: Option<String>,
    /// `lifeboat.mode=`, `k3os.mode=` or `rescue`; the last of them.
    pub mode: Option<Mode>,
    /// `lifeboat.fallback_mode=` or `k3os.fallback_mode=`: the mode without a state partition.
    pub fallback: Option<Mode>,
    /// Whether the word `rescue` is there, which systemd reads as well.
    pub says_rescue: bool,
    /// What could not be understood.
    pub problems: Vec<String>,
}

/// Parses `/proc/cmdline`. Quotes keep spaces, as in the kernel; the last value of a key wins.
pub fn parse(text: &str) -> CommandLine {
    let mut line = CommandLine::default();
    for word in words(text) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.as_str(), None),
        };
        match (key, value) {
            ("roothash", Some(value)) => match hash(value) {
                Some(hash) => line.root_hash = Some(hash),
                None => line
                    .problems
                    .push(format!("roothash=`{value}` is not 64 hexadecimal digits")),
            },
            ("lifeboat.debug" | "k3os.debug", value) => {
                line.debug = !matches!(value, Some("0" | "false" | "no" | "off"));
            }
            ("lifeboat.mode" | "k3os.mode", Some(value)) => {
                set_mode(&mut line.mode, key, value, &mut line.problems);
            }
            ("lifeboat.fallback_mode" | "k3os.fallback_mode", Some(value)) => {
                set_mode(&mut line.fallback, key, value, &mut line.problems);
            }
            ("rescue", None) => {
                line.mode = Some(Mode::Rescue);
                line.says_rescue = true;
            }
            ("panic", Some(value)) => match value.parse::<i64>() {
                // A negative value restarts at once.
                Ok(seconds) => {
                    line.panic = u32::try_from(seconds.max(-1)).unwrap_or(1);
                }
                Err(_) => line
                    .problems
                    .push(format!("panic=`{value}` is not a number")),
            },
            ("lifeboat.hostname", Some(value)) => line.hostname = Some(value.to_owned()),
            ("init", Some(value)) => line.init = Some(value.to_owned()),
            _ => {}
        }
    }
    line
}

fn set_mode(mode: &mut Option<Mode>, key: &str, value: &str, problems: &mut Vec<String>) {
    match Mode::of(value) {
        Some(known) => *mode = Some(known),
        None => problems.push(format!(
            "{key}=`{value}` is none of live, install, disk and rescue"
        )),
    }
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            character if character.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            character => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// 32 bytes from 64 hexadecimal digits.
pub fn hash(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_value_wins_and_quotes_keep_spaces() {
        let text = format!(
            "quiet roothash={} panic=1 foo=\"a lifeboat.debug b\" panic=30 lifeboat.hostname=n1\n",
            "ab".repeat(32)
        );
        let line = parse(&text);
        assert_eq!(line.root_hash, Some([0xab; 32]));
        assert_eq!(line.panic, 30);
        assert!(!line.debug);
        assert_eq!(line.hostname.as_deref(), Some("n1"));
        assert!(line.problems.is_empty());
    }

    #[test]
    fn a_bad_root_hash_is_a_problem_and_not_a_hash() {
        let line = parse("roothash=abc panic=-1 lifeboat.debug");
        assert_eq!(line.root_hash, None);
        assert_eq!(line.problems.len(), 1);
        assert_eq!(line.panic, 1);
        assert!(line.debug);
    }

    #[test]
    fn the_last_word_for_a_mode_counts() {
        for (text, mode) in [
            ("", None),
            ("k3os.mode=live", Some(Mode::Live)),
            ("k3os.mode=local", Some(Mode::Disk)),
            ("k3os.mode=shell", Some(Mode::Rescue)),
            ("rescue k3os.mode=install", Some(Mode::Install)),
            ("lifeboat.mode=live rescue", Some(Mode::Rescue)),
            ("k3os.mode=live k3os.mode=nonsense", Some(Mode::Live)),
            ("rescue=1 foo.rescue", None),
        ] {
            assert_eq!(parse(text).mode, mode, "{text}");
        }
        let line = parse("k3os.fallback_mode=install k3os.debug=false k3os.mode rescue");
        assert_eq!(line.fallback, Some(Mode::Install));
        assert!(!line.debug && line.says_rescue);
        assert!(parse("k3os.debug").debug);
        assert_eq!(parse("k3os.mode=x k3os.fallback_mode=").problems.len(), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn a_hash_reads_back(bytes: [u8; 32]) {
            prop_assert_eq!(hash(&hex(&bytes)), Some(bytes));
        }
    }
}
