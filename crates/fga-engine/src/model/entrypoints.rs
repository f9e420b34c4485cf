//! Can a relation ever have a user? (`pkg/typesystem`, `hasEntrypoints`)
//!
//! The visited sets are shared and copied exactly as OpenFGA does it, because which
//! models are refused depends on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::ModelError;
use crate::wire::{RelationReference, TypeDefinition, Userset};

/// Steps and depth after which a model counts as too complex. OpenFGA has no bound: its
/// search takes exponential time for some models.
const MAX_STEPS: u32 = 200_000;
const MAX_DEPTH: u32 = 600;

const YES: Found = Found { entrypoint: true, is_loop: false };
const NO: Found = Found { entrypoint: false, is_loop: false };

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    pub entrypoint: bool,
    pub is_loop: bool,
}

/// A model's types by name.
pub(crate) type Types<'m> = BTreeMap<&'m str, &'m TypeDefinition>;

type Seen<'m> = Rc<RefCell<BTreeMap<&'m str, bool>>>;
/// By type, the relations on the way and whether one of them is directly assignable.
/// A copy shares the inner maps.
type Visited<'m> = BTreeMap<&'m str, Seen<'m>>;

pub(crate) fn find<'m>(
    types: &Types<'m>,
    kind: &'m TypeDefinition,
    relation: &'m str,
    rewrite: &'m Userset,
) -> Result<Found, ModelError> {
    let mut search = Search { types, steps: 0, depth: 0, top: (kind, relation) };
    search.rewrite(kind, relation, rewrite, &Visited::new())
}

struct Search<'a, 'm> {
    types: &'a Types<'m>,
    steps: u32,
    depth: u32,
    top: (&'m TypeDefinition, &'m str),
}

impl<'m> Search<'_, 'm> {
    fn rewrite(
        &mut self,
        kind: &'m TypeDefinition,
        relation: &'m str,
        rewrite: &'m Userset,
        outer: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        self.steps += 1;
        self.depth += 1;
        if self.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            let (kind, relation) = (self.top.0.kind.clone(), self.top.1.to_owned());
            return Err(ModelError::TooDeep { kind, relation });
        }
        let mut visited = outer.clone();
        visited.entry(&kind.kind).or_default().borrow_mut().insert(relation, false);
        let found = if rewrite.this.is_some() {
            self.this(kind, relation, &visited)
        } else if let Some(computed) = &rewrite.computed_userset {
            self.computed(kind, &computed.relation, &visited)
        } else if rewrite.tuple_to_userset.is_some() {
            self.tuple_to_userset(kind, rewrite, &visited)
        } else {
            self.operator(kind, relation, rewrite, outer)
        };
        self.depth -= 1;
        found
    }

    fn this(
        &mut self,
        kind: &'m TypeDefinition,
        relation: &'m str,
        visited: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        for reference in references(kind, relation) {
            let Some(userset) = reference.relation.as_deref() else {
                visit(visited, &kind.kind, relation, true);
                return Ok(YES);
            };
            if seen(visited, &reference.kind, userset).is_some() {
                continue;
            }
            if self.relation(&reference.kind, userset, visited)?.entrypoint {
                return Ok(YES);
            }
        }
        Ok(NO)
    }

    fn computed(
        &mut self,
        kind: &'m TypeDefinition,
        computed: &'m str,
        visited: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        if let Some(entrypoint) = seen(visited, &kind.kind, computed) {
            return Ok(Found { entrypoint, is_loop: true });
        }
        self.relation(&kind.kind, computed, visited)
    }

    fn tuple_to_userset(
        &mut self,
        kind: &'m TypeDefinition,
        rewrite: &'m Userset,
        visited: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        let ttu = rewrite.tuple_to_userset.as_ref();
        let (Some(tupleset), Some(computed)) =
            (ttu.and_then(|t| t.tupleset.as_ref()), ttu.and_then(|t| t.computed_userset.as_ref()))
        else {
            return Ok(NO);
        };
        for reference in references(kind, &tupleset.relation) {
            let Some(target) = self.types.get(reference.kind.as_str()) else {
                continue;
            };
            if !target.relations.contains_key(&computed.relation) {
                continue;
            }
            match seen(visited, &reference.kind, &computed.relation) {
                Some(true) => return Ok(YES),
                Some(false) => {}
                None => {
                    if self.relation(&reference.kind, &computed.relation, visited)?.entrypoint {
                        return Ok(YES);
                    }
                }
            }
        }
        Ok(NO)
    }

    fn relation(
        &mut self,
        kind: &str,
        relation: &'m str,
        visited: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        let Some(target) = self.types.get(kind).copied() else {
            return Ok(NO);
        };
        let Some(rewrite) = target.relations.get(relation) else {
            return Ok(NO);
        };
        self.rewrite(target, relation, rewrite, visited)
    }

    fn operator(
        &mut self,
        kind: &'m TypeDefinition,
        relation: &'m str,
        rewrite: &'m Userset,
        outer: &Visited<'m>,
    ) -> Result<Found, ModelError> {
        if let Some(union) = &rewrite.union {
            at_least_two(kind, relation, &union.child, "union")?;
            let mut is_loop = false;
            for child in &union.child {
                let found = self.rewrite(kind, relation, child, outer)?;
                if found.entrypoint {
                    return Ok(YES);
                }
                is_loop |= found.is_loop;
            }
            return Ok(Found { entrypoint: false, is_loop });
        }
        let mut operands: Vec<&'m Userset> = Vec::new();
        if let Some(intersection) = &rewrite.intersection {
            at_least_two(kind, relation, &intersection.child, "intersection")?;
            operands.extend(&intersection.child);
        }
        if let Some(difference) = &rewrite.difference {
            operands.extend(difference.base.as_deref());
            operands.extend(difference.subtract.as_deref());
        }
        for operand in operands {
            let found = self.rewrite(kind, relation, operand, outer)?;
            if !found.entrypoint {
                return Ok(found);
            }
        }
        Ok(YES)
    }
}

fn at_least_two(
    kind: &TypeDefinition,
    relation: &str,
    children: &[Userset],
    operator: &'static str,
) -> Result<(), ModelError> {
    if children.len() >= 2 {
        return Ok(());
    }
    let (kind, relation) = (kind.kind.clone(), relation.to_owned());
    Err(ModelError::TooFewChildren { kind, relation, operator })
}

fn references<'m>(kind: &'m TypeDefinition, relation: &str) -> &'m [RelationReference] {
    let metadata = kind.metadata.as_ref().and_then(|m| m.relations.get(relation));
    metadata.map_or(&[], |m| &m.directly_related_user_types)
}

fn seen(visited: &Visited<'_>, kind: &str, relation: &str) -> Option<bool> {
    visited.get(kind).and_then(|relations| relations.borrow().get(relation).copied())
}

fn visit<'m>(visited: &Visited<'m>, kind: &str, relation: &'m str, entrypoint: bool) {
    if let Some(relations) = visited.get(kind) {
        relations.borrow_mut().insert(relation, entrypoint);
    }
}
