//! Merges unpacked packages into one tree, as dpkg would lay them out.

mod database;
mod options;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use options::{Diversion, MergeOptions, StatOverride};

use crate::{
    DependencyError, InodeId, Kind, Tree, TreeError, TreePath, UnpackedDeb, parse_dependencies,
};

/// The folders of the root that are links into `usr`.
const ALIASES: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Packages that cannot stand in one tree.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Two packages bring the same file and neither replaces the other.
    #[error("packages `{first}` and `{second}` both bring `/{path}`, and neither `Replaces` it")]
    Conflict {
        /// The file.
        path: String,
        /// One package.
        first: String,
        /// The other.
        second: String,
    },
    /// Two packages of one name.
    #[error("package `{0}` is there twice")]
    Twice(String),
    /// A file where a folder is needed, or the other way round.
    #[error("the files of package `{package}` do not fit to those of the others")]
    Tree {
        /// The package.
        package: String,
        /// What does not fit.
        source: TreeError,
    },
    /// `Replaces` is malformed.
    #[error("package `{package}` has a bad field `Replaces`")]
    Replaces {
        /// The package.
        package: String,
        /// What is wrong.
        source: DependencyError,
    },
}

/// Merges packages into one tree, with `/bin`, `/lib`, `/lib64` and `/sbin` as links into
/// `/usr`. The order of `debs` does not matter.
///
/// # Errors
/// [`MergeError`] if they do not fit together.
pub fn merge(debs: &[UnpackedDeb], options: &MergeOptions) -> Result<Tree, MergeError> {
    let mut debs: Vec<&UnpackedDeb> = debs.iter().collect();
    // The mode of a folder that several packages bring is that of the first; base-files'
    // count most.
    debs.sort_by_key(|deb| (deb.name != "base-files", &deb.name));
    if let Some(pair) = debs.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(MergeError::Twice(pair[0].name.clone()));
    }
    let mut merge = Merge {
        options,
        debs: &debs,
        tree: Tree::new(),
        owners: BTreeMap::new(),
        lost: vec![BTreeSet::new(); debs.len()],
    };
    merge.aliases().map_err(tree_error("base-files"))?;
    for index in 0..debs.len() {
        merge.add(index)?;
    }
    let Merge { mut tree, lost, .. } = merge;
    for given in options.overrides() {
        if let Some(inode) = tree.get_mut(tree.resolve_parents(&given.path)) {
            (inode.uid, inode.gid, inode.mode) = (given.uid, given.gid, given.mode);
        }
    }
    if options.has_database() {
        database::write(&mut tree, &debs, &lost, options).map_err(tree_error("dpkg"))?;
    }
    Ok(tree)
}

struct Merge<'a> {
    options: &'a MergeOptions,
    debs: &'a [&'a UnpackedDeb],
    tree: Tree,
    /// Which package a file is of.
    owners: BTreeMap<TreePath, usize>,
    /// Files of each package that another one replaces.
    lost: Vec<BTreeSet<TreePath>>,
}

impl Merge<'_> {
    fn aliases(&mut self) -> Result<(), TreeError> {
        for alias in ALIASES {
            self.tree.mkdir(format!("usr/{alias}"), 0o755)?;
            self.tree.symlink(alias, format!("usr/{alias}"))?;
        }
        Ok(())
    }

    fn add(&mut self, index: usize) -> Result<(), MergeError> {
        let deb = self.debs[index];
        let conffiles: BTreeSet<&[u8]> = deb
            .control
            .conffiles()
            .map(|path| path.trim_start_matches('/').as_bytes())
            .collect();
        let mut made: BTreeMap<InodeId, TreePath> = BTreeMap::new();
        for (path, id, inode) in deb.tree.iter() {
            if path.is_empty() || self.options.is_excluded(path) {
                continue;
            }
            let mut to = self.tree.resolve_parents(self.diverted(deb, path));
            match (&inode.kind, self.tree.get(&to).map(|old| &old.kind)) {
                // A link to a folder stands for it; a folder stays as its first package
                // wants it.
                (Kind::Directory, Some(Kind::Directory | Kind::Symlink(_)))
                | (Kind::Symlink(_), Some(Kind::Directory)) => continue,
                (Kind::Directory, _) => {}
                _ => {
                    if let Some(other) = self.owners.get(&to).copied()
                        && other != index
                        && !self.takes(index, other, &to, path)?
                    {
                        continue;
                    }
                    self.owners.insert(to.clone(), index);
                    if self.options.has_database() && conffiles.contains(path) {
                        to.extend_from_slice(b".dpkg-new");
                    }
                }
            }
            let done = match made.get(&id) {
                Some(first) => self.tree.link(&to, first),
                None => self.tree.insert(&to, inode.clone()).map(drop),
            };
            done.map_err(tree_error(&deb.name))?;
            made.entry(id).or_insert(to);
        }
        Ok(())
    }

    /// Whether package `new` may put its file where package `old` has one.
    fn takes(
        &mut self,
        new: usize,
        old: usize,
        to: &[u8],
        path: &[u8],
    ) -> Result<bool, MergeError> {
        let (new_deb, old_deb) = (self.debs[new], self.debs[old]);
        if replaces(new_deb, old_deb)? {
            self.lost[old].insert(to.to_vec());
            return Ok(true);
        }
        if replaces(old_deb, new_deb)? {
            self.lost[new].insert(path.to_vec());
            return Ok(false);
        }
        Err(MergeError::Conflict {
            path: String::from_utf8_lossy(path).into_owned(),
            first: old_deb.name.clone(),
            second: new_deb.name.clone(),
        })
    }

    fn diverted<'p>(&'p self, deb: &UnpackedDeb, path: &'p [u8]) -> &'p [u8] {
        self.options
            .diversions()
            .iter()
            .find(|diversion| diversion.from == path && diversion.by != deb.name)
            .map_or(path, |diversion| diversion.to.as_slice())
    }
}

fn replaces(deb: &UnpackedDeb, other: &UnpackedDeb) -> Result<bool, MergeError> {
    let Some(field) = deb.control.field("Replaces") else {
        return Ok(false);
    };
    let groups =
        parse_dependencies(field, &other.architecture).map_err(|source| MergeError::Replaces {
            package: deb.name.clone(),
            source,
        })?;
    Ok(groups.iter().flatten().any(|replaced| {
        replaced.name == other.name
            && replaced
                .version
                .is_none_or(|(relation, version)| relation.holds(&other.version, version))
    }))
}

fn tree_error(package: &str) -> impl FnOnce(TreeError) -> MergeError {
    let package = package.to_owned();
    move |source| MergeError::Tree { package, source }
}
