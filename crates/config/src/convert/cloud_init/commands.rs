//! Commands: text for a shell, or a list of words.

use super::{Out, template, text};
use crate::{
    convert::report::join,
    yaml::{Data, Value},
};

/// A word for a shell: in quotes only where it needs them.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A list of commands, into `key` of the node configuration.
pub(super) fn translate(value: &Value, path: &str, key: &str, message: &str, out: &mut Out<'_>) {
    for (index, item) in value.items().iter().enumerate() {
        let here = join(path, index);
        let place = item.span.start;
        let command = match &item.data {
            Data::List(words) => {
                if words.iter().any(template::is_marked) {
                    out.unsupported(
                        &here,
                        place,
                        "a word of it depends on a template; write the command out",
                    );
                    continue;
                }
                let text: Option<Vec<String>> =
                    words.iter().map(|word| text(word).map(quoted)).collect();
                if text.is_none() {
                    out.unsupported(&here, place, "not all of its words are text");
                    continue;
                }
                text.map(|words| words.join(" "))
            }
            Data::Scalar(_) => text(item).map(str::to_owned),
            Data::Map(_) => None,
        };
        match command {
            Some(command) if command.trim().is_empty() => {
                out.unsupported(&here, place, "the command is empty");
            }
            Some(command) if command.contains('\0') => {
                out.unsupported(&here, place, "a command cannot hold a NUL byte");
            }
            Some(command) => {
                out.push(key, command);
                out.translated(&here, place, message);
            }
            // Nothing, a template or a wrong type: said already.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        assert_eq!(quoted("sshd.service"), "sshd.service");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("$HOME"), "'$HOME'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~"), "'~'");
    }
}
