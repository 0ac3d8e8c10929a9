use std::{fmt::Write as _, io::Write as _};

use proptest::prelude::*;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(data).unwrap();
    packer.finish().unwrap()
}

fn text(data: &UserData) -> &str {
    std::str::from_utf8(data.content.as_deref().unwrap()).unwrap()
}

#[test]
fn plain_and_packed_data_come_out_as_they_are() {
    for data in [
        "#cloud-config\nhostname: a\n",
        "#!/bin/sh\necho\n",
        "k3os: {}\n",
    ] {
        for raw in [
            data.as_bytes().to_vec(),
            gzip(data.as_bytes()),
            gzip(&gzip(data.as_bytes())),
        ] {
            let got = unpack(&raw);
            assert_eq!(text(&got), data);
            assert!(got.problems.is_empty());
        }
    }
    assert!(unpack(b" \n").content.is_none());
}

#[test]
fn bombs_and_broken_packs_are_refused() {
    let bomb = gzip(&vec![b'a'; 64 << 20]);
    assert!(unpack(&bomb).problems[0].contains("4 MiB"));
    let packed = gzip(b"hostname: a\n");
    assert!(unpack(&packed[..packed.len() - 9]).problems[0].contains("gzip"));
    let mut layers = b"a: 1".to_vec();
    for _ in 0..4 {
        layers = gzip(&layers);
    }
    assert!(unpack(&layers).content.is_none());
}

#[test]
fn what_cannot_be_used_says_why() {
    for (data, why) in [
        ("#include\nhttp://x/\n", "not followed"),
        ("#cloud-boothook\n", "boot_cmd"),
        ("## template: jinja\n#cloud-config\n", "template"),
        (
            "{\"ignition\": {\"version\": \"3.3.0\"}}",
            "convert --from ignition",
        ),
        ("<powershell>\n", "Windows"),
    ] {
        let got = unpack(data.as_bytes());
        assert!(got.content.is_none(), "{data}");
        assert!(got.problems[0].contains(why), "{data}: {:?}", got.problems);
    }
}

const MESSAGE: &str = "Content-Type: multipart/mixed;\r\n boundary=\"=_x y\"\r\nMIME-Version: 1.0\r\n\r\n\
preamble\r\n--=_x y\r\nContent-Type: text/cloud-config; charset=\"us-ascii\"\r\n\r\nhostname: n1\r\nrun_cmd: a\r\n\
\r\n--=_x y\r\nContent-Type: text/x-shellscript\r\nContent-Transfer-Encoding: base64\r\n\r\n\
IyEvYmluL3NoCmVj\r\naG8gaGkK\r\n--=_x y\r\nContent-Type: text/plain\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\r\n#cloud-config\r\nk3os: {token=3A =\r\nb}\r\nhostname: n2\r\n--=_x y--\r\nend\r\n";

#[test]
fn parts_of_a_message_are_one_configuration() {
    let got = unpack(MESSAGE.as_bytes());
    assert_eq!(got.problems, Vec::<String>::new());
    let value: Json = serde_json::from_slice(got.content.as_deref().unwrap()).unwrap();
    assert_eq!(
        value,
        json!({
            "hostname": "n2", "k3os": {"token": "b"},
            "run_cmd": ["a", "/run/lifeboat/userdata/part-2"],
            "write_files": [{"path": "/run/lifeboat/userdata/part-2", "owner": "root",
                "permissions": "0700", "content": "#!/bin/sh\necho hi\n"}],
        })
    );
    assert!(!format!("{got:?}").contains("n2"));
}

#[test]
fn a_message_with_one_useful_part_is_that_part() {
    let message = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
        Content-Type: text/cloud-boothook\n\nx\n--b\nContent-Type: text/cloud-config\n\n#cloud-config\na: 0644 # kept\n--b--\n";
    let got = unpack(&gzip(message.as_bytes()));
    assert_eq!(text(&got), "#cloud-config\na: 0644 # kept");
    assert_eq!(got.problems.len(), 1);
    // One that is cut off keeps what is there.
    let cut = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n";
    assert_eq!(text(&unpack(cut.as_bytes())), "#!/bin/sh\n");
    // No multi-part message, but one part with a header.
    let single = "Content-Type: text/cloud-config\n\nhostname: a\n";
    assert_eq!(text(&unpack(single.as_bytes())), "hostname: a\n");
}

#[test]
fn broken_messages_are_refused() {
    for message in [
        "Content-Type: multipart/mixed\n\n--b\n\nx\n",
        "Content-Type: multipart/mixed; boundary=b\n\n",
        "Content-Type: text/cloud-config\nContent-Transfer-Encoding: base64\n\n%%%\n",
    ] {
        assert!(unpack(message.as_bytes()).content.is_none(), "{message}");
    }
    let mut deep = String::new();
    for level in 0..10 {
        writeln!(
            deep,
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}"
        )
        .unwrap();
    }
    assert!(unpack(deep.as_bytes()).problems[0].contains("nested"));
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}",
        "--b\n\nx\n".repeat(300)
    );
    assert!(unpack(many.as_bytes()).problems[0].contains("256"));
}

proptest! {
    #[test]
    fn any_bytes_are_unpacked_or_refused(bytes: Vec<u8>) {
        let _ = unpack(&bytes);
        let _ = unpack(&gzip(&bytes));
    }

    #[test]
    fn any_message_is_unpacked_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "Content-Type: ", "multipart/mixed", "; boundary=b", "\n", "\n\n", "--b", "--", "\r\n",
            "text/plain", "Content-Transfer-Encoding: ", "base64", "quoted-printable", "=3", "=", "\"",
            "\\", " ", ";", "#cloud-config\n", "a: 1", "#!", "é",
        ]), 0..40),
    ) {
        let _ = unpack(format!("Content-Type: {}", pieces.concat()).as_bytes());
    }
}
