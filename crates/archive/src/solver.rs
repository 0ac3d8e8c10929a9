//! Which packages go together: Debian's relations, solved by a SAT solver.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Display,
};

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache,
    StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use crate::{
    Dependency, DependencyError, Digest, Package, Priority, Universe,
    dependency::parse_dependencies, explain,
};

/// Which packages are taken beside the named ones and what they need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Base {
    /// None: programs that are run from a folder.
    #[default]
    None,
    /// All essential packages: the least that Debian's scripts expect.
    Essential,
    /// Also all of priority `required`.
    Required,
    /// Also all of priority `important`.
    Important,
}

/// What is asked of the solver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Packages to have, each as `NAME`, `NAME=VERSION`, `NAME/SUITE`, or written like an
    /// entry of a `Depends` field.
    pub names: Vec<String>,
    /// What else to have.
    pub base: Base,
    /// Packages that are taken from a suite and from no other, by name.
    pub pins: BTreeMap<String, String>,
    /// Packages that must not be there.
    pub exclude: BTreeSet<String>,
    /// Package files that are taken before better ones if that can be, by name and digest: those
    /// of an earlier lock, so that a new one changes only what must change.
    pub keep: BTreeMap<String, Digest>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsolvable {
    /// No package has this name, and none provides it.
    #[error("there is no package `{name}`")]
    Unknown {
        /// The name as it was given.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// The package exists, but not so.
    #[error("there is no package `{wanted}`; there is {}", available.join(", "))]
    NoVersion {
        /// What was asked for.
        wanted: String,
        /// The versions there are, with their suites.
        available: Vec<String>,
    },
    /// A wish cannot be read.
    #[error("a package cannot be asked for like this")]
    Wish(#[from] DependencyError),
    /// Packages need what is missing or conflict.
    #[error("no set of packages fulfils the request:\n{}", reasons.join("\n"))]
    Conflict {
        /// One sentence for each cause, indented by two blanks.
        reasons: Vec<String>,
    },
}

impl Unsolvable {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } => nearest
                .as_ref()
                .map(|nearest| format!("did you mean `{nearest}`?")),
            Self::NoVersion { .. } => {
                Some("name one of those versions, or none to get the preferred one".to_owned())
            }
            Self::Wish(_) => {
                Some("write `NAME`, `NAME=VERSION`, `NAME/SUITE` or `NAME (>= VERSION)`".to_owned())
            }
            Self::Conflict { .. } => None,
        }
    }
}

/// The packages that fulfil the wishes, in the order of their names.
///
/// # Errors
/// [`Unsolvable`] in words for the person who wrote the wishes.
pub fn solve<'u, 'a>(
    universe: &'u Universe<'a>,
    wishes: &Wishes,
) -> Result<Vec<&'u Package<'a>>, Unsolvable> {
    let mut wishes = wishes.clone();
    for name in &mut wishes.names {
        if let Some((package, suite)) = name.clone().split_once('/') {
            wishes.pins.insert(package.to_owned(), suite.to_owned());
            package.clone_into(name);
        }
    }
    let provider = Provider::new(universe, &wishes);
    let mut requirements = Vec::new();
    let mut roots = Vec::new();
    for name in &wishes.names {
        let text = match name.split_once('=') {
            Some((package, version)) if !name.contains('(') => {
                format!("{} (= {})", package.trim_ascii(), version.trim_ascii())
            }
            _ => name.clone(),
        };
        let groups = parse_dependencies(&text, universe.architecture())?;
        for group in groups {
            known(universe, &group)?;
            requirements.push(provider.requirement(&group));
            roots.push(text.clone());
        }
    }
    for name in base(universe, wishes.base) {
        let group = [Dependency {
            name,
            qualifier: None,
            version: None,
        }];
        requirements.push(provider.requirement(&group));
        roots.push(name.to_owned());
    }
    let problem = Problem::new().requirements(requirements);
    let mut solver = Solver::new(provider);
    match solver.solve(problem) {
        Ok(solution) => {
            let chosen: BTreeSet<u32> = solution.into_iter().map(SolvableId::into_raw).collect();
            let mut packages: Vec<&Package<'a>> = needed(universe, &chosen, &roots)
                .into_iter()
                .map(|index| universe.package(index))
                .collect();
            packages.sort_by_key(|package| package.name);
            Ok(packages)
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let graph = conflict.graph(&solver);
            Err(Unsolvable::Conflict {
                reasons: explain::reasons(&graph, solver.provider()),
            })
        }
        // The provider never cancels.
        Err(UnsolvableOrCancelled::Cancelled(_)) => Err(Unsolvable::Conflict {
            reasons: Vec::new(),
        }),
    }
}

