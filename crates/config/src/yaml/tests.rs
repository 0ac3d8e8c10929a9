use super::{Kind, Value, read};
use crate::finding::Collector;

fn value(text: &str) -> Value {
    let mut findings = Collector::new("f");
    let value = read(text.as_bytes(), &mut findings).unwrap();
    assert!(findings.is_empty(), "{text}: {findings:?}");
    value
}

#[test]
fn scalars_by_the_core_schema() {
    for (text, kind) in [
        ("12", Kind::Integer(12)),
        ("-0x", Kind::Text),
        ("0x1F", Kind::Integer(31)),
        ("0o17", Kind::Integer(15)),
        ("0755", Kind::Integer(755)),
        ("1.36", Kind::Float(1.36)),
        (".5e3", Kind::Float(500.0)),
        ("-.inf", Kind::Float(f64::NEG_INFINITY)),
        ("inf", Kind::Text),
        ("nan", Kind::Text),
        ("1.36.3", Kind::Text),
        ("1_000", Kind::Text),
        ("yes", Kind::Text),
        ("True", Kind::Bool(true)),
        ("~", Kind::Null),
        ("'12'", Kind::Text),
        ("!!str 12", Kind::Text),
        ("! 12", Kind::Text),
        ("!!float 12", Kind::Integer(12)),
        ("+", Kind::Text),
        (".", Kind::Text),
    ] {
        let super::Data::Scalar(scalar) = value(text).data else {
            panic!("{text}");
        };
        assert_eq!(scalar.kind, kind, "{text}");
    }
}

#[test]
fn values_know_their_place() {
    let root = value("a:\n  - b: |\n      c\n    é: d\ne: &x [1, {f: 2}]\ng: *x\n");
    let place = |value: &Value| (value.span.start.line, value.span.start.column);
    let inner = &root.get("a").unwrap().items()[0];
    assert_eq!(place(inner.get("é").unwrap()), (4, 8));
    let list = root.get("e").unwrap();
    assert_eq!(place(&list.items()[0]), (5, 8));
    assert_eq!(place(list.items()[1].get("f").unwrap()), (5, 15));
    assert_eq!(root.get("g"), Some(list));
}
