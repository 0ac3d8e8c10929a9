//! Unit files, read as Ignition's own reader does: it is stricter than systemd.

/// What of a unit file has a part in the rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Whether `[Install]` is there and has a key.
    pub(crate) installs: bool,
}

/// The longest line that systemd reads.
const LINE: usize = 2048;
/// How much Go's reader holds at once: a line is only measured as far as that goes.
const BUFFER: usize = 4096;

/// Reads a unit file; an error says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Unit, String> {
    Lexer {
        bytes: text.as_bytes(),
        at: 0,
        filled: 0,
    }
    .run()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    /// How much is read.
    at: usize,
    /// How far the reader's buffer goes.
    filled: usize,
}

enum Step {
    NextSection,
    SectionName,
    SectionEnd,
    SectionOrOption,
    OptionName,
    Value,
    /// A comment line; what follows it.
    Comment {
        in_section: bool,
    },
}

impl<'a> Lexer<'a> {
    fn run(mut self) -> Result<Unit, String> {
        let mut unit = Unit::default();
        let mut section = String::new();
        let mut step = Step::NextSection;
        loop {
            self.check_line()?;
            step = match step {
                Step::NextSection => match self.character() {
                    None => return Ok(unit),
                    Some('[') => Step::SectionName,
                    Some('#' | ';') => Step::Comment { in_section: false },
                    Some(_) => Step::NextSection,
                },
                Step::SectionName => {
                    let (name, found) = self.until(b']');
                    if !found {
                        return Err(self.at_line("a `[` has no `]`"));
                    }
                    section = String::from_utf8_lossy(name).into_owned();
                    Step::SectionEnd
                }
                Step::SectionEnd => {
                    let (rest, _) = self.line();
                    if !rest.trim_ascii().is_empty() {
                        self.at -= 1;
                        return Err(self.at_line("there is more than a section's name"));
                    }
                    Step::SectionOrOption
                }
                Step::SectionOrOption => match self.character() {
                    None => return Ok(unit),
                    Some('[') => Step::SectionName,
                    Some('#' | ';') => Step::Comment { in_section: true },
                    Some(letter) if letter.is_whitespace() => Step::SectionOrOption,
                    Some(letter) => {
                        self.at -= letter.len_utf8();
                        Step::OptionName
                    }
                },
                Step::OptionName => {
                    loop {
                        match self.character() {
                            // Go reports "EOF" here and ends the run with it.
                            None => return Err(self.at_line("the file ends in a key without `=`")),
                            Some('\n' | '\r') => {
                                self.at -= 1;
                                return Err(self.at_line("a key has no `=`"));
                            }
                            Some('=') => break,
                            Some(_) => {}
                        }
                    }
                    if section == "Install" {
                        unit.installs = true;
                    }
                    Step::Value
                }
                Step::Value => {
                    let (line, end) = self.line();
                    if line.ends_with(b"\\") && !line.trim_ascii().is_empty() && !end {
                        Step::Value
                    } else {
                        Step::SectionOrOption
                    }
                }
                Step::Comment { in_section } => {
                    let (line, end) = self.line();
                    let line = line.strip_suffix(b" ").unwrap_or(line);
                    if line.ends_with(b"\\") && !end {
                        Step::Comment { in_section }
                    } else if in_section {
                        Step::SectionOrOption
                    } else {
                        Step::NextSection
                    }
                }
            };
        }
    }

    fn check_line(&self) -> Result<(), String> {
        if self.filled - self.at < LINE {
            return Ok(());
        }
        let ahead = &self.bytes[self.at..self.at + LINE];
        if ahead.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            Ok(())
        } else {
            Err(self.at_line(&format!("it is longer than {LINE} bytes")))
        }
    }

    /// A flaw, and the line that it is in; what stands there may be a secret.
    fn at_line(&self, flaw: &str) -> String {
        let before = &self.bytes[..self.at];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("line {line}: {flaw}")
    }

    fn fill(&mut self) {
        self.filled = self.bytes.len().min(self.at + BUFFER);
    }

    fn character(&mut self) -> Option<char> {
        let rest = &self.bytes[self.at..];
        if self.at >= self.filled {
            self.fill();
        }
        // The bytes come from a `str`, and each step ends at a character's end.
        let width = match *rest.first()? {
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        let letter = std::str::from_utf8(rest.get(..width)?).ok()?.chars().next();
        self.at += width;
        self.filled = self.filled.max(self.at);
        letter
    }

    /// What comes before `end`, and whether `end` was there; reads over both.
    fn until(&mut self, end: u8) -> (&'a [u8], bool) {
        let start = self.at;
        let stop = self.bytes[start..]
            .iter()
            .position(|byte| *byte == end)
            .map(|at| start + at);
        let next = stop.map_or(self.bytes.len(), |stop| stop + 1);
        // The buffer is filled again whenever it is too short for the search.
        while self.filled < next {
            if self.filled - self.at >= BUFFER {
                self.at = self.filled;
            }
            self.fill();
        }
        self.at = next;
        let bytes: &'a [u8] = self.bytes;
        (&bytes[start..stop.unwrap_or(bytes.len())], stop.is_some())
    }

    /// The rest of the line, and whether the text ends there.
    fn line(&mut self) -> (&'a [u8], bool) {
        let (line, found) = self.until(b'\n');
        if found {
            // As in Go: a carriage return before the line's end stays, and hides a backslash.
            (line, false)
        } else {
            (line.strip_suffix(b"\r").unwrap_or(line), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_read_and_what_is_refused() {
        let installs = |text: &str| read(text).map(|unit| unit.installs);
        assert_eq!(installs(""), Ok(false));
        assert_eq!(installs("x"), Ok(false));
        assert_eq!(installs("[Unit]\nA=b\n[Install]\nWantedBy=c\n"), Ok(true));
        assert_eq!(installs("[Install]\n"), Ok(false));
        assert_eq!(installs("# x \\\n[Install]\n[Service]\nA=b"), Ok(false));
        assert_eq!(
            installs("[Service]\nExecStart=/bin/x \\\n  [Install] \\\n  y\nB=c\n"),
            Ok(false)
        );
        for bad in ["[Unit", "[Unit] x\n", "[Unit]\nfoo\nA=b\n", "[Unit]\nfoo"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = format!("[Unit]\nA={}\n", "x".repeat(3000));
        assert!(read(&long).is_err());
        let fine = format!("[Unit]\nA={}\n", "x".repeat(2000));
        assert!(read(&fine).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_ends_well(text in "(\\PC|[\\[\\]=\\\\\n#;]){0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn long_text_ends_well(size in 0usize..20_000, letter in "[\\[\\]=x\né]") {
            let _ = read(&letter.repeat(size));
        }
    }
}