/// Refuses a wish for what no repository has at all, before the solver gets to see it.
fn known(universe: &Universe<'_>, group: &[Dependency<'_>]) -> Result<(), Unsolvable> {
    if group
        .iter()
        .any(|dependency| !universe.satisfying(dependency).is_empty())
    {
        return Ok(());
    }
    let Some(first) = group.first() else {
        return Ok(());
    };
    let mut available: Vec<String> = universe
        .versions(first.name)
        .map(|package| format!("{} in {}", package.version, universe.suite(package)))
        .collect();
    available.dedup();
    if !available.is_empty() {
        return Err(Unsolvable::NoVersion {
            wanted: first.to_string(),
            available,
        });
    }
    Err(Unsolvable::Unknown {
        name: first.name.to_owned(),
        nearest: nearest(universe, first.name),
    })
}

/// The name that is most like `name`, if any is alike at all.
fn nearest(universe: &Universe<'_>, name: &str) -> Option<String> {
    let score = |other: &str| {
        let edits = strsim::damerau_levenshtein(name, other);
        // `open-ssh` and `openssh` are nearer than their letters say.
        let plain = |text: &str| text.replace(['-', '_', '.'], "").to_ascii_lowercase();
        if plain(name) == plain(other) {
            0
        } else {
            edits
        }
    };
    let limit = 1 + name.len() / 4;
    universe
        .names()
        .filter(|other| other.len().abs_diff(name.len()) <= limit)
        .map(|other| (score(other), other))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map(|(_, other)| other.to_owned())
}

fn base<'a>(universe: &Universe<'a>, base: Base) -> Vec<&'a str> {
    let least = match base {
        Base::None => return Vec::new(),
        Base::Essential => None,
        Base::Required => Some(Priority::Required),
        Base::Important => Some(Priority::Important),
    };
    let mut names: Vec<&'a str> = universe
        .names()
        .filter(|name| {
            universe.versions(name).next().is_some_and(|package| {
                package.essential || least.is_some_and(|least| package.priority <= least)
            })
        })
        .collect();
    names.sort_unstable();
    names
}

/// Drops packages of a solution that nothing needs: those the solver had tried and given up.
/// Walks from the wishes, dependencies with one answer first.
fn needed(universe: &Universe<'_>, chosen: &BTreeSet<u32>, roots: &[String]) -> BTreeSet<u32> {
    let answers = |group: &[Dependency<'_>]| -> Vec<u32> {
        group
            .iter()
            .flat_map(|dependency| universe.satisfying(dependency))
            .flat_map(|(_, indices)| indices)
            .filter(|index| chosen.contains(index))
            .collect()
    };
    let mut marked = BTreeSet::new();
    let mut open: Vec<u32> = Vec::new();
    let mut choices: Vec<Vec<u32>> = Vec::new();
    let take = |answers: Vec<u32>, open: &mut Vec<u32>, choices: &mut Vec<Vec<u32>>| match answers[..]
    {
        [] => {}
        [one] => open.push(one),
        _ => choices.push(answers),
    };
    let groups = |field: &str, then: &mut dyn FnMut(Vec<u32>)| {
        // What could not be read was never chosen.
        for group in parse_dependencies(field, universe.architecture()).unwrap_or_default() {
            then(answers(&group));
        }
    };
    for root in roots {
        groups(root, &mut |answers| take(answers, &mut open, &mut choices));
    }
    loop {
        while let Some(index) = open.pop() {
            if !marked.insert(index) {
                continue;
            }
            let package = universe.package(index);
            for field in [package.pre_depends, package.depends] {
                groups(field, &mut |answers| take(answers, &mut open, &mut choices));
            }
        }
        choices.retain(|answers| !answers.iter().any(|index| marked.contains(index)));
        let Some(answers) = (!choices.is_empty()).then(|| choices.remove(0)) else {
            return marked;
        };
        open.extend(answers.first());
    }
}

