use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn go(text: &str) -> (Value, Vec<Note>) {
    read_noting(text.as_bytes(), Dialect::Go).unwrap()
}

fn keys(value: &Value) -> Vec<(&str, &str)> {
    let Data::Map(entries) = &value.data else {
        panic!("{value:?}");
    };
    let pairs = entries.iter().map(|entry| {
        let Data::Scalar(scalar) = &entry.value.data else {
            return (entry.key.as_str(), "");
        };
        (entry.key.as_str(), scalar.text.as_str())
    });
    pairs.collect()
}

#[test]
fn the_last_of_duplicate_keys_counts_and_is_noted_with_its_path() {
    let (value, notes) = go("s: {a: 1, b: 2, a: 3, a: 4}");
    assert_eq!(keys(value.get("s").unwrap()), [("b", "2"), ("a", "4")]);
    let paths: Vec<_> = notes.iter().map(|note| note.path.join(".")).collect();
    assert_eq!(paths, ["s.a", "s.a"]);
    assert_eq!(notes[0].code, "duplicate-key");
}

#[test]
fn merged_keys_yield_to_own_ones_and_to_those_merged_before() {
    let (value, notes) = go(
        "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\nd:\n  <<: *a\n  <<: *b\ne: {<<: 7, k: v}\n",
    );
    assert_eq!(
        keys(value.get("c").unwrap()),
        [("x", "1"), ("y", "1"), ("z", "3")]
    );
    assert_eq!(
        keys(value.get("d").unwrap()),
        [("x", "1"), ("y", "2"), ("z", "2")]
    );
    assert_eq!(keys(value.get("e").unwrap()), [("k", "v")]);
    assert_eq!(notes[0].code, "bad-merge");
    assert!(read(b"e: {<<: 7}", Dialect::Core).is_err());
    let (quoted, _) = go("{'<<': {a: b}}");
    assert_eq!(keys(&quoted), [("<<", "")]);
}

#[test]
fn only_the_first_document_is_looked_at() {
    let cases: [&[u8]; 6] = [
        b"a: 1\n---\na: [\n",
        b"# c\n---\na: 1\n...\n}}\n",
        b"--- # c\na: 1\n--- b\n\xff",
        b"\xef\xbb\xbf%YAML 1.1\n---\r\na: 1\r\n---\r\n\0",
        b"a: 1\n...\n\xff",
        b"\n\na: 1\n---\tx: y",
    ];
    for text in cases {
        let (value, notes) = read_noting(text, Dialect::Go).unwrap();
        assert_eq!(keys(&value), [("a", "1")], "{}", text.escape_ascii());
        assert_eq!(notes[0].code, "later-document");
        assert!(read(text, Dialect::Python).is_err());
    }
    for text in ["a: 1\n---\n# nothing\n", "a: 1\n...\n", "---\na: 1\n"] {
        assert_eq!(go(text).1, []);
    }
    for text in ["---\n---\na: 1\n", "", "# c\n", "null", "---\n...\n"] {
        assert!(go(text).0.is_null(), "{text}");
    }
}

#[test]
fn tags_decide_and_strange_ones_do_no_harm() {
    let (value, notes) = go(
        "[!!str 0644, !!int '5', !x yes, !!binary aGVs bG8=, !!binary /w==, !!int x, ! 5, !!float 3]",
    );
    let kinds: Vec<_> = value
        .items()
        .iter()
        .map(|item| match &item.data {
            Data::Scalar(scalar) => (scalar.text.as_str(), scalar.kind),
            _ => panic!(),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("0644", Kind::Text),
            ("5", Kind::Integer(5)),
            ("yes", Kind::Text),
            ("hello", Kind::Text),
            ("/w==", Kind::Binary),
            ("x", Kind::Text),
            ("5", Kind::Text),
            ("3", Kind::Float(3.0)),
        ]
    );
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (notes[0].code, notes[0].path.as_slice()),
        ("bad-tag", &["5".to_owned()][..])
    );
    assert!(read(b"[!x y]", Dialect::Python).is_err());
}

#[test]
fn tabs_may_separate_and_not_indent() {
    let (value, _) = go("a:\tb\t# c\nd:\n  e:\t\t-1\t\nf: {g:\th,\ti:\t'j\tk'}\nl: |\n  m:\tn\n");
    assert_eq!(
        keys(&value),
        [("a", "b"), ("d", ""), ("f", ""), ("l", "m:\tn\n")]
    );
    assert_eq!(keys(value.get("d").unwrap()), [("e", "-1")]);
    assert_eq!(keys(value.get("f").unwrap()), [("g", "h"), ("i", "j\tk")]);
    for text in ["a:\n\tb: c\n", "a:\t- b\n", "a:\tb: c\n", "-\t- a\n"] {
        assert!(read(text.as_bytes(), Dialect::Go).is_err(), "{text}");
    }
}

#[test]
fn lines_in_brackets_and_quotes_may_stand_anywhere() {
    for text in [
        "s:\n  m: {\n  a: b,\n  c: [\nd]\n  }\n  n: 'it''s\nhere'\n",
        "s:\n  m: {\na: 'b', # }\nc: [d]\n}\n  n: \"it\\x27s\nhere\"\n",
        "s:\n      m: {\n a: b,\n c: [\n d\n ]\n }\n      n: it's here\n",
    ] {
        let (value, notes) = go(text);
        assert_eq!(notes, []);
        let section = value.get("s").unwrap();
        assert_eq!(keys(section), [("m", ""), ("n", "it's here")], "{text}");
        let map = section.get("m").unwrap();
        assert_eq!(keys(map), [("a", "b"), ("c", "")], "{text}");
        assert_eq!(map.get("c").unwrap().items().len(), 1);
    }
    let (value, _) = go("a:\n  b: [\nc, 'd']\n");
    let second = &value.get("a").unwrap().get("b").unwrap().items()[1];
    assert_eq!((second.span.start.line, second.span.start.column), (3, 4));
    let many = format!("a:\n{}", "  b: [\nc]\n".repeat(20_000));
    assert!(read(many.as_bytes(), Dialect::Go).is_err());
}

#[test]
fn hostile_files_are_refused_with_a_place() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let last = format!("*a{},", level - 1).repeat(9);
        let _ = writeln!(bomb, "a{level}: &a{level} [{last}]");
    }
    let deep = "[".repeat(100_000);
    for text in [
        &bomb,
        &deep,
        "a: \u{0}",
        "a: *b",
        "a: &a [*a]",
        "k:\n\tb: c",
        "a: [",
    ] {
        assert!(read(text.as_bytes(), Dialect::Go).is_err(), "{text:.40}");
    }
    assert!(read(b"a: caf\xe9", Dialect::Go).is_err());
    assert!(read(&vec![b'#'; source::MOST_BYTES + 1], Dialect::Go).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        for dialect in [Dialect::Go, Dialect::Python, Dialect::Core] {
            let _ = read_noting(&bytes, dialect);
        }
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "([a-c<&*!:,?#|>%'\"\\[\\]{}~\n \t-]|<<: |\\*a|&a |---\n|\\.\\.\\.\n|- |: |!!binary ){0,60}") {
        for dialect in [Dialect::Go, Dialect::Python, Dialect::Core] {
            let _ = read_noting(text.as_bytes(), dialect);
        }
    }
}
