//! Authorities that the node trusts besides those of the image.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::RenderedFile;
use crate::{NodeConfig, definition::types::system::certificates};

/// The file of all authorities, which nearly every program reads.
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

const BEGIN: &str = "# ca_certs of the node configuration\n";
const END: &str = "# end of ca_certs\n";

/// The certificates of `ca_certs` as PEM, without what stood around them; each once.
fn trusted(node: &NodeConfig) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in &node.ca_certs {
        // The format has been checked: nothing is left out here.
        for der in certificates(text.as_str()).unwrap_or_default() {
            let pem = pem(&der);
            if !found.contains(&pem) {
                found.push(pem);
            }
        }
    }
    found
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// Each certificate of `ca_certs` as a file, for programs that take a folder.
pub fn ca_files(node: &NodeConfig) -> Vec<RenderedFile> {
    let certificates = trusted(node).into_iter().enumerate();
    certificates
        .map(|(index, pem)| {
            RenderedFile::new(format!("/etc/ssl/certs/lifeboat-{:03}.pem", index + 1), pem)
        })
        .collect()
}

/// The text of [`CA_BUNDLE`]: what it held, and `ca_certs` in a part of their own. Of its own
/// result it makes the same, and without `ca_certs` it makes the image's.
pub fn ca_bundle(now: &str, node: &NodeConfig) -> String {
    let kept = match now.split_once(BEGIN) {
        Some((before, after)) => {
            let after = after.split_once(END).map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => now.to_owned(),
    };
    let mut added = String::new();
    for pem in trusted(node) {
        if !kept.contains(&pem) {
            added.push_str(&pem);
        }
    }
    if added.is_empty() {
        return kept;
    }
    let gap = if kept.is_empty() || kept.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{kept}{gap}{BEGIN}{added}{END}")
}
