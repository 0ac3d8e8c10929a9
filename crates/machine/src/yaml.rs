//! YAML of kubeconfig files as JSON values. The places that errors in a definition need are
//! the business of the config crate; here a file is another program's and good or not.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use serde_json::{Map, Value};

/// Why a text is no YAML that is understood.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It breaks YAML's rules.
    #[error("line {line}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The rule.
        reason: String,
    },
    /// It uses what no kubeconfig does.
    #[error("line {line}: {what} is not supported here")]
    Unsupported {
        /// The line, from 1.
        line: usize,
        /// What it uses.
        what: &'static str,
    },
}

/// Deeper nesting is refused: values are walked by recursion.
const MOST_DEPTH: usize = 64;

enum Open {
    List(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

/// Reads one YAML document (JSON is one) as a JSON value.
///
/// # Errors
/// [`YamlError`] with the line.
pub fn from_yaml(text: &str) -> Result<Value, YamlError> {
    let mut stack: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error: ScanError| YamlError::Syntax {
            line: error.marker().line(),
            reason: error.info().to_owned(),
        })?;
        let unsupported = |what| YamlError::Unsupported {
            line: span.start.line(),
            what,
        };
        let value = match event {
            Event::Alias(_) => return Err(unsupported("an alias")),
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                stack.push(Open::List(Vec::new()));
                if stack.len() > MOST_DEPTH {
                    return Err(unsupported("such deep nesting"));
                }
                continue;
            }
            Event::MappingStart(..) => {
                stack.push(Open::Mapping(Map::new(), None));
                if stack.len() > MOST_DEPTH {
                    return Err(unsupported("such deep nesting"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Mapping(entries, _)) => Value::Object(entries),
                None => continue,
            },
            _ => continue,
        };
        match stack.last_mut() {
            None if root.is_some() => return Err(unsupported("a second document")),
            None => root = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Mapping(entries, pending)) => match pending.take() {
                Some(key) => {
                    entries.insert(key, value);
                }
                None => match value {
                    Value::String(key) => *pending = Some(key),
                    Value::Array(_) | Value::Object(_) => {
                        return Err(unsupported("a key that is no text"));
                    }
                    other => *pending = Some(other.to_string()),
                },
            },
        }
    }
    Ok(root.unwrap_or(Value::Null))
}

/// A scalar by the core schema (YAML 1.2.2, chapter 10.3).
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        other => match other.parse::<i64>() {
            Ok(number) if number.to_string() == other => number.into(),
            // Fractions stay text: a kubeconfig has none, and a version must not become one.
            _ => other.into(),
        },
    }
}

/// Writes a JSON value as YAML in block style.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => mapping(entries, 0, false, &mut text),
        Value::Array(items) if !items.is_empty() => list(items, 0, &mut text),
        other => {
            text.push_str(&plain(other));
            text.push('\n');
        }
    }
    text
}

fn mapping(entries: &Map<String, Value>, indent: usize, after_dash: bool, text: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 || !after_dash {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&quoted(key));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                mapping(inner, indent + 2, false, text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(items, indent, text);
            }
            other => {
                text.push(' ');
                text.push_str(&plain(other));
                text.push('\n');
            }
        }
    }
}

fn list(items: &[Value], indent: usize, text: &mut String) {
    for item in items {
        text.push_str(&" ".repeat(indent));
        text.push('-');
        match item {
            Value::Object(entries) if !entries.is_empty() => {
                text.push(' ');
                mapping(entries, indent + 2, true, text);
            }
            Value::Array(inner) if !inner.is_empty() => {
                text.push('\n');
                list(inner, indent + 2, text);
            }
            other => {
                text.push(' ');
                text.push_str(&plain(other));
                text.push('\n');
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        // Empty collections, numbers, booleans and null are the same in JSON and YAML.
        other => other.to_string(),
    }
}

/// Text as it stands where that is safe in YAML 1.1 and 1.2, else as a JSON string.
fn quoted(text: &str) -> String {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@+=".contains(&byte);
    let word = text.as_bytes();
    let safe = word.first().is_some_and(u8::is_ascii_alphabetic)
        && word.iter().all(|byte| inner(*byte))
        && !text.ends_with(':')
        && scalar(text, ScalarStyle::Plain).is_string()
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if safe {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{e4}\n]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ -~]{0,8}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any_value()) {
            let text = to_yaml(&value);
            prop_assert_eq!(from_yaml(&text).map_err(|error| error.to_string()), Ok(value), "{}", text);
        }

        #[test]
        fn reading_never_panics(text in ".{0,200}") {
            let _ = from_yaml(&text);
        }
    }

    #[test]
    fn block_style_as_kubectl_writes_it() {
        let value = serde_json::json!({"a": [{"b": 1, "c": {"d": "no"}}], "e": {}, "f": "x: y"});
        insta::assert_snapshot!(to_yaml(&value), @r#"
        a:
        - b: 1
          c:
            d: "no"
        e: {}
        f: "x: y"
        "#);
    }
}
