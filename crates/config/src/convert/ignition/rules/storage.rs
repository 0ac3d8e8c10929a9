//! Files, directories and links.

use std::collections::HashSet;

use super::{Node, Rules, by, clean, path_flaw, resources::has_source};

impl Rules<'_> {
    pub(super) fn storage(&mut self, storage: &Node) {
        self.unique_together(
            storage,
            &["directories", "files", "links"],
            by("path"),
            "this path",
        );
        for directory in storage.list("directories") {
            self.node(directory);
            self.mode(directory);
        }
        for file in storage.list("files") {
            self.node(file);
            self.mode(file);
            let contents = file.below("contents");
            self.resource(contents);
            for resource in file.list("append") {
                self.resource(resource);
            }
            let no_source = !has_source(contents) && !file.is_bad("contents");
            if file.is_true("overwrite") && no_source {
                self.invalid(
                    file,
                    "overwrite",
                    "overwrite must be false where no contents.source is given",
                );
            }
        }
        for link in storage.list("links") {
            self.node(link);
        }
        self.below_links(storage);
        self.targets(storage);
        self.devices(storage);
    }

    fn node(&mut self, node: &Node) {
        if !node.is_bad("path")
            && let Some(flaw) = path_flaw(node.text("path").unwrap_or_default())
        {
            self.invalid(node, "path", flaw);
        }
        for key in ["user", "group"] {
            let owner = node.below(key);
            if owner.number("id").is_some() && owner.filled("name").is_some() {
                self.invalid_at(owner, "only one of id and name may be given");
            }
        }
    }

    fn mode(&mut self, node: &Node) {
        if let Some(mode) = node.number("mode")
            && !(0..=0o7777).contains(&mode)
        {
            self.invalid(
                node,
                "mode",
                format!("a mode is at most 4095 (octal 7777), but this is {mode}"),
            );
        }
    }

    /// Nothing may be below a link of the same document.
    fn below_links(&mut self, storage: &Node) {
        let links: HashSet<&str> = storage
            .list("links")
            .iter()
            .filter(|link| !link.is_bad("path"))
            .map(|link| link.text("path").unwrap_or_default())
            .collect();
        if links.is_empty() {
            return;
        }
        for (list, what) in [
            ("directories", "directory"),
            ("files", "file"),
            ("links", "link"),
        ] {
            for node in storage.list(list) {
                let path = node.text("path").unwrap_or_default();
                let below = path
                    .match_indices('/')
                    .map(|(at, _)| &path[..at])
                    // No path is longer; a hostile one would take for ever.
                    .take_while(|parent| parent.len() <= 4096)
                    .find(|parent| links.contains(parent));
                if let Some(parent) = below {
                    self.invalid_at(
                        node,
                        format!("the {what} is below {parent}, which is a link of this document"),
                    );
                }
            }
        }
    }

    fn targets(&mut self, storage: &Node) {
        for link in storage.list("links") {
            if link.is_bad("target") {
                continue;
            }
            let target = link.text("target").unwrap_or_default();
            if target.is_empty() && self.spec >= 3 {
                self.invalid(link, "target", "a link needs a target");
                continue;
            }
            if !link.is_true("hard") {
                continue;
            }
            let absolute = if target.starts_with('/') {
                clean(target)
            } else {
                clean(&format!(
                    "{}/{target}",
                    link.text("path").unwrap_or_default()
                ))
            };
            let directories = storage.list("directories").iter();
            for _ in directories.filter(|one| one.text("path") == Some(&absolute)) {
                self.invalid_at(
                    link,
                    "the target of a hard link is a directory of this document",
                );
            }
            for key in ["user", "group"] {
                let owner = link.below(key);
                for key in ["id", "name"] {
                    if owner.get(key).is_some() {
                        self.warn(owner, key, "a hard link has the owner of its target");
                    }
                }
            }
        }
    }
}
