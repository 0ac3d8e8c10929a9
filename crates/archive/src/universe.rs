//! All packages that may be chosen from.

use std::{cmp::Ordering, collections::HashMap};

use crate::{
    Dependency, DependencyError, Package,
    dependency::{Relation, parse_dependencies},
    version::compare,
};

/// What the solver has to know of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its suite, as pins and messages name it.
    pub suite: String,
    /// Packages of the repository with the highest number are preferred, whatever their
    /// version. Apt's numbers: 500 as a rule, 100 for backports.
    pub priority: i32,
}

/// The packages of one architecture, by name and by what they provide.
#[derive(Debug)]
pub struct Universe<'a> {
    architecture: String,
    packages: Vec<Package<'a>>,
    origins: Vec<Origin>,
    names: HashMap<&'a str, Vec<u32>>,
    provided: HashMap<&'a str, Vec<Provided<'a>>>,
}

/// One `Provides`.
#[derive(Clone, Copy, Debug)]
struct Provided<'a> {
    package: u32,
    version: Option<&'a str>,
}

impl<'a> Universe<'a> {
    /// A universe of those `packages` that are for `architecture` or for all. `origins`
    /// holds one entry for each repository.
    ///
    /// # Errors
    /// [`DependencyError`] if a `Provides` cannot be read.
    pub fn new(
        architecture: &str,
        packages: Vec<Package<'a>>,
        origins: Vec<Origin>,
    ) -> Result<Self, DependencyError> {
        let mut packages = packages;
        packages.retain(|package| {
            package.architecture == architecture || package.architecture == "all"
        });
        let mut universe = Self {
            architecture: architecture.to_owned(),
            names: HashMap::with_capacity(packages.len()),
            packages: Vec::new(),
            origins,
            provided: HashMap::new(),
        };
        for (index, package) in (0_u32..).zip(&packages) {
            universe.names.entry(package.name).or_default().push(index);
            if package.provides.is_empty() {
                continue;
            }
            for group in parse_dependencies(package.provides, architecture)? {
                for provided in group {
                    let version = match provided.version {
                        Some((Relation::Equal, version)) => Some(version),
                        _ => None,
                    };
                    universe
                        .provided
                        .entry(provided.name)
                        .or_default()
                        .push(Provided {
                            package: index,
                            version,
                        });
                }
            }
        }
        universe.packages = packages;
        let mut names = std::mem::take(&mut universe.names);
        for indices in names.values_mut() {
            indices.sort_by(|a, b| universe.better(*a, *b));
            // The same version from several suites, as after a point release: one is enough.
            indices.dedup_by(|b, a| {
                let (a, b) = (
                    &universe.packages[*a as usize],
                    &universe.packages[*b as usize],
                );
                a.version == b.version
                    && a.architecture == b.architecture
                    && a.filename == b.filename
                    && universe.priority(a) == universe.priority(b)
            });
        }
        universe.names = names;
        Ok(universe)
    }

    /// The architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Number of packages, every version counted.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there is no package at all.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// All packages of a name, the preferred one first.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &Package<'a>> {
        self.indices(name).iter().map(|index| self.package(*index))
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.keys().copied()
    }

    pub(crate) fn package(&self, index: u32) -> &Package<'a> {
        &self.packages[index as usize]
    }

    pub(crate) fn indices(&self, name: &str) -> &[u32] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Who provides a name, and as which version.
    pub(crate) fn providers(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (&Package<'a>, Option<&'a str>)> {
        self.provided
            .get(name)
            .into_iter()
            .flatten()
            .map(|provided| (self.package(provided.package), provided.version))
    }

    fn priority(&self, package: &Package<'a>) -> i32 {
        self.origins
            .get(package.repository)
            .map_or(0, |origin| origin.priority)
    }

    /// The suite that a package is from.
    pub fn suite(&self, package: &Package<'_>) -> &str {
        self.origins
            .get(package.repository)
            .map_or("", |origin| &origin.suite)
    }

    /// Which of two packages of one name is taken first: that of the more important
    /// repository, then the later version, then the earlier repository.
    pub(crate) fn better(&self, a: u32, b: u32) -> Ordering {
        let (first, second) = (self.package(a), self.package(b));
        self.priority(second)
            .cmp(&self.priority(first))
            .then_with(|| compare(second.version, first.version))
            .then_with(|| first.repository.cmp(&second.repository))
            .then_with(|| a.cmp(&b))
    }

    /// Packages that satisfy a dependency, by name: the one so called first, then those that
    /// provide it, the most important first.
    pub(crate) fn satisfying(&self, dependency: &Dependency<'_>) -> Vec<(&'a str, Vec<u32>)> {
        let foreign = match dependency.qualifier {
            None | Some("any" | "native") => false,
            Some(architecture) => architecture != self.architecture,
        };
        if foreign {
            return Vec::new();
        }
        let mut found: Vec<(&'a str, Vec<u32>)> = Vec::new();
        let mut own: Vec<u32> = self.indices(dependency.name).to_vec();
        own.retain(|index| {
            let package = self.package(*index);
            let any = dependency.qualifier == Some("any");
            (!any || package.multi_arch == crate::MultiArch::Allowed)
                && dependency
                    .version
                    .is_none_or(|(relation, named)| relation.holds(package.version, named))
        });
        if let Some(first) = own.first() {
            found.push((self.package(*first).name, own));
        }
        let mut providers: Vec<u32> = self
            .provided
            .get(dependency.name)
            .into_iter()
            .flatten()
            .filter(|provided| match (dependency.version, provided.version) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((relation, named)), Some(version)) => relation.holds(version, named),
            })
            .map(|provided| provided.package)
            .collect();
        let rank = |index: u32| {
            let package = self.package(index);
            let priority = std::cmp::Reverse(self.priority(package));
            (priority, !package.essential, package.priority, package.name)
        };
        providers.sort_by(|a, b| rank(*a).cmp(&rank(*b)).then_with(|| self.better(*a, *b)));
        for index in providers {
            let name = self.package(index).name;
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, indices)) if indices.contains(&index) => {}
                Some((_, indices)) => indices.push(index),
                None => found.push((name, vec![index])),
            }
        }
        found
    }
}
