//! Which users could ever reach a relation, whatever tuples are written.

use ahash::AHashMap;

use super::{Facet, Model, RelationIndex, Rewrite};

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
    pub(crate) fn of(model: &Model) -> Self {
        let mut kinds = AHashMap::new();
        for kind in model.kinds() {
            kinds.insert(kind.symbol, kind.label);
        }
        let count = model.relations().len();
        let sources: Vec<Vec<Source>> = model
            .relations()
            .iter()
            .map(|relation| {
                let mut found = Vec::new();
                collect(model, relation.index, &relation.rewrite, &kinds, &mut found);
                found
            })
            .collect();
        let rows = (0..count).map(|start| row(start, &sources, kinds.len() + count)).collect();
        let mut reach = Self { kinds: kinds.len(), rows, recursive: Vec::new() };
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

fn collect(
    model: &Model,
    index: RelationIndex,
    rewrite: &Rewrite,
    kinds: &AHashMap<u32, usize>,
    found: &mut Vec<Source>,
) {
    match rewrite {
        Rewrite::This => {
            let restrictions = model.relation(index).map_or(&[][..], |r| &r.restrictions);
            for restriction in restrictions {
                match restriction.facet {
                    Facet::Object | Facet::Wildcard => {
                        found.extend(kinds.get(&restriction.kind).map(|p| Source::Kind(*p)));
                    }
                    Facet::Userset(relation) => {
                        let relation = model.relation_by_symbols(restriction.kind, relation);
                        found.extend(relation.map(|r| Source::Relation(r.index)));
                    }
                }
            }
        }
        Rewrite::Computed(relation) => found.push(Source::Relation(*relation)),
        Rewrite::TupleToUserset { computed, .. } => {
            found.extend(computed.iter().map(|(_, relation)| Source::Relation(*relation)));
        }
        Rewrite::Union(children) | Rewrite::Intersection(children) => {
            for child in children {
                collect(model, index, child, kinds, found);
            }
        }
        Rewrite::Difference(operands) => {
            collect(model, index, &operands.0, kinds, found);
            collect(model, index, &operands.1, kinds, found);
        }
    }
}
