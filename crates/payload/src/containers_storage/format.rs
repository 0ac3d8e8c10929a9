//! The documents and names of the store. Source: the containers-storage library, `images.go`,
//! `layers.go` and `drivers/overlay/overlay.go`; what its users keep in it, the containers-image
//! library, `storage/storage_dest.go`.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lifeboat_archive::Digest;
use serde::{Deserialize, Serialize};

use crate::oci::named;

/// Folders of layers' files, and the short names among them.
pub(super) const OVERLAY: &str = "overlay";
pub(super) const LINKS: &str = "l";
pub(super) const LAYERS: &str = "overlay-layers";
pub(super) const IMAGES: &str = "overlay-images";
/// The manifest that the image was found by, among an image's documents.
pub(super) const MANIFEST: &str = "manifest";
/// The time in all records.
pub(super) const CREATED: &str = "1970-01-01T00:00:00Z";
/// Letters of a short name (RFC 4648 base32), and how many it has.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LINK_LENGTH: usize = 26;

/// A record of `layers.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
    pub(super) created: String,
    #[serde(rename = "diff-digest")]
    pub(super) diff_digest: String,
    #[serde(rename = "diff-size")]
    pub(super) diff_size: u64,
}

/// A record of `images.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    pub(super) id: String,
    pub(super) digest: String,
    pub(super) names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<String>,
    pub(super) metadata: String,
    #[serde(rename = "big-data-names")]
    pub(super) data_names: Vec<String>,
    #[serde(rename = "big-data-sizes")]
    pub(super) data_sizes: BTreeMap<String, u64>,
    #[serde(rename = "big-data-digests")]
    pub(super) data_digests: BTreeMap<String, String>,
    pub(super) created: String,
}

/// The id of a layer on top of another: so a pulled image finds the layers that are here.
pub(super) fn layer_id(parent: Option<&str>, diff_id: &Digest) -> String {
    match parent {
        None => diff_id.to_string(),
        Some(parent) => Digest::of(format!("{parent}+{diff_id}")).to_string(),
    }
}

/// The short name of a layer. The library draws it by lot; here it follows from the id, so that
/// a store is the same each time.
pub(super) fn link(id: &str) -> String {
    let digest = Digest::of(format!("link {id}"));
    let letters = digest.0.iter().take(LINK_LENGTH);
    letters
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect()
}

/// The name of a manifest among an image's documents.
pub(super) fn manifest_name(digest: &Digest) -> String {
    format!("{MANIFEST}-{}", named(digest))
}

/// The file of a document, by its name.
pub(super) fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte == b'.' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if name.bytes().all(plain) {
        return name.to_owned();
    }
    format!("={}", STANDARD.encode(name))
}
