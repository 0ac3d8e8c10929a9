//! What goes onto the packages: the node's own files, those of bundles and of the definition.

use anyhow::{Context as _, Result};
use lifeboat_archive::{Content, Inode, Kind, Tree};
use lifeboat_config::{Definition, Findings, Mode, Owner, bundle};
use lifeboat_image::Units;

use crate::{
    definition::Loaded,
    hint::{self, Advised},
};

/// Files and links that every node has.
pub fn of_node() -> Result<Tree> {
    let mut tree = Tree::new();
    for file in lifeboat_node::files() {
        match file.content {
            lifeboat_node::Content::File(bytes) => tree.write(file.path, 0o644, bytes)?,
            lifeboat_node::Content::Folder => tree.mkdir(file.path, 0o755)?,
            lifeboat_node::Content::Link(target) => tree.symlink(file.path, target)?,
        }
    }
    Ok(tree)
}

/// Files of the bundles, then those of the definition. Names of owners are looked up in `base`.
pub fn of_definition(loaded: &Loaded, base: &Tree) -> Result<Tree> {
    let definition = &loaded.definition;
    let mut tree = Tree::new();
    let names = Names::read(base)?;
    for bundle in bundles(definition) {
        for file in &bundle.files {
            let content = Content::inline(&file.content);
            put(
                &mut tree,
                &names,
                file.path.as_str(),
                content,
                &file.mode,
                &file.owner,
            )
            .with_context(|| format!("bundle `{}`", bundle.name.as_str()))?;
        }
    }
    for (index, file) in definition.image.files.iter().enumerate() {
        let content = match (&file.source, &file.content) {
            (Some(source), _) => Content::file(loaded.folder.join(source.as_str()))
                .with_context(|| format!("image.files[{index}].source cannot be read"))?,
            (None, content) => Content::inline(content.as_deref().unwrap_or_default()),
        };
        let path = file.path.as_str();
        put(&mut tree, &names, path, content, &file.mode, &file.owner)
            .map_err(|error| of_file(loaded, index, &error))?;
    }
    Ok(tree)
}

/// What is wrong with one of the definition's files, at its place.
fn of_file(loaded: &Loaded, index: usize, error: &anyhow::Error) -> anyhow::Error {
    // Only an owner has advice; else it is the path that does not fit in.
    let hint = hint::of(error);
    let key = if hint.is_some() { "owner" } else { "path" };
    let path = format!("image.files[{index}].{key}");
    let finding = loaded.finding(&path, "bad-value", error.to_string(), hint);
    Findings(vec![finding]).into()
}

/// Units to enable, disable and mask.
pub fn units(definition: &Definition) -> Units {
    let mut units = Units::default();
    let base = &bundle::base().units;
    for more in bundles(definition)
        .map(|bundle| &bundle.units)
        .chain([base])
    {
        units.enable.extend(more.enable.iter().cloned());
        units.disable.extend(more.disable.iter().cloned());
        units.mask.extend(more.mask.iter().cloned());
    }
    units
}

/// The bundles that the definition names.
pub fn bundles(definition: &Definition) -> impl Iterator<Item = &'static bundle::Bundle> {
    definition
        .image
        .bundles
        .iter()
        .filter_map(|name| bundle::find(name.as_str()))
}

fn put(
    tree: &mut Tree,
    names: &Names,
    path: &str,
    content: Content,
    mode: &Mode,
    owner: &Owner,
) -> Result<()> {
    let (user, group) = owner.parts();
    let user_id = names.user(user)?;
    let mut inode = Inode::new(Kind::File(content), mode.bits());
    inode.uid = user_id.0;
    inode.gid = match group {
        Some(group) => names.group(group)?,
        None => user_id.1,
    };
    tree.insert(&Tree::clean(path)?, inode)?;
    Ok(())
}

/// Users and groups of the image.
struct Names {
    passwd: String,
    group: String,
}

impl Names {
    fn read(base: &Tree) -> Result<Self> {
        let text = |path: &str| -> Result<String> {
            match base.get(path).map(|inode| &inode.kind) {
                Some(Kind::File(content)) => Ok(String::from_utf8(content.read()?)?),
                _ => Ok(String::new()),
            }
        };
        Ok(Self {
            passwd: text("etc/passwd")?,
            group: text("etc/group")?,
        })
    }

    fn user(&self, name: &str) -> Result<(u32, u32)> {
        if let Ok(id) = name.parse() {
            return Ok((id, id));
        }
        let found = find(&self.passwd, name).and_then(|mut fields| {
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        found.ok_or_else(|| unknown("user", name))
    }

    fn group(&self, name: &str) -> Result<u32> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let found = find(&self.group, name).and_then(|mut fields| fields.next()?.parse().ok());
        found.ok_or_else(|| unknown("group", name))
    }
}

/// The fields after name and password. Source: passwd(5), group(5).
fn find<'a>(text: &'a str, name: &str) -> Option<impl Iterator<Item = &'a str>> {
    text.lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.skip(1)))
}

fn unknown(what: &str, name: &str) -> anyhow::Error {
    Advised::new(
        format!("the image has no {what} `{name}`"),
        "name one that its packages make, or give numbers as `1000:1000`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_those_of_the_image() {
        let mut base = Tree::new();
        base.write(
            "etc/passwd",
            0o644,
            "root:x:0:0::/root:/bin/sh\nssh:x:101:65534::/:/bin/false\n",
        )
        .unwrap();
        base.write("etc/group", 0o644, "root:x:0:\nshadow:x:42:\n")
            .unwrap();
        let text =
            "image: {files: [{path: /etc/a, content: x, owner: 'ssh:shadow', mode: '0640'}]}";
        let tree = of_definition(&loaded(text), &base).unwrap();
        let inode = tree.get("etc/a").unwrap();
        assert_eq!((inode.uid, inode.gid, inode.mode), (101, 42, 0o640));

        let text = "image:\n  files:\n  - {path: /etc/a, content: x, owner: nobody1}";
        let error = of_definition(&loaded(text), &base).unwrap_err();
        assert_eq!(
            error.to_string().lines().next(),
            Some("lifeboat.yaml:3:39: image.files[0].owner: the image has no user `nobody1`")
        );
    }

    fn loaded(text: &str) -> Loaded {
        Loaded::parse("lifeboat.yaml", text.into(), "/".into()).unwrap()
    }
}
