//! What a console says when a boot is lost.

/// Something on the console after which a boot does not get ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The step that failed.
    pub step: &'static str,
    /// What it means, with the console's own words.
    pub reason: String,
}

/// Signs, what they say about the step, and their meaning.
const SIGNS: [(&str, &str, &str); 10] = [
    (
        "Kernel panic - not syncing",
        "kernel",
        "the kernel panicked",
    ),
    (
        "is corrupted",
        "verity",
        "dm-verity refuses a block that differs from what was built",
    ),
    (
        "No bootable option or device was found",
        "firmware",
        "the firmware finds nothing to boot on the disk",
    ),
    (
        "No bootable device",
        "firmware",
        "the firmware finds nothing to boot",
    ),
    (
        "UEFI Interactive Shell",
        "firmware",
        "the firmware finds nothing to boot on the disk",
    ),
    (
        "You are in emergency mode",
        "userspace",
        "systemd stopped in emergency mode",
    ),
    (
        "Started emergency.service",
        "userspace",
        "systemd stopped in emergency mode",
    ),
    ("Freezing execution", "userspace", "systemd cannot go on"),
    (
        "Lifeboat cannot start this node",
        "initrd",
        "the initrd gave up",
    ),
    (
        "Unable to load the kernel",
        "firmware",
        "the boot loader cannot load the kernel",
    ),
];

impl Alarm {
    /// Whether this line of the console is one.
    pub fn of(line: &str) -> Option<Self> {
        let (sign, step, meaning) = SIGNS.iter().find(|(sign, ..)| line.contains(sign))?;
        // dm-verity's is the only sign that others could say as well.
        if *sign == "is corrupted" && !line.contains("verity") {
            return None;
        }
        Some(Self {
            step,
            reason: format!("{meaning}: {}", without_stamp(line)),
        })
    }
}

/// A line of the console without escape sequences and control characters.
pub fn plain_text(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                // Firmware writes its screen so; its words are not to run together.
                if skip_sequence(&mut characters) && !plain.is_empty() {
                    plain.push(' ');
                }
            }
            '\t' => plain.push(' '),
            other if other.is_control() => {}
            other => plain.push(other),
        }
    }
    plain.trim_end().to_owned()
}

/// Skips what follows an escape (ECMA-48): `[` parameters final, `]` text bell, or one more.
/// Says whether it moved the cursor to another place.
fn skip_sequence(characters: &mut std::str::Chars<'_>) -> bool {
    match characters.next() {
        Some('[') => {
            characters.find(|character| ('\u{40}'..='\u{7e}').contains(character)) == Some('H')
        }
        Some(']') => {
            if characters.find(|character| matches!(character, '\u{7}' | '\u{1b}'))
                == Some('\u{1b}')
            {
                characters.next();
            }
            false
        }
        Some('(' | ')') => {
            characters.next();
            false
        }
        _ => false,
    }
}

/// A kernel line without its time stamp.
fn without_stamp(line: &str) -> &str {
    let line = line.trim();
    let stamped = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match stamped {
        Some((stamp, rest)) if stamp.trim().parse::<f64>().is_ok() => rest.trim(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lost_boots_are_recognised() {
        for (line, step) in [
            (
                "[    2.7] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                "kernel",
            ),
            (
                "[   12.3] device-mapper: verity: 254:3: data block 1234 is corrupted",
                "verity",
            ),
            (
                "BdsDxe: No bootable option or device was found.",
                "firmware",
            ),
            (
                "You are in emergency mode. After logging in, …",
                "userspace",
            ),
        ] {
            assert_eq!(
                Alarm::of(line).map(|alarm| alarm.step),
                Some(step),
                "{line}"
            );
        }
        assert_eq!(Alarm::of("journal file /var/log/x is corrupted"), None);
        let alarm = Alarm::of("[    2.7] Kernel panic - not syncing: no init").unwrap();
        assert_eq!(
            alarm.reason,
            "the kernel panicked: Kernel panic - not syncing: no init"
        );
    }

    #[test]
    fn colours_and_cursor_moves_are_dropped() {
        assert_eq!(
            plain_text("\u{1b}[2J\u{1b}[01;01HBds\u{1b}[0m Dxe\r"),
            "Bds Dxe"
        );
        assert_eq!(plain_text("\u{1b}]0;title\u{7}text\u{1b}(B!"), "text!");
    }

    proptest! {
        #[test]
        fn plain_text_holds_no_control_characters(line in ".*") {
            prop_assert!(!plain_text(&line).chars().any(char::is_control));
        }
    }
}
