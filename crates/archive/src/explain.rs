//! Says in words why packages cannot be together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use resolvo::{
    SolvableId,
    conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode},
};

use crate::{dependency::parse_dependencies, solver::Provider};

/// More causes than this help nobody.
const MOST: usize = 6;

/// One indented sentence for each cause, in a stable order.
pub(crate) fn reasons(
    graph: &ConflictGraph<SolvableId>,
    provider: &Provider<'_, '_>,
) -> Vec<String> {
    let edges: Vec<(usize, usize, ConflictEdge<SolvableId>)> = graph
        .graph
        .raw_edges()
        .iter()
        .map(|edge| (edge.source().index(), edge.target().index(), edge.weight))
        .collect();
    let nodes: Vec<ConflictNode<SolvableId>> = graph
        .graph
        .node_indices()
        .map(|index| graph.graph[index])
        .collect();
    let story = Story {
        paths: paths(graph.root_node.index(), nodes.len(), &edges),
        edges: &edges,
        nodes: &nodes,
        provider,
    };
    let mut found = BTreeSet::new();
    for (source, target, weight) in &edges {
        if let Some(reason) = story.reason(*source, *target, *weight) {
            found.insert(reason);
        }
    }
    // A missing package explains more than the conflicts that follow from it.
    let more = found.len().saturating_sub(MOST);
    let mut reasons: Vec<String> = found
        .into_iter()
        .take(MOST)
        .map(|(_, reason)| format!("  {reason}"))
        .collect();
    if more > 0 {
        reasons.push(format!("  and {more} more of that kind"));
    }
    reasons
}

/// For each node the edge over which it is reached first from the wishes.
fn paths(
    root: usize,
    nodes: usize,
    edges: &[(usize, usize, ConflictEdge<SolvableId>)],
) -> BTreeMap<usize, usize> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (place, (source, _, weight)) in edges.iter().enumerate() {
        if matches!(weight, ConflictEdge::Requires(_)) {
            out[*source].push(place);
        }
    }
    let mut paths = BTreeMap::new();
    let mut open = VecDeque::from([root]);
    while let Some(node) = open.pop_front() {
        for place in &out[node] {
            let target = edges[*place].1;
            if target != root && !paths.contains_key(&target) {
                paths.insert(target, *place);
                open.push_back(target);
            }
        }
    }
    paths
}

struct Story<'s, 'u, 'a> {
    paths: BTreeMap<usize, usize>,
    edges: &'s [(usize, usize, ConflictEdge<SolvableId>)],
    nodes: &'s [ConflictNode<SolvableId>],
    provider: &'s Provider<'u, 'a>,
}

