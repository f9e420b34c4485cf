//! Types and relations of a model, in numbers.

use super::lookup::Lookup;

pub(crate) type RelationIndex = usize;

/// Who may stand in a tuple of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facet {
    Object,
    Wildcard,
    /// The symbol of the userset's relation.
    Userset(u32),
}

#[derive(Debug, Clone)]
pub(crate) struct Restriction {
    pub kind: u32,
    pub facet: Facet,
    pub condition: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) enum Rewrite {
    This,
    Computed(RelationIndex),
    /// The symbol of the tupleset relation, and by type symbol what to ask there. Types
    /// that lack the relation are not listed.
    TupleToUserset {
        tupleset: RelationIndex,
        computed: Vec<(u32, RelationIndex)>,
    },
    Union(Vec<Self>),
    Intersection(Vec<Self>),
    /// Base and subtract.
    Difference(Box<(Self, Self)>),
}

#[derive(Debug)]
pub(crate) struct Relation {
    pub kind: Box<str>,
    pub name: Box<str>,
    pub symbol: u32,
    pub index: RelationIndex,
    pub rewrite: Rewrite,
    pub restrictions: Vec<Restriction>,
    pub is_tupleset: bool,
}

impl Relation {
    pub(crate) fn allows(&self, kind: u32, facet: Facet) -> bool {
        self.restrictions.iter().any(|r| r.kind == kind && r.facet == facet)
    }

    pub(crate) fn takes_usersets(&self) -> bool {
        self.restrictions.iter().any(|r| matches!(r.facet, Facet::Userset(_)))
    }
}

#[derive(Debug)]
pub(crate) struct TypeInfo {
    pub symbol: u32,
    /// Place in the model's graph.
    pub label: usize,
    pub relations: Lookup<RelationIndex>,
}
