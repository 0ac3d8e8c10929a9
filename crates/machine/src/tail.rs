//! Follows a file that another process appends to.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use fs_err as fs;

/// Reads the lines that are added to a file, which need not exist yet.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    at: u64,
    partial: Vec<u8>,
}

impl Tail {
    /// Follows the file from byte `at`.
    pub fn new(path: impl Into<PathBuf>, at: u64) -> Self {
        Self {
            path: path.into(),
            at,
            partial: Vec::new(),
        }
    }

    /// The complete lines that came since the last call, without their ends.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let added = self.read()?;
        self.partial.extend(added);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        Ok(whole[..end]
            .split(|byte| *byte == b'\n')
            .map(|line| {
                let text = String::from_utf8_lossy(line);
                text.strip_suffix('\r').unwrap_or(&text).to_owned()
            })
            .collect())
    }

    /// The line that was begun and not ended yet: a panic may leave its last one so.
    pub fn unfinished(&self) -> String {
        String::from_utf8_lossy(&self.partial).trim().to_owned()
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        if file.metadata()?.len() < self.at {
            self.at = 0; // Somebody emptied it: what is there now is new.
            self.partial.clear();
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        self.at += added.len() as u64;
        Ok(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_whole_lines_come_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(&path, 0);
        assert!(tail.lines().unwrap().is_empty());
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"one\r\ntw").unwrap();
        assert_eq!(tail.lines().unwrap(), ["one"]);
        assert_eq!(tail.unfinished(), "tw");
        file.write_all(b"o\n\nthree\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["two", "", "three"]);
        assert!(tail.lines().unwrap().is_empty());
        fs::write(&path, "new\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["new"]);
    }
}
