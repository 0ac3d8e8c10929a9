//! Images for people.

use std::fmt::Write as _;

use lifeboat_archive::Digest;

use super::Program;

/// One line per section; short texts are shown.
pub fn dump(program: &Program<'_>) -> String {
    let mut text = format!(
        "PE program for x86-64, {} bytes in memory\n",
        program.image_size
    );
    for section in &program.sections {
        let _ = writeln!(
            text,
            "{:<8}  offset {:>9}  size {:>9}  at {:#010x}  sha256 {}",
            section.name,
            section.offset,
            section.data.len(),
            section.address,
            Digest::of(section.data).short()
        );
        if [".osrel", ".cmdline", ".uname", ".sbat"].contains(&section.name.as_str()) {
            let content = String::from_utf8_lossy(section.data);
            for line in content.trim_end_matches('\0').lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}
