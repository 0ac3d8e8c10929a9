//! Puts images into a tree as a store.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat_archive::{Digest, Tree, TreeError};
use serde::Serialize;

use super::format::{
    CREATED, IMAGES, ImageRecord, LAYERS, LINKS, LayerRecord, MANIFEST, OVERLAY, file_name,
    layer_id, link, manifest_name,
};
use crate::{
    oci::{Image, Layer, named},
    store::{Known, known_files, place},
};

/// Adds a store of these images to `tree`, in the folder `at`. A layer of several images is
/// there once; files whose content is in the tree already become hard links to it.
pub(crate) fn add(tree: &mut Tree, at: &str, images: &[Image]) -> Result<(), TreeError> {
    let mut known = known_files(tree);
    let mut layers = Vec::new();
    let mut present = BTreeSet::new();
    let mut records: BTreeMap<String, ImageRecord> = BTreeMap::new();
    tree.mkdir(format!("{at}/{OVERLAY}/{LINKS}"), 0o755)?;
    for image in images {
        // The ids of the layers below, the nearest first.
        let mut below: Vec<String> = Vec::new();
        for layer in &image.layers {
            let parent = below.first().cloned();
            let id = layer_id(parent.as_deref(), &layer.diff_id);
            if present.insert(id.clone()) {
                add_layer(tree, at, layer, &id, &below, &mut known)?;
                layers.push(LayerRecord {
                    id: id.clone(),
                    parent,
                    created: CREATED.to_owned(),
                    diff_digest: named(&layer.diff_id),
                    diff_size: layer.size,
                });
            }
            below.insert(0, id);
        }
        let id = Digest::of(&image.config).to_string();
        if let Some(record) = records.get_mut(&id) {
            // The same image in another archive, under another name.
            record.names.extend(image.names.iter().cloned());
            record.names.sort();
            record.names.dedup();
        } else {
            let record = add_image(tree, at, image, below.into_iter().next())?;
            records.insert(id, record);
        }
    }
    write(tree, &format!("{at}/{LAYERS}/layers"), &layers)?;
    let records: Vec<&ImageRecord> = records.values().collect();
    write(tree, &format!("{at}/{IMAGES}/images"), &records)
}

/// A list of records and its lock.
fn write(tree: &mut Tree, path: &str, records: &impl Serialize) -> Result<(), TreeError> {
    // Records of text and numbers can always be written.
    let text = serde_json::to_vec(records).unwrap_or_default();
    tree.write(format!("{path}.json"), 0o644, text)?;
    tree.write(format!("{path}.lock"), 0o644, "")?;
    Ok(())
}

fn add_layer(
    tree: &mut Tree,
    at: &str,
    layer: &Layer,
    id: &str,
    below: &[String],
    known: &mut Known,
) -> Result<(), TreeError> {
    let folder = format!("{at}/{OVERLAY}/{id}");
    tree.mkdir(&folder, 0o700)?;
    let name = link(id);
    tree.write(format!("{folder}/link"), 0o644, &name)?;
    tree.symlink(
        format!("{at}/{OVERLAY}/{LINKS}/{name}"),
        format!("../{id}/diff"),
    )?;
    if below.is_empty() {
        // What the driver mounts below a layer that stands on nothing.
        tree.mkdir(format!("{folder}/empty"), 0o700)?;
    } else {
        let names: Vec<String> = below
            .iter()
            .map(|id| format!("{LINKS}/{}", link(id)))
            .collect();
        tree.write(format!("{folder}/lower"), 0o644, names.join(":"))?;
    }
    for mount in ["merged", "work"] {
        tree.mkdir(format!("{folder}/{mount}"), 0o700)?;
    }
    place(tree, &format!("{folder}/diff"), &layer.tree, known)
}

fn add_image(
    tree: &mut Tree,
    at: &str,
    image: &Image,
    top: Option<String>,
) -> Result<ImageRecord, TreeError> {
    let id = Digest::of(&image.config);
    let manifest = Digest::of(&image.manifest);
    let mut documents: Vec<(String, &[u8])> = vec![
        (named(&id), &image.config),
        (MANIFEST.to_owned(), &image.manifest),
        (manifest_name(&manifest), &image.manifest),
    ];
    if let Some(index) = &image.referrer {
        documents.push((manifest_name(&Digest::of(&index.bytes)), &index.bytes));
    }
    let mut record = ImageRecord {
        id: id.to_string(),
        digest: named(&manifest),
        names: image.names.clone(),
        layer: top,
        metadata: "{}".to_owned(),
        data_names: Vec::new(),
        data_sizes: BTreeMap::new(),
        data_digests: BTreeMap::new(),
        created: CREATED.to_owned(),
    };
    for (name, bytes) in documents {
        let path = format!("{at}/{IMAGES}/{id}/{}", file_name(&name));
        tree.write(path, 0o600, bytes)?;
        record.data_sizes.insert(name.clone(), bytes.len() as u64);
        record
            .data_digests
            .insert(name.clone(), named(&Digest::of(bytes)));
        record.data_names.push(name);
    }
    Ok(record)
}
