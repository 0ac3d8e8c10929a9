//! Input that means harm, or is no definition at all.

use std::time::{Duration, Instant};

use lifeboat_config::{parse, parse_node};
use proptest::prelude::*;

/// The first finding, which must come fast.
fn refused(bytes: &[u8]) -> String {
    let start = Instant::now();
    let findings = parse("f", bytes).unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    findings.0[0].to_string()
}

#[test]
fn unreadable_bytes_have_a_place() {
    assert_eq!(refused(b"a: b\nc: \xff\n"), "f:2:4: byte 0xff is not UTF-8");
    assert_eq!(
        refused("a: ü\0\n".as_bytes()),
        "f:1:5: a NUL byte is not allowed in YAML"
    );
    assert_eq!(
        refused(b"a: \x1b[0m\n"),
        "f:1:4: the control character U+001B is not allowed in YAML"
    );
    assert_eq!(
        refused(b"\xff\xfea\0:\0"),
        "f:1:1: the file is UTF-16; only UTF-8 is read"
    );
    assert!(parse("f", b"\xef\xbb\xbfimage: {}\r\n").is_ok());
}

#[test]
fn a_large_file_is_refused_unread() {
    let message = refused(&vec![b'a'; 100 << 20]);
    assert!(
        message.contains("has 104857600 bytes; at most 4194304 are read"),
        "{message}"
    );
}

#[test]
fn aliases_do_not_multiply() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..10 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        lines.push(format!("a{level}: &a{level} [{inner}]"));
    }
    let text = lines.join("\n");
    assert!(refused(text.as_bytes()).contains("more than 200000 values"));
    let long = "x".repeat(1 << 20);
    let text = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 100].join(", "));
    assert!(refused(text.as_bytes()).contains("bytes of text"));
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        for depth in [100, 100_000] {
            let text = format!("{}{}", open.repeat(depth), close.repeat(depth));
            let message = refused(text.as_bytes());
            assert!(
                message.contains("more than 64 levels") || message.contains("not YAML"),
                "{message}"
            );
        }
    }
}

#[test]
fn no_shape_of_four_megabytes_takes_long() {
    let most = 4 << 20;
    for piece in [
        "a", " ", "\n", "#", "a\n", "- a\n", "a: b\n", "'", "\"", "[", "]", "{", "a,", "&a ",
        "*a ", "!a ", "? ", ": ", "|\n", "%a\n", "---\n", "\t", "\"\\u", "é", "a: &a\n", "[a: ",
    ] {
        for start in ["", "[", "a: |\n ", "\""] {
            let mut text = start.to_owned();
            while text.len() + piece.len() <= most / 32 {
                text.push_str(piece);
            }
            refused_or_taken(text.as_bytes(), piece);
        }
    }
}

fn refused_or_taken(bytes: &[u8], piece: &str) {
    let start = Instant::now();
    let _ = parse("f", bytes);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{piece:?} took {took:?}");
}

/// Text that looks like YAML more often than noise does.
fn any_yaml() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "[a-z0-9./:-]{0,8}",
        4 => proptest::sample::select(vec![
            "image", "node", "machine", "kubernetes", "labels", "write_files", "path", "ports",
            ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "&a ", "*a", "!!str ", "|\n", ">-\n",
            "'", "\"", "#", "---\n", "?", "\t", "~", "1.36", "0755", "\\", "%", "<<",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>) {
        let _ = parse("f", &bytes);
        let _ = parse_node("f", &bytes);
    }

    #[test]
    fn anything_like_yaml_is_answered(text in any_yaml()) {
        if let Err(findings) = parse("f", text.as_bytes()) {
            let lines = text.lines().count().max(1) + 1;
            prop_assert!(!findings.0.is_empty());
            for finding in &findings.0 {
                prop_assert!(finding.line >= 1 && finding.line <= lines + 1 && finding.column >= 1);
                prop_assert!(!finding.to_string().contains('\n'));
            }
        }
    }
}
