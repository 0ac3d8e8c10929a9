//! Documents that have no schema of ours, such as the metadata of a cloud.

use serde_json::{Map, Number, Value as Json};

use crate::yaml::{
    Data, Kind, Scalar, Value,
    legacy::{self, Dialect},
};

/// The values of a YAML or JSON document, as Python's reader has them: what clouds hand out is
/// made for it. Numbers that JSON would write otherwise (`0644`) stay
/// text, so that nothing is lost.
///
/// ```
/// let values = lifeboat_config::untyped(b"instance-id: i-1\nkeys: [a, 2]\n").unwrap();
/// assert_eq!(values, serde_json::json!({"instance-id": "i-1", "keys": ["a", 2]}));
/// ```
///
/// # Errors
/// Why it cannot be read; never with a part of its content.
pub fn untyped(bytes: &[u8]) -> Result<Json, String> {
    in_dialect(bytes, Dialect::Python)
}

/// The same as the readers of one language have them.
pub(crate) fn in_dialect(bytes: &[u8], dialect: Dialect) -> Result<Json, String> {
    match legacy::read(bytes, dialect) {
        Ok(value) => Ok(json(&value)),
        // Only the place: a message may quote what is a secret here.
        Err(flaw) => Err(format!(
            "not YAML that can be read, at line {}, column {}",
            flaw.place.line, flaw.place.column
        )),
    }
}

fn json(value: &Value) -> Json {
    match &value.data {
        Data::List(items) => items.iter().map(json).collect(),
        Data::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                map.insert(entry.key.clone(), json(&entry.value));
            }
            Json::Object(map)
        }
        Data::Scalar(scalar) => plain(scalar),
    }
}

fn plain(scalar: &Scalar) -> Json {
    let number = match scalar.kind {
        Kind::Null => return Json::Null,
        Kind::Bool(value) => return value.into(),
        Kind::Text | Kind::Binary => None,
        Kind::Integer(value) => i64::try_from(value).ok().map(Number::from),
        Kind::Float(value) => Number::from_f64(value),
    };
    match number {
        Some(number) if number.to_string() == scalar.text => number.into(),
        _ => Json::String(scalar.text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_what_they_say() {
        assert_eq!(
            untyped(b"a: 0644\nb: 1.50\nc: true\nd: ~\ne: '7'\nf: 1.5\n").unwrap(),
            json!({"a": "0644", "b": "1.50", "c": true, "d": null, "e": "7", "f": 1.5})
        );
        assert_eq!(untyped(b"{\"a\": [1]}").unwrap(), json!({"a": [1]}));
        assert!(untyped(b"a: [secret").unwrap_err().find("secret").is_none());
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes: Vec<u8>) {
            let _ = untyped(&bytes);
        }
    }
}