impl Story<'_, '_, '_> {
    fn reason(
        &self,
        source: usize,
        target: usize,
        weight: ConflictEdge<SolvableId>,
    ) -> Option<(u8, String)> {
        match (weight, self.nodes[target]) {
            (ConflictEdge::Requires(requirement), ConflictNode::UnresolvedDependency) => {
                let text = self.provider.requirement_text(requirement);
                Some((
                    0,
                    format!("{}, {}", self.needs(source, &text), self.absence(&text)),
                ))
            }
            (ConflictEdge::Conflict(cause), _) => self.conflict(source, target, cause),
            _ => None,
        }
    }

    fn conflict(
        &self,
        source: usize,
        target: usize,
        cause: ConflictCause<SolvableId>,
    ) -> Option<(u8, String)> {
        match cause {
            ConflictCause::Constrains(set) => {
                let text = self.provider.set_text(set);
                let hit = self.label(target);
                let stated = if hit.starts_with(&format!("{text} ")) {
                    hit.clone()
                } else {
                    format!("`{text}`, which {hit} is")
                };
                Some((
                    1,
                    format!(
                        "{} conflicts with {stated}; {}; {}",
                        self.label(source),
                        self.wanted(source),
                        self.wanted(target)
                    ),
                ))
            }
            ConflictCause::ForbidMultipleInstances => {
                let (mut first, mut second) = (source, target);
                if self.label(first) > self.label(second) {
                    (first, second) = (second, first);
                }
                Some((
                    3,
                    format!(
                        "only one of {} and {} can be there; {}; {}",
                        self.label(first),
                        self.label(second),
                        self.wanted(first),
                        self.wanted(second)
                    ),
                ))
            }
            ConflictCause::Excluded => {
                let ConflictNode::Excluded(reason) = self.nodes[target] else {
                    return None;
                };
                Some((
                    2,
                    format!(
                        "{} may not be taken: {}; {}",
                        self.label(source),
                        self.provider.string(reason),
                        self.wanted(source)
                    ),
                ))
            }
            ConflictCause::Locked(_) => None,
        }
    }

    fn label(&self, node: usize) -> String {
        match self.nodes[node] {
            ConflictNode::Solvable(solvable) => {
                let package = self.provider.package(solvable);
                format!("{} {}", package.name, package.version)
            }
            _ => "the definition".to_owned(),
        }
    }

    fn name(&self, node: usize) -> String {
        match self.nodes[node] {
            ConflictNode::Solvable(solvable) => self.provider.package(solvable).name.to_owned(),
            _ => "the definition".to_owned(),
        }
    }

    /// `a needs b (wanted by ...)`: who needs `text`, and the chain up to the wishes.
    fn needs(&self, node: usize, text: &str) -> String {
        if matches!(self.nodes[node], ConflictNode::Root) {
            return format!("`{text}` is wanted");
        }
        let chain = self.chain(node);
        let by = if chain.len() > 1 {
            format!(" (needed by {})", chain[1..].join(", by "))
        } else {
            String::new()
        };
        format!("{}{by} needs `{text}`", self.label(node))
    }

    /// Why a package is there at all.
    fn wanted(&self, node: usize) -> String {
        let chain = self.chain(node);
        let relation = self
            .paths
            .get(&node)
            .and_then(|place| match self.edges[*place].2 {
                ConflictEdge::Requires(requirement) => {
                    Some(self.provider.requirement_text(requirement))
                }
                ConflictEdge::Conflict(_) => None,
            });
        let what = match relation {
            Some(text) if text != chain[0] => format!("`{text}`"),
            _ => chain[0].clone(),
        };
        if chain.len() < 2 {
            return format!("{what} is wanted itself");
        }
        format!("{what} is needed by {}", chain[1..].join(", by "))
    }

    /// The package, who needs it, who needs that, up to what was wished for.
    fn chain(&self, node: usize) -> Vec<String> {
        let mut chain = vec![self.name(node)];
        let mut at = node;
        while let Some(place) = self.paths.get(&at) {
            at = self.edges[*place].0;
            if matches!(self.nodes[at], ConflictNode::Root) || chain.len() > 12 {
                break;
            }
            chain.push(self.name(at));
        }
        chain
    }

    /// What there is instead of a relation that nothing fulfils.
    fn absence(&self, text: &str) -> String {
        let universe = self.provider.universe();
        let groups = parse_dependencies(text, universe.architecture()).unwrap_or_default();
        let mut there: Vec<String> = Vec::new();
        for dependency in groups.iter().flatten() {
            let own = universe.versions(dependency.name).map(|package| {
                let suite = universe.suite(package);
                format!("{} {} ({suite})", package.name, package.version)
            });
            let provided = universe
                .providers(dependency.name)
                .map(|(package, version)| {
                    let version = version.map_or("no version of it", |version| version);
                    format!(
                        "{} {}, which provides {version}",
                        package.name, package.version
                    )
                });
            for one in own.chain(provided) {
                if !there.contains(&one) {
                    there.push(one);
                }
            }
        }
        if there.is_empty() {
            return "which no repository has".to_owned();
        }
        let more = there.len().saturating_sub(MOST);
        there.truncate(MOST);
        if more > 0 {
            there.push(format!("{more} more"));
        }
        format!("but there is only {}", there.join(", "))
    }
}
