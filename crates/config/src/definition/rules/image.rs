//! What the node's settings want of the image.

use super::key_place;
use crate::{bundle, definition::Definition, finding::Collector, render, yaml::Value};

/// Warns of programs that settings need and that no package of the definition brings.
pub(super) fn wanted(definition: &Definition, root: &Value, findings: &mut Collector) {
    let image = &definition.image;
    let named = |package: &str| image.packages.iter().any(|one| one.as_str() == package);
    let bundled = |package: &str| {
        let mut chosen = bundle::catalogue()
            .iter()
            .filter(|bundle| image.bundles.contains(&bundle.name));
        chosen.any(|bundle| {
            let mut packages = bundle.packages.iter();
            packages.any(|one| one.name.as_str() == package)
        })
    };
    for program in render::wanted_programs(&definition.node) {
        let package = program.package;
        if named(package) || bundled(package) {
            continue;
        }
        findings.warn(
            key_place(root, &["node"], program.key),
            format!("node.{}", program.key),
            "missing-package",
            format!(
                "needs {}, which this image does not have unless another package brings it",
                program.path
            ),
            Some(format!("add {package} to image.packages")),
        );
    }
}
