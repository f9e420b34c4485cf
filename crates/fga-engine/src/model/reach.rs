//! Which users could ever reach a relation, whatever tuples are written.

use ahash::AHashMap;

use super::lookup::Lookup;
use super::relation::{Facet, Relation, RelationIndex, Rewrite, TypeInfo};

/// For every relation the set of types and relations that lead to it, as bits.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Types come first, then relations.
    kinds: usize,
    rows: Vec<Vec<u64>>,
    /// By relation: whether tuples can lead from it back to itself.
    recursive: Vec<bool>,
}

/// An edge of the model's graph ends at a relation; it starts at one of these.
#[derive(Clone, Copy)]
enum Source {
    Kind(usize),
    Relation(RelationIndex),
}

impl Reach {
    pub(crate) fn of(
        types: &Lookup<TypeInfo>,
        relations: &[Relation],
        by_symbols: &AHashMap<(u32, u32), RelationIndex>,
    ) -> Self {
        let kinds = types.values().map(|kind| (kind.symbol, kind.label)).collect();
        let graph = Graph { kinds, by_symbols };
        let sources: Vec<Vec<Source>> = relations
            .iter()
            .map(|relation| {
                let mut found = Vec::new();
                graph.collect(relation, &relation.rewrite, &mut found);
                found
            })
            .collect();
        let (kinds, count) = (graph.kinds.len(), relations.len());
        let rows = (0..count).map(|start| row(start, &sources, kinds + count)).collect();
        let mut reach = Self { kinds, rows, recursive: Vec::new() };
        let recursive = sources.iter().enumerate().map(|(relation, sources)| {
            sources.iter().any(|source| match source {
                Source::Kind(_) => false,
                Source::Relation(index) => reach.reaches(reach.label(relation), *index),
            })
        });
        reach.recursive = recursive.collect();
        reach
    }

    pub(crate) fn is_recursive(&self, relation: RelationIndex) -> bool {
        self.recursive.get(relation).copied().unwrap_or_default()
    }

    /// The position of a relation's bit; types have theirs in the order of the model.
    pub(crate) const fn label(&self, relation: RelationIndex) -> usize {
        self.kinds + relation
    }

    pub(crate) fn reaches(&self, position: usize, relation: RelationIndex) -> bool {
        let word = self.rows.get(relation).and_then(|row| row.get(position / 64));
        word.is_some_and(|word| word & (1 << (position % 64)) != 0)
    }
}

fn row(start: RelationIndex, sources: &[Vec<Source>], width: usize) -> Vec<u64> {
    let kinds = width - sources.len();
    let mut bits = vec![0; width.div_ceil(64)];
    let mut open = vec![start];
    set(&mut bits, kinds + start);
    while let Some(relation) = open.pop() {
        for source in sources.get(relation).into_iter().flatten() {
            match source {
                Source::Kind(position) => {
                    set(&mut bits, *position);
                }
                Source::Relation(index) => {
                    if set(&mut bits, kinds + index) {
                        open.push(*index);
                    }
                }
            }
        }
    }
    bits
}

/// Returns whether the bit was new.
fn set(bits: &mut [u64], position: usize) -> bool {
    let Some(word) = bits.get_mut(position / 64) else {
        return false;
    };
    let mask = 1 << (position % 64);
    let new = *word & mask == 0;
    *word |= mask;
    new
}

/// What rewrites refer to.
struct Graph<'a> {
    /// Positions of types by their symbols.
    kinds: AHashMap<u32, usize>,
    by_symbols: &'a AHashMap<(u32, u32), RelationIndex>,
}

impl Graph<'_> {
    fn collect(&self, relation: &Relation, rewrite: &Rewrite, found: &mut Vec<Source>) {
        match rewrite {
            Rewrite::This => {
                for restriction in &relation.restrictions {
                    let source = match restriction.facet {
                        Facet::Object | Facet::Wildcard => {
                            self.kinds.get(&restriction.kind).map(|kind| Source::Kind(*kind))
                        }
                        Facet::Userset(userset) => self
                            .by_symbols
                            .get(&(restriction.kind, userset))
                            .map(|index| Source::Relation(*index)),
                    };
                    found.extend(source);
                }
            }
            Rewrite::Computed(index) => found.push(Source::Relation(*index)),
            Rewrite::TupleToUserset { computed, .. } => {
                found.extend(computed.iter().map(|(_, index)| Source::Relation(*index)));
            }
            Rewrite::Union(children) | Rewrite::Intersection(children) => {
                for child in children {
                    self.collect(relation, child, found);
                }
            }
            Rewrite::Difference(operands) => {
                self.collect(relation, &operands.0, found);
                self.collect(relation, &operands.1, found);
            }
        }
    }
}