/// Debian's relations in the terms of the solver: a *name* is a package, a *solvable* one of
/// its versions, a *version set* those of them that a relation allows.
pub(crate) struct Provider<'u, 'a> {
    universe: &'u Universe<'a>,
    wishes: &'u Wishes,
    names: RefCell<Interned<String>>,
    sets: RefCell<Interned<Set>>,
    unions: RefCell<Interned<Union>>,
    strings: RefCell<Interned<String>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Set {
    name: NameId,
    allowed: Vec<u32>,
    /// The relation as the package states it.
    text: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Union {
    sets: Vec<VersionSetId>,
    text: String,
}

struct Interned<T> {
    values: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            ids: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn id(&mut self, value: T) -> u32 {
        let values = &mut self.values;
        *self.ids.entry(value).or_insert_with_key(|value| {
            values.push(value.clone());
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn get(&self, id: u32) -> T {
        self.values[id as usize].clone()
    }
}

impl<'u, 'a> Provider<'u, 'a> {
    fn new(universe: &'u Universe<'a>, wishes: &'u Wishes) -> Self {
        Self {
            universe,
            wishes,
            names: RefCell::default(),
            sets: RefCell::default(),
            unions: RefCell::default(),
            strings: RefCell::default(),
        }
    }

    pub(crate) fn package(&self, solvable: SolvableId) -> &'u Package<'a> {
        self.universe.package(solvable.into_raw())
    }

    pub(crate) fn universe(&self) -> &'u Universe<'a> {
        self.universe
    }

    /// The relation behind a requirement as the package states it.
    pub(crate) fn requirement_text(&self, requirement: Requirement) -> String {
        match requirement {
            Requirement::Single(set) => self.set_text(set),
            Requirement::Union(union) => self.unions.borrow().get(union.0).text,
        }
    }

    pub(crate) fn set_text(&self, set: VersionSetId) -> String {
        self.sets.borrow().get(set.0).text
    }

    pub(crate) fn string(&self, string: StringId) -> String {
        self.strings.borrow().get(string.0)
    }

    fn name(&self, name: &str) -> NameId {
        NameId::from_raw(self.names.borrow_mut().id(name.to_owned()))
    }

    fn set(&self, name: &str, mut allowed: Vec<u32>, text: String) -> VersionSetId {
        allowed.sort_unstable();
        let name = self.name(name);
        VersionSetId(self.sets.borrow_mut().id(Set {
            name,
            allowed,
            text,
        }))
    }

    fn requirement(&self, group: &[Dependency<'_>]) -> ConditionalRequirement {
        let text = group
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" | ");
        let mut sets: Vec<VersionSetId> = group
            .iter()
            .flat_map(|dependency| self.universe.satisfying(dependency))
            .map(|(name, allowed)| self.set(name, allowed, text.clone()))
            .collect();
        let mut seen = BTreeSet::new();
        sets.retain(|set| seen.insert(*set));
        let requirement = match sets[..] {
            [] => {
                let name = group.first().map_or("", |dependency| dependency.name);
                Requirement::Single(self.set(name, Vec::new(), text))
            }
            [one] => Requirement::Single(one),
            _ => Requirement::Union(VersionSetUnionId(
                self.unions.borrow_mut().id(Union { sets, text }),
            )),
        };
        requirement.into()
    }

    /// What may stay beside a package that conflicts with `dependency`: for each name that is
    /// hit, the other versions of it. A package never conflicts with itself, nor with other
    /// versions of itself through what it provides: only one of them is there anyway.
    fn constrains(&self, package: &Package<'_>, dependency: &Dependency<'_>) -> Vec<VersionSetId> {
        self.universe
            .satisfying(dependency)
            .into_iter()
            .filter(|(name, _)| *name != package.name)
            .map(|(name, hit)| {
                let mut allowed = self.universe.indices(name).to_vec();
                allowed.retain(|index| !hit.contains(index));
                self.set(name, allowed, dependency.to_string())
            })
            .collect()
    }

    fn dependencies(&self, package: &Package<'_>) -> Result<KnownDependencies, DependencyError> {
        let architecture = self.universe.architecture();
        let mut known = KnownDependencies::default();
        for field in [package.pre_depends, package.depends] {
            for group in parse_dependencies(field, architecture)? {
                known.requirements.push(self.requirement(&group));
            }
        }
        for field in [package.conflicts, package.breaks] {
            for dependency in parse_dependencies(field, architecture)?.iter().flatten() {
                known
                    .constrains
                    .extend(self.constrains(package, dependency));
            }
        }
        Ok(known)
    }

    /// Why a package may not be chosen, if it may not.
    fn refusal(&self, package: &Package<'_>) -> Option<String> {
        if self.wishes.exclude.contains(package.name) {
            return Some("it is on the list of packages that must not be there".to_owned());
        }
        let suite = self.wishes.pins.get(package.name)?;
        (self.universe.suite(package) != suite).then(|| format!("it is to come from {suite} only"))
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.package(solvable);
        format!("{} {}", package.name, package.version)
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.names.borrow().get(name.into_raw())
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        self.set_text(set)
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.string(string)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.sets.borrow().values[set.0 as usize].name
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name(self.package(solvable).name)
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow().get(union.0).sets.into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        // No requirement here has a condition.
        unreachable!("Debian's relations have no conditions")
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let allowed = &sets.values[set.0 as usize].allowed;
        let mut found = candidates.to_vec();
        found.retain(|solvable| allowed.binary_search(&solvable.into_raw()).is_ok() != inverse);
        found
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.names.borrow().get(name.into_raw());
        let indices = self.universe.indices(&name);
        if indices.is_empty() {
            return None;
        }
        let mut candidates = Candidates::default();
        let keep = self.wishes.keep.get(&name);
        for index in indices {
            let solvable = SolvableId::from_raw(*index);
            let package = self.universe.package(*index);
            candidates.candidates.push(solvable);
            if let Some(reason) = self.refusal(package) {
                let reason = StringId(self.strings.borrow_mut().id(reason));
                candidates.excluded.push((solvable, reason));
            } else if candidates.favored.is_none()
                && keep.is_some_and(|keep| package.sha256().is_ok_and(|found| found == *keep))
            {
                // Of one file in several suites the first as ever.
                candidates.favored = Some(solvable);
            }
        }
        Some(candidates)
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by(|a, b| self.universe.better(a.into_raw(), b.into_raw()));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.dependencies(self.package(solvable)) {
            Ok(known) => Dependencies::Known(known),
            Err(error) => {
                let reason = format!("its dependencies cannot be read: {error}");
                Dependencies::Unknown(StringId(self.strings.borrow_mut().id(reason)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
