//! What a boot is for, from k3OS' words on the kernel command line and our own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a boot is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The node as it is installed; what it keeps is on its disk.
    #[default]
    Disk,
    /// All that is kept is in memory, and gone with the power; disks are left alone.
    Live,
    /// As live, to install from.
    Install,
    /// A shell on the console, behind the configuration's password, and no service.
    Rescue,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "disk",
            Self::Live => "live",
            Self::Install => "install",
            Self::Rescue => "rescue",
        })
    }
}

impl Mode {
    /// The mode of a word; k3OS' words for the same are taken too.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "disk" | "local" => Some(Self::Disk),
            "live" => Some(Self::Live),
            "install" => Some(Self::Install),
            "rescue" | "shell" => Some(Self::Rescue),
            _ => None,
        }
    }

    /// Whether /var is in memory.
    pub fn is_in_memory(self) -> bool {
        matches!(self, Self::Live | Self::Install)
    }

    /// The value of the label `k3os.io/mode`, by which k3OS' own workloads choose nodes.
    pub fn of_k3os(self) -> &'static str {
        match self {
            Self::Disk => "local",
            Self::Live => "live",
            Self::Install => "install",
            Self::Rescue => "shell",
        }
    }
}

/// Whether the disk has a state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatePartition {
    /// It has.
    There,
    /// It has none.
    Missing,
}

/// The mode of a boot, in k3OS' order: the word for it; else the installed node, if there is
/// one; else what the fallback says.
pub fn select(word: Option<Mode>, fallback: Option<Mode>, state: StatePartition) -> Mode {
    match (word, state) {
        (Some(mode), _) => mode,
        (None, StatePartition::There) => Mode::Disk,
        (None, StatePartition::Missing) => fallback.unwrap_or_default(),
    }
}

/// What a configuration makes of a mode: a rescue shell is behind its password, so without one
/// there is none.
pub fn allowed(mode: Mode, has_password: bool) -> Result<Mode, (Mode, &'static str)> {
    match mode {
        Mode::Rescue if !has_password => Err((
            Mode::Disk,
            "the configuration has no `password`, behind which the rescue shell is; the node starts as usual",
        )),
        mode => Ok(mode),
    }
}

/// The unit that systemd starts, if it is not the default one. `rescue` on the command line is
/// a word of systemd too, so that it must hear of any other decision.
pub fn unit(mode: Mode, line_says_rescue: bool) -> Option<&'static str> {
    match (mode, line_says_rescue) {
        (Mode::Rescue, _) => Some("--unit=rescue.target"),
        (_, true) => Some("--unit=default.target"),
        (_, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{StatePartition::*, *};

    fn any_mode() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Disk),
            Just(Mode::Live),
            Just(Mode::Install),
            Just(Mode::Rescue),
        ]
    }

    #[test]
    fn modes_have_the_words_of_k3os() {
        for mode in [Mode::Disk, Mode::Live, Mode::Install, Mode::Rescue] {
            assert_eq!(Mode::of(&mode.to_string()), Some(mode));
            assert_eq!(Mode::of(mode.of_k3os()), Some(mode));
        }
        assert_eq!(Mode::of("live-server"), None);
        assert_eq!(Mode::of("Live"), None);
    }

    #[test]
    fn a_rescue_shell_needs_a_password() {
        assert_eq!(allowed(Mode::Rescue, true), Ok(Mode::Rescue));
        assert!(matches!(allowed(Mode::Rescue, false), Err((Mode::Disk, _))));
        assert_eq!(unit(Mode::Disk, true), Some("--unit=default.target"));
        assert_eq!(unit(Mode::Disk, false), None);
        assert_eq!(unit(Mode::Rescue, false), Some("--unit=rescue.target"));
    }

    proptest! {
        #[test]
        fn a_word_counts_more_than_anything(word in any_mode(), fallback in proptest::option::of(any_mode()), there: bool) {
            let state = if there { There } else { Missing };
            prop_assert_eq!(select(Some(word), fallback, state), word);
        }

        #[test]
        fn an_installed_node_starts_from_its_disk(fallback in proptest::option::of(any_mode())) {
            prop_assert_eq!(select(None, fallback, There), Mode::Disk);
            prop_assert_eq!(select(None, fallback, Missing), fallback.unwrap_or(Mode::Disk));
        }

        #[test]
        fn only_a_password_opens_a_shell(mode in any_mode(), has_password: bool, says_rescue: bool) {
            let mode = allowed(mode, has_password).unwrap_or_else(|(instead, _)| instead);
            let rescue = unit(mode, says_rescue) == Some("--unit=rescue.target");
            prop_assert!(!rescue || has_password);
            // systemd never decides by itself.
            prop_assert!(!says_rescue || unit(mode, says_rescue).is_some());
        }
    }
}
